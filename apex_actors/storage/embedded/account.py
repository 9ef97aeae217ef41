"""Who runs the servers: ourselves, or for root an account without privileges."""

import os
import pwd
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from apex_actors.storage.embedded.errors import EmbeddedServerError

_PREFERRED_NAMES = ("apex-actors", "postgres", "nobody")


class PopenIdentity(TypedDict, total=False):
    """The arguments of :class:`subprocess.Popen` that change who the child is."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, kw_only=True)
class Account:
    """The user that owns the data and runs the servers."""

    name: str
    uid: int
    gid: int

    @property
    def is_ourselves(self) -> bool:
        return self.uid == os.geteuid()

    def popen_identity(self) -> PopenIdentity:
        """Become this account in a child; nothing when it is ours already."""
        if self.is_ourselves:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def may(self, path: Path, wanted: int) -> bool:
        """Whether the permission bits of ``path`` grant ``wanted`` (``os.R_OK | os.X_OK`` …)."""
        status = path.stat()
        if status.st_uid == self.uid:
            shift = 6
        elif status.st_gid == self.gid:
            shift = 3
        else:
            shift = 0
        return (stat.S_IMODE(status.st_mode) >> shift) & wanted == wanted

    def first_closed_folder(self, path: Path) -> Path | None:
        """The outermost folder on the way to ``path`` that this account cannot enter."""
        for folder in (*reversed(path.parents), path):
            if folder.is_dir() and not self.may(folder, os.X_OK):
                return folder
        return None


def choose_account(wanted: str | None, *, data_folders: Iterable[Path]) -> Account:
    """The account for the servers.

    An ordinary user runs them itself. Root (PostgreSQL refuses to run as root) uses ``wanted``,
    else the account that owns the data already there, else the first of ``apex-actors``,
    ``postgres`` and ``nobody`` that exists.

    Raises EmbeddedServerError when ``wanted`` does not exist, is root, or does not own the data.
    """
    if os.geteuid() != 0:
        return _account_of(os.geteuid(), os.getegid())
    owner = _owner_of_first(data_folders)
    if wanted is not None:
        account = _named(wanted)
        if account is None:
            raise EmbeddedServerError(
                f"The account {wanted!r} for the embedded servers does not exist. Create it "
                f"(useradd --system {wanted}) or name another."
            )
        if account.uid == 0:
            raise EmbeddedServerError(
                "PostgreSQL refuses to run as root: name an account without privileges."
            )
        if owner is not None and owner.uid != account.uid:
            raise EmbeddedServerError(
                f"The data belongs to the account {owner.name!r}, not to {wanted!r}. Keep using "
                f"{owner.name!r}, or stop all servers and give the data away with chown -R."
            )
        return account
    if owner is not None:
        return owner
    for name in _PREFERRED_NAMES:
        if (account := _named(name)) is not None and account.uid != 0:
            return account
    raise EmbeddedServerError(
        "PostgreSQL refuses to run as root and there is no account without privileges to use. "
        "Create one: useradd --system apex-actors"
    )


def _named(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def _account_of(uid: int, gid: int) -> Account:
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        # A container may run under a number without a name.
        name = str(uid)
    return Account(name=name, uid=uid, gid=gid)


def _owner_of_first(folders: Iterable[Path]) -> Account | None:
    for folder in folders:
        try:
            status = folder.stat()
        except FileNotFoundError:
            continue
        if status.st_uid != 0:
            return _account_of(status.st_uid, status.st_gid)
    return None
