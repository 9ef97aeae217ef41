"""Lines of plain and compressed files in constant memory."""

import gzip
import io
import tracemalloc

import pytest

from apex_actors.costs.importers import UnreadableFileError
from apex_actors.costs.importers.lines import HEAD_BYTES, MAX_LINE_BYTES, Line, LineSource


class Trickle(io.RawIOBase):
    """A pipe that gives a few bytes at a time and can't be sought."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 7) if size >= 0 else 7)


def lines(file) -> list[Line]:
    return list(LineSource(file))


def test_lines_are_numbered_and_their_ends_cut_off():
    assert lines(io.BytesIO(b"a\r\n\nb")) == [Line(1, b"a"), Line(2, b""), Line(3, b"b")]


def test_a_byte_order_mark_is_no_content():
    source = LineSource(io.BytesIO(b"\xef\xbb\xbfa\n"))

    assert source.head == b"a\n"
    assert list(source) == [Line(1, b"a")]


@pytest.mark.parametrize("open_", [io.BytesIO, Trickle])
def test_gzip_is_seen_through_from_any_source(open_):
    text = b"\n".join(b"line %d" % number for number in range(30_000))

    assert lines(open_(gzip.compress(text))) == lines(open_(text))
    assert LineSource(open_(gzip.compress(text))).head[:50] == text[:50]


def test_the_head_is_all_of_a_small_file_and_a_part_of_a_large_one():
    assert LineSource(io.BytesIO(b"abc")).head == b"abc"
    assert len(LineSource(io.BytesIO(b"a" * 10**6)).head) == HEAD_BYTES


@pytest.mark.parametrize("damage", [slice(0, -20), slice(0, 12)])
def test_a_broken_gzip_file_is_told(damage):
    packed = gzip.compress(bytes(range(256)) * 2000)[damage]

    with pytest.raises(UnreadableFileError, match="gzip file is damaged"):
        lines(io.BytesIO(packed))


def test_a_line_without_end_takes_no_memory():
    packed = gzip.compress(b"x" * (20 * MAX_LINE_BYTES) + b"\nok\n", compresslevel=1)
    tracemalloc.start()

    found = lines(io.BytesIO(packed))

    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [Line(1, None), Line(2, b"ok")]
    assert peak_bytes < 6 * MAX_LINE_BYTES
