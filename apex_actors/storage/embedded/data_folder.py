"""The data folder: where it is, and which of its sub-folders belong to whom.

::

    DATA/            ours; an unprivileged account may pass through when root runs us
    ├── binaries/    copies of the programs, when that account cannot read the installed ones
    ├── postgres/    ours: locks, password, log
    │   ├── data/    the account's, 0700
    │   └── socket/  the account's, 0700
    └── valkey/      ours: locks, password, port, log
        └── data/    the account's, 0700
"""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from apex_actors.storage.embedded.account import Account
from apex_actors.storage.embedded.errors import EmbeddedServerError

_PRIVATE = 0o700
_PASSABLE = 0o711
"""Others may pass through to what belongs to them, but not look around."""


def default_data_dir() -> Path:
    """Where the data lives unless somebody says otherwise.

    For root it is a system folder: the unprivileged account that runs the servers cannot enter
    root's home.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/apex_actors")
    return platformdirs.user_data_path("apex_actors", appauthor=False)


@dataclass(frozen=True, kw_only=True)
class ServerFolder:
    """The part of the data folder that one server uses."""

    path: Path
    account: Account

    def create(self) -> None:
        """Make the folder itself, which stays ours.

        Raises EmbeddedServerError when the account cannot enter it, OSError.
        """
        _make_folder(self.path, mode=_mode_for(self.account))
        _require_reachable(self.path, account=self.account)

    def owned_folder(self, name: str) -> Path:
        """A private sub-folder that belongs to the account; made when missing.

        Raises OSError.
        """
        folder = self.path / name
        _make_folder(folder, mode=_PRIVATE)
        give_to(self.account, folder)
        return folder


def prepare_data_folder(path: Path, *, account: Account) -> None:
    """Make the data folder and see that the account can get there.

    Nothing outside of it is touched, and a folder that already holds something is left as it is.
    Raises EmbeddedServerError when a folder on the way is closed to the account, else OSError.
    """
    existed = path.exists()
    if not existed:
        path.parent.mkdir(parents=True, exist_ok=True)
    if not existed or not any(path.iterdir()):
        _make_folder(path, mode=_mode_for(account))
        if not account.is_ourselves:
            path.chmod(path.stat().st_mode | _PASSABLE)
    _require_reachable(path, account=account)


def give_to(account: Account, path: Path) -> None:
    """Make ``path``, which root has just made, belong to the account; else do nothing."""
    if not account.is_ourselves and path.stat().st_uid == os.geteuid():
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _require_reachable(path: Path, *, account: Account) -> None:
    if account.is_ourselves:
        return
    closed = account.first_closed_folder(path)
    if closed is not None:
        raise EmbeddedServerError(
            f"The account {account.name!r}, which runs the embedded servers for root, cannot "
            f"enter {closed}. Choose a data folder that it can reach (the default is "
            f"{default_data_dir()}), or open that one: chmod o+x '{closed}'"
        )


def _mode_for(account: Account) -> int:
    return _PRIVATE if account.is_ourselves else _PASSABLE


def _make_folder(path: Path, *, mode: int) -> None:
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        # The umask may have taken bits away.
        path.chmod(mode)
