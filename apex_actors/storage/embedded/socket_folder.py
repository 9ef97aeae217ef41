"""A place for PostgreSQL's socket whose path is short enough for the operating system."""

import os
import tempfile
from pathlib import Path

from apex_actors.storage.embedded.data_folder import ServerFolder, give_to
from apex_actors.storage.embedded.private_files import read_private, write_private

POSTGRES_PORT = 5432
"""Only part of the socket's name: nothing listens on a TCP port."""
_SOCKET_NAME = f".s.PGSQL.{POSTGRES_PORT}"
_MAX_PATH_BYTES = 103
"""``sun_path`` without its final zero: 107 bytes on Linux, 103 on macOS and the BSDs."""
_MEMO = "socket_folder"
_INSIDE = "socket"


def remembered_socket_folder(folder: ServerFolder) -> Path | None:
    """Where the server that was launched last has its socket."""
    memo = read_private(folder.path / _MEMO)
    return Path(memo) if memo is not None else None


def choose_socket_folder(folder: ServerFolder, *, tag: str) -> Path:
    """The folder for a server about to be launched; private to the account, and remembered.

    It lies in the data folder where the path allows, else it is a fresh private folder in the
    user's runtime folder or /tmp. Nobody can have put something there first: its name is made up
    at random, and one remembered from before is used again only while it is still ours.
    Raises OSError.
    """
    if _is_usable(folder.path / _INSIDE):
        chosen = folder.owned_folder(_INSIDE)
    else:
        remembered = remembered_socket_folder(folder)
        if remembered is not None and _is_still_ours(remembered, folder=folder, tag=tag):
            return remembered
        chosen = Path(tempfile.mkdtemp(prefix=f"{tag}-", dir=_short_base()))
        give_to(folder.account, chosen)
    write_private(folder.path / _MEMO, str(chosen))
    return chosen


def forget_socket_folder(folder: ServerFolder) -> None:
    """Remove what :func:`choose_socket_folder` made outside the data folder."""
    remembered = remembered_socket_folder(folder)
    if remembered is None or remembered.parent == folder.path:
        return
    (folder.path / _MEMO).unlink(missing_ok=True)
    try:
        remembered.rmdir()
    except OSError:
        # Gone already, or something is still in it: then it is not ours to remove.
        return


def _is_usable(candidate: Path) -> bool:
    # libpq reads a comma in a host name as a list of hosts, and URLs beyond ASCII are decoded
    # differently by different drivers.
    text = str(candidate / _SOCKET_NAME)
    return text.isascii() and text.isprintable() and "," not in text and _fits(candidate)


def _fits(candidate: Path) -> bool:
    return len(os.fsencode(candidate / _SOCKET_NAME)) <= _MAX_PATH_BYTES


def _short_base() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    # Root's servers run under an account that cannot enter a user's runtime folder.
    if runtime and os.geteuid() != 0:
        base = Path(runtime)
        # 40 characters for the name that mkdtemp makes up.
        if base.is_dir() and os.access(base, os.W_OK | os.X_OK) and _is_usable(base / ("x" * 40)):
            return base
    return Path("/tmp")  # noqa: S108  (only ever used through mkdtemp)


def _is_still_ours(path: Path, *, folder: ServerFolder, tag: str) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return (
        path.is_dir()
        and not path.is_symlink()
        and path.name.startswith(f"{tag}-")
        and status.st_uid == folder.account.uid
        and status.st_mode & 0o077 == 0
    )
