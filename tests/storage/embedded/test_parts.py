"""The small parts: locks, private files, logs, the process table, socket folders."""

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apex_actors.storage.embedded import log_file, processes, socket_folder
from apex_actors.storage.embedded.account import choose_account
from apex_actors.storage.embedded.data_folder import ServerFolder
from apex_actors.storage.embedded.deadline import Deadline
from apex_actors.storage.embedded.errors import EmbeddedServerError, explain_os_error
from apex_actors.storage.embedded.instance import instance_tag
from apex_actors.storage.embedded.locks import FileLock
from apex_actors.storage.embedded.log_file import LogFile
from apex_actors.storage.embedded.private_files import read_or_create_password, read_private


def test_a_lock_is_shared_by_some_or_held_by_one(tmp_path: Path) -> None:
    first, second, third = (FileLock(tmp_path / "lock") for _ in range(3))
    assert first.try_shared()
    assert second.try_shared()
    assert not third.try_exclusive()
    assert not first.try_exclusive()
    first.release()
    assert second.try_exclusive()
    assert not third.try_shared()
    second.release()
    assert third.try_exclusive()
    third.release()
    assert not third.is_locked


@contextmanager
def _sleeping(**arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["/bin/sleep", "60"], **arguments)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def test_a_lock_handed_over_lives_as_long_as_the_child(tmp_path: Path) -> None:
    ours, probe = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert ours.try_exclusive()
    with _sleeping(pass_fds=(ours.fileno(),)):
        ours.hand_over()
        assert not probe.try_shared()
    assert probe.try_shared()
    probe.release()


def test_a_program_we_start_does_not_keep_our_locks(tmp_path: Path, wait_until) -> None:
    ours, probe = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert ours.try_exclusive()
    with _sleeping(close_fds=False):
        ours.hand_over()
        # The kernel closes the child's copy a moment after the child's program has begun.
        wait_until(probe.try_exclusive)
        probe.release()


def test_a_released_lock_has_no_descriptor(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not locked"):
        FileLock(tmp_path / "lock").fileno()


def test_a_password_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "password"
    assert read_private(path) is None
    password = read_or_create_password(path)
    assert len(password) >= 40
    assert read_or_create_password(path) == password
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_copied_instance_has_another_name(tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    tag = instance_tag(original)
    copy.write_bytes(original.read_bytes())
    assert instance_tag(original) == tag
    assert instance_tag(copy) != tag


def test_a_large_log_is_set_aside_at_launch(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(log_file, "_ROTATE_AT_BYTES", 10)
    log = LogFile(tmp_path / "server.log")
    for line in (b"first launch\n", b"second launch\n"):
        with log.open_for_launch() as file:
            file.write(line)
        assert log.lines_since_launch() == [line.decode().strip()]
    assert (tmp_path / "server.log.1").read_text() == "first launch\n"


def test_only_what_was_said_since_the_launch_counts(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "server.log")
    for line in (b"first launch\n", b"second launch\n"):
        with log.open_for_launch() as file:
            file.write(line)
    assert log.lines_since_launch() == ["second launch"]


@pytest.mark.parametrize("table", [processes._list_from_proc, processes._list_from_ps])
def test_the_process_table_has_ourselves_in_it(table) -> None:
    if table is processes._list_from_proc and sys.platform != "linux":
        pytest.skip("no /proc")
    (ourselves,) = [entry for entry in table() if entry.pid == os.getpid()]
    assert ourselves.uid == os.geteuid()
    assert Path(sys.executable).name in ourselves.command


def test_a_deadline_ends_with_what_was_waited_for() -> None:
    deadline = Deadline(0.001)
    with pytest.raises(EmbeddedServerError, match=r"the moon is late \(waited 0.001 s\)"):
        deadline.pause("the moon is late")


def test_a_cancelled_deadline_ends_at_once() -> None:
    cancelled = threading.Event()
    deadline = Deadline(60, cancelled=cancelled)
    cancelled.set()
    with pytest.raises(EmbeddedServerError, match="given up"):
        deadline.pause("too late")


@pytest.mark.parametrize(
    ("number", "advice"), [("ENOSPC", "free some space"), ("EROFS", "read-only")]
)
def test_errors_of_the_system_come_with_advice(number: str, advice: str) -> None:
    code = getattr(errno, number)
    error = explain_os_error(OSError(code, os.strerror(code), "/some/file"), attempt="It failed")
    assert str(error).startswith(f"It failed: {os.strerror(code)} (/some/file). ")
    assert advice in str(error)


@pytest.fixture
def folder(tmp_path: Path) -> ServerFolder:
    long_path = tmp_path / ("long" * 30)
    long_path.mkdir()
    return ServerFolder(path=long_path, account=choose_account(None, data_folders=[]))


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("a space", True),
        ('quote\' "double" %41 $HOME', True),
        ("one,two", False),
        ("größe", False),
        ("line\nbreak", False),
        ("long" * 20, False),
    ],
)
def test_the_socket_is_in_the_data_folder_where_every_driver_finds_it(
    base: Path, name: str, *, inside: bool
) -> None:
    path = base / name
    path.mkdir()
    folder = ServerFolder(path=path, account=choose_account(None, data_folders=[]))
    chosen = socket_folder.choose_socket_folder(folder, tag="apex-1")
    assert chosen.is_relative_to(path) is inside
    socket_folder.forget_socket_folder(folder)
    assert chosen.exists() is inside


def test_a_short_socket_folder_is_private_and_used_again(folder: ServerFolder) -> None:
    chosen = socket_folder.choose_socket_folder(folder, tag="apex-1")
    status = chosen.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, folder.account.uid)
    assert socket_folder.remembered_socket_folder(folder) == chosen
    assert socket_folder.choose_socket_folder(folder, tag="apex-1") == chosen
    socket_folder.forget_socket_folder(folder)
    assert not chosen.exists()


@pytest.mark.parametrize("change", ["opened", "replaced by a link", "of another instance"])
def test_a_remembered_socket_folder_that_is_not_ours_is_not_used(
    folder: ServerFolder, tmp_path: Path, change: str
) -> None:
    first = socket_folder.choose_socket_folder(folder, tag="apex-1")
    tag = "apex-1"
    if change == "opened":
        first.chmod(0o777)
    elif change == "replaced by a link":
        first.rmdir()
        first.symlink_to(tmp_path)
    else:
        tag = "apex-2"
    second = socket_folder.choose_socket_folder(folder, tag=tag)
    assert second != first
    socket_folder.forget_socket_folder(folder)
    if first.is_symlink():
        first.unlink()
    else:
        first.rmdir()
