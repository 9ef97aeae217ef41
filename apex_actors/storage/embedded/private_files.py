"""Small files that only their owner may read: passwords and what must be remembered."""

import os
import secrets
from pathlib import Path

_PRIVATE_MODE = 0o600
_PASSWORD_BYTES = 32
"""256 random bits: beyond guessing, whatever the servers do to slow guesses down."""


def read_private(path: Path) -> str | None:
    """The content without surrounding white space; None when the file is missing or empty."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def write_private(path: Path, content: str) -> None:
    """Replace the file in one step, so that a killed writer never leaves half a password."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _PRIVATE_MODE)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(content + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def read_or_create_password(path: Path) -> str:
    """The password of this data folder, made up and stored at the first call.

    It is made of URL-safe characters. A mode that lets others read the file is put right.
    """
    password = read_private(path)
    if password is None:
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        write_private(path, password)
    elif path.stat().st_mode & 0o077:
        path.chmod(_PRIVATE_MODE)
    return password


def sync_folder(path: Path) -> None:
    """Make renames and new names in a folder survive a power failure."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
