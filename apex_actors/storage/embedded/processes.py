"""Server processes: starting them on their own, and finding them again."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from apex_actors.storage.embedded.account import Account

_CLEAN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""All that a server or initdb gets to see: no PG* variable, no LD_PRELOAD, no secret of ours."""
_UMASK = 0o077
_PS = "/bin/ps"


class ServerProcess:
    """A server started by us; it may outlive us.

    A thread waits for its end. So a dead server never stays a zombie, and its exit code is known
    without polling.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, name: str) -> None:
        self._process = process
        self._reaper = threading.Thread(target=process.wait, name=f"{name}-reaper", daemon=True)
        self._reaper.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, timeout_s: float) -> int | None:
        """The exit code (negative: the signal), or None while it still runs."""
        self._reaper.join(timeout_s)
        return self._process.returncode


def spawn_server(
    arguments: Sequence[str | Path],
    *,
    name: str,
    account: Account,
    folder: Path,
    log: BinaryIO,
    life_fd: int,
    configuration: bytes = b"",
) -> ServerProcess:
    """Start a server in a session of its own, so that Ctrl-C in our terminal reaches only us.

    :param arguments: the program and its arguments; ``ps`` shows them to all, so no secrets.
    :param name: for the thread that waits for its end.
    :param account: who it runs as.
    :param folder: its working folder.
    :param log: gets its output.
    :param life_fd: a locked descriptor that it inherits on purpose: locked means alive.
    :param configuration: what it reads from its standard input.

    Raises OSError when the program cannot be executed.
    """
    process = subprocess.Popen(  # noqa: S603  (our own binary, no shell)
        arguments,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        cwd=folder,
        env=_CLEAN_ENVIRONMENT,
        umask=_UMASK,
        start_new_session=True,
        pass_fds=(life_fd,),
        **account.popen_identity(),
    )
    server = ServerProcess(process, name=name)
    assert process.stdin is not None  # noqa: S101  (PIPE was asked for)
    # When it died before it read: whoever waits for it will see that and read its log.
    with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(configuration)
    return server


def run_tool(
    arguments: Sequence[str | Path],
    *,
    account: Account,
    life_fd: int,
    timeout_s: float,
) -> tuple[int, str]:
    """Run a program to its end and give its exit code and what it printed.

    Raises OSError when it cannot be executed, subprocess.TimeoutExpired when it was killed after
    ``timeout_s``.
    """
    done = subprocess.run(  # noqa: S603  (our own binary, no shell)
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=_CLEAN_ENVIRONMENT,
        umask=_UMASK,
        start_new_session=True,
        pass_fds=(life_fd,),
        timeout=timeout_s,
        check=False,
        **account.popen_identity(),
    )
    return done.returncode, done.stdout.decode("utf-8", errors="replace")


@dataclass(frozen=True, kw_only=True)
class ProcessEntry:
    """A line of the process table."""

    pid: int
    uid: int
    command: str


def list_processes() -> list[ProcessEntry]:
    """All processes that we may see, with their command lines (process titles)."""
    return _list_from_proc() if Path("/proc/self/cmdline").exists() else _list_from_ps()


def send_signal(pid: int, number: signal.Signals) -> None:
    """Signal a process that may be gone by now.

    Raises PermissionError when it belongs to somebody else.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _list_from_proc() -> list[ProcessEntry]:
    entries = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            command = (folder / "cmdline").read_bytes()
            uid = folder.stat().st_uid
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            # It ended while we looked, or is hidden from us.
            continue
        text = command.replace(b"\0", b" ").decode("utf-8", errors="surrogateescape")
        entries.append(ProcessEntry(pid=int(folder.name), uid=uid, command=text.rstrip()))
    return entries


def _list_from_ps() -> list[ProcessEntry]:
    """The same where there is no /proc (macOS)."""
    table = subprocess.run(  # noqa: S603  (fixed program and arguments)
        [_PS, "-axww", "-o", "pid=,uid=,command="], stdout=subprocess.PIPE, check=True
    ).stdout.decode("utf-8", errors="surrogateescape")
    entries = []
    for line in table.splitlines():
        pid, uid, command = line.split(maxsplit=2)
        entries.append(ProcessEntry(pid=int(pid), uid=int(uid), command=command.rstrip()))
    return entries
