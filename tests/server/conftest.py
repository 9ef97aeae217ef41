"""Groups of processes, started as an operator starts them."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest


@dataclass
class RunningGroup:
    """The parent's process, what it says, and its children."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    url: str | None = None

    @property
    def children(self) -> list[psutil.Process]:
        """The nodes, not the embedded servers."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            try:
                if "apex_actors.server.group_member" in child.cmdline():
                    found.append(child)
            except psutil.Error:
                continue  # it has ended while we looked
        return found

    @property
    def said(self) -> str:
        """All of standard error until now."""
        return "".join(self.lines)

    def connected(self, child: psutil.Process) -> bool:
        """Whether a client's connection to the port ends in this process."""
        port = int(self.url.rsplit(":", 1)[1])
        try:
            sockets = child.net_connections()
        except psutil.Error:
            return False
        return any(s.status == "ESTABLISHED" and s.laddr.port == port for s in sockets)

    def token(self, sub: str) -> str:
        """A token of the development sign-in, as user of the sample's tenant."""
        answer = httpx.post(f"{self.url}/dev/token", json={"sub": sub, "org": None})
        return answer.raise_for_status().json()["token"]

    def stop(self) -> int:
        """SIGTERM to the parent; its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=40)


@contextmanager
def running_group(*arguments: str, **environment: str) -> Iterator[RunningGroup]:
    """``apex serve`` in development mode with these arguments, once it is ready."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("APEX_")}
    command = [sys.executable, "-m", "apex_actors", "serve", "--mode", "development"]
    with subprocess.Popen(
        [*command, "--port", "0", *arguments],
        env=own | environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        group = RunningGroup(process)
        ready = threading.Event()

        def read() -> None:
            for line in process.stderr:
                group.lines.append(line)
                if line.startswith("apex: ") and " ready" in line:
                    url = re.search(r"http://[0-9.:]+", line)
                    group.url = url and url.group()
                    ready.set()
            ready.set()

        reading = threading.Thread(target=read)
        reading.start()
        try:
            assert ready.wait(60), "the group did not come up"
            children = group.children
            yield group
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=40)
            psutil.wait_procs([*children, *group_children(process)], timeout=40)
            reading.join()


def group_children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Children that a parent which has ended has left, if any."""
    return [] if process.poll() is not None else psutil.Process(process.pid).children()


@pytest.fixture
def start_group(
    sample_database_url: str, redis_url: str, tmp_path: Path
) -> Callable[..., AbstractContextManager[RunningGroup]]:
    """Start a group on this test's servers: ``with start_group("--processes", "2") as group:``."""

    def start(*arguments: str, **environment: str) -> AbstractContextManager[RunningGroup]:
        servers = {"APEX_DATABASE_URL": sample_database_url, "APEX_REDIS_URL": redis_url}
        folder = {"APEX_DATA_DIR": str(tmp_path)}
        return running_group(*arguments, **(servers | folder | environment))

    return start


@pytest.fixture
def start_bare_group() -> Callable[..., AbstractContextManager[RunningGroup]]:
    """Start a group with embedded servers of its own."""
    return running_group
