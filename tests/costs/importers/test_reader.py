"""Files are read as they are asked for."""

import io
from itertools import islice

from apex_actors.costs.importers import FileFormat, open_usage_file

ROW = (
    b'{"occurred_at": "2026-11-01T00:00:00Z", "provider": "openai", "model": "gpt-5",'
    b' "input_tokens": 1, "output_tokens": 1}\n'
)


class Endless(io.RawIOBase):
    """A file that never ends (and whose rows are cut where a read ends)."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        self.taken += 1
        return (ROW * 1000)[:size]


def test_an_endless_file_can_be_begun():
    file = Endless()

    opened = open_usage_file(file, tenant="acme")

    assert opened.detection.format is FileFormat.NATIVE_JSONL
    assert len(list(islice(opened.rows, 500))) == 500
    assert file.taken < 50
