"""The embedded Valkey: how it is configured, started, asked and recognised."""

import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apex_actors.storage.embedded.binaries import valkey_program
from apex_actors.storage.embedded.data_folder import ServerFolder
from apex_actors.storage.embedded.deadline import Deadline
from apex_actors.storage.embedded.errors import EmbeddedServerError
from apex_actors.storage.embedded.log_file import LogFile
from apex_actors.storage.embedded.private_files import (
    read_or_create_password,
    read_private,
    write_private,
)
from apex_actors.storage.embedded.processes import ServerProcess, spawn_server

_HOST = "127.0.0.1"
_ANSWER_TIMEOUT_S = 2.0
_WARNING_MARK = " # "
_EXPLAINED_LINES = 3
_SAYS_FULL = "max number of clients reached"

_CONFIGURATION = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
daemonize no
appendonly yes
appendfsync everysec
aof-load-truncated yes
save ""
maxmemory {max_memory_mb}mb
maxmemory-policy allkeys-lru
loglevel notice
logfile ""
always-show-logo no
hide-user-data-from-log yes
crash-log-enabled no
proc-title-template "{{title}} {tag}"
"""
# appendonly, not snapshots: at most a second of a cache is lost by a crash, and a half-written
#   last command is cut off when it is loaded (aof-load-truncated).
# allkeys-lru: nothing in it is the only copy, so when the memory is used up the keys that nobody
#   asked for longest go, and writes never fail.
# hide-user-data-from-log, crash-log-enabled: no user's text in the log.
# proc-title-template: the tag comes early, for a title has only the room of the first command line.
# dir is not set: it is the working folder, whatever characters its path has.


class ValkeyLauncher:
    """Valkey on a loopback port of its own choice, with a password and an append-only file."""

    name = "Valkey"
    stop_steps: Sequence[tuple[signal.Signals, float]] = (
        # Writes and fsyncs the append-only file, then exits.
        (signal.SIGTERM, 10.0),
        (signal.SIGKILL, 5.0),
    )

    def __init__(self, *, folder: ServerFolder, binaries: Path, max_memory_mb: int) -> None:
        self._folder = folder
        self._binaries = binaries
        self._max_memory_mb = max_memory_mb
        self._password_path = folder.path / "password"
        self._port_path = folder.path / "port"
        self._log = LogFile(folder.path / "server.log")
        self._foreign_port: int | None = None

    @property
    def url(self) -> str:
        """A redis URL with the password in it; another port after a restart if that was taken.

        Raises EmbeddedServerError when the server was never started.
        """
        port = self._port()
        password = read_private(self._password_path)
        if port is None or password is None:
            raise EmbeddedServerError("Valkey is not running: call start() first.")
        return f"redis://:{quote(password, safe='')}@{_HOST}:{port}/0"

    def launch(self, *, life_fd: int, tag: str, deadline: Deadline) -> ServerProcess:  # noqa: ARG002  (PostgreSQL needs the deadline for initdb)
        """Choose a port and start the server.

        Raises EmbeddedServerError, OSError.
        """
        program = valkey_program(account=self._folder.account, binaries=self._binaries)
        port = self._port()
        if port is None or not _is_free(port):
            port = _free_port()
            write_private(self._port_path, str(port))
        configuration = _CONFIGURATION.format(
            host=_HOST,
            port=port,
            password=read_or_create_password(self._password_path),
            max_memory_mb=self._max_memory_mb,
            tag=tag,
        )
        self._foreign_port = None
        with self._log.open_for_launch() as log:
            return spawn_server(
                [program, "-"],
                name=self.name,
                account=self._folder.account,
                folder=self._folder.owned_folder("data"),
                log=log,
                life_fd=life_fd,
                configuration=configuration.encode(),
            )

    def answers(self) -> bool:
        """Whether a PING with our password is answered.

        A port that does not accept the password is somebody else's: it is not asked again.
        """
        port = self._port()
        password = read_private(self._password_path)
        if port is None or password is None or port == self._foreign_port:
            return False
        try:
            with redis.Redis(
                host=_HOST,
                port=port,
                password=password,
                socket_timeout=_ANSWER_TIMEOUT_S,
                socket_connect_timeout=_ANSWER_TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
                # No greeting: AUTH and PING are all that is said.
                protocol=2,
                driver_info=None,
            ) as client:
                client.ping()
        except redis.AuthenticationError:
            self._foreign_port = port
            return False
        except redis.RedisError as error:
            return _SAYS_FULL in str(error)
        return True

    def finish_start(self) -> None:
        """There is nothing to create."""

    def may_launch_again(self) -> bool:
        """Somebody took the port between our choice and the server's bind: choose another."""
        port = self._port()
        return port is not None and not _is_free(port)

    def explain_exit(self) -> str:
        """What its log says, and what to do about it."""
        found = [
            line.split(_WARNING_MARK, 1)[1].rstrip(".")
            for line in self._log.lines_since_launch()
            if _WARNING_MARK in line
        ]
        advice = (
            f"It holds nothing but a cache: if its files are damaged, delete "
            f"{self._folder.path / 'data'} and start again. Its log: {self._log.path}"
        )
        said = f"It says: {'; '.join(found[-_EXPLAINED_LINES:])}. " if found else ""
        return said + advice

    def is_main_process(self, command: str, tag: str) -> bool:
        """Its children have other titles than the program's own path."""
        return command.endswith(f"/valkey-server {tag}")

    def is_any_process(self, command: str, tag: str) -> bool:
        """The configured title: what it is, and the tag."""
        child = command.startswith("valkey-") and command.endswith(f" {tag}")
        return child or self.is_main_process(command, tag)

    def clean_up(self) -> None:
        """It leaves nothing behind."""

    def _port(self) -> int | None:
        memo = read_private(self._port_path)
        return int(memo) if memo is not None and memo.isdecimal() else None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As Valkey itself does: connections that are still closing are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
