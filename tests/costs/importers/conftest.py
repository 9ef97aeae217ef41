"""Reads what tests write as files."""

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from apex_actors.costs.importers import ImportOptions, open_usage_file

Read = Callable[..., list[Any]]


@pytest.fixture
def read() -> Read:
    """The rows of a file: bytes, or values that are written one a line as JSON."""

    def rows(*content: Any, expect: str | None = None, **options: Any) -> list[Any]:
        data = b"\n".join(
            part if isinstance(part, bytes) else json.dumps(part).encode() for part in content
        )
        opened = open_usage_file(io.BytesIO(data), tenant="acme", options=ImportOptions(**options))
        if expect is not None:
            assert opened.detection.format == expect
        found = list(opened.rows)
        packed = open_usage_file(
            io.BytesIO(gzip.compress(data)), tenant="acme", options=ImportOptions(**options)
        )
        assert list(packed.rows) == found
        return found

    return rows
