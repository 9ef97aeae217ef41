"""The log of one server, kept beside its data."""

import os
from pathlib import Path
from typing import BinaryIO

_ROTATE_AT_BYTES = 10 * 1024 * 1024
"""Months of our quiet servers; looked at only when a server is launched."""
_TAIL_BYTES = 64 * 1024
_FILE_MODE = 0o600


class LogFile:
    """Where a server's output goes, and what it said since its last launch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._launched_at_bytes = 0

    def open_for_launch(self) -> BinaryIO:
        """Open for appending; a log grown too large becomes ``.1`` first."""
        if self.path.exists() and self.path.stat().st_size > _ROTATE_AT_BYTES:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        file = os.fdopen(os.open(self.path, flags, _FILE_MODE), "ab", buffering=0)
        self._launched_at_bytes = os.fstat(file.fileno()).st_size
        return file

    def lines_since_launch(self) -> list[str]:
        """The last lines written after :meth:`open_for_launch`."""
        with self.path.open("rb") as file:
            size_bytes = file.seek(0, os.SEEK_END)
            file.seek(max(self._launched_at_bytes, size_bytes - _TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace").splitlines()
