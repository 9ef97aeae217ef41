"""PostgreSQL and Valkey of a chaos run: embedded, behind lines, with their faults."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apex_actors.storage.embedded import EmbeddedServerError, EmbeddedServers
from chaos_parts.lines import HOST, Address, Line

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.2
"""Between two looks after the servers: how soon somebody starts one again that died."""

DISK_BYTES: Final = 768 * 1024 * 1024
"""Size of the limited folder: room for a fresh PostgreSQL and all that a run writes."""

ANSWER_TIMEOUT_S: Final = 2.0


class Servers:
    """The databases of all nodes. They are reached through lines, whose ports never change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers = EmbeddedServers(data_dir=folder)
        self._watching: asyncio.Task[None] | None = None
        self._database_url = ""
        self._postgres_address: Address | None = None
        self.postgres_line = Line(lambda: self._postgres_address)
        self.valkey_line = Line(self._valkey_address)

    async def start(self) -> None:
        """Start both and look after them from now on."""
        await asyncio.to_thread(self._servers.start)
        self._database_url = self._servers.database_url
        query = parse_qs(urlsplit(self._database_url).query)
        self._postgres_address = Address(query["host"][0], int(query["port"][0]))
        await self.postgres_line.up()
        await self.valkey_line.up()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop both for good."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        self.resume(self.processes())
        await self.postgres_line.down()
        await self.valkey_line.down()
        await asyncio.to_thread(self._servers.stop)

    @property
    def direct_database_url(self) -> str:
        """Past the line: for the judge."""
        return self._database_url

    @property
    def database_url(self) -> str:
        """What nodes are given."""
        parts = urlsplit(self._database_url)
        user = quote(parts.username or "", safe="")
        password = parts.password or ""
        return f"postgresql://{user}:{password}@{HOST}:{self.postgres_line.port}{parts.path}"

    @property
    def redis_url(self) -> str:
        """What nodes are given."""
        parts = urlsplit(self._servers.redis_url)
        return f"redis://:{parts.password}@{HOST}:{self.valkey_line.port}{parts.path}"

    # What may be done to them.

    def kill_postgres(self) -> bool:
        """Kill -9 of the postmaster; its children notice."""
        pid = self._postmaster()
        if pid is not None:
            _signal([pid], signal.SIGKILL)
        return pid is not None

    async def kill_backend(self, random: Random) -> bool:
        """Kill -9 of one that serves a node: PostgreSQL restarts all of itself."""
        pids = await self._ask_for_backends()
        if pids:
            _signal([random.choice(pids)], signal.SIGKILL)
        return bool(pids)

    async def terminate_backends(self, random: Random, count: int) -> bool:
        """End some connections of nodes, as an administrator does."""
        pids = await self._ask_for_backends()
        random.shuffle(pids)
        _signal(pids[:count], signal.SIGTERM)
        return bool(pids)

    def pause_postgres(self) -> list[int]:
        """SIGSTOP of all its processes; returns them."""
        pid = self._postmaster()
        pids = [] if pid is None else [pid, *_children(pid)]
        _signal(pids, signal.SIGSTOP)
        return pids

    async def kill_valkey(self) -> bool:
        """Kill -9 of the server."""
        pid = await self._valkey_pid()
        if pid is not None:
            _signal([pid], signal.SIGKILL)
        return pid is not None

    async def pause_valkey(self) -> list[int]:
        """SIGSTOP of the server; returns it."""
        pid = await self._valkey_pid()
        pids = [] if pid is None else [pid]
        _signal(pids, signal.SIGSTOP)
        return pids

    def resume(self, pids: Iterable[int]) -> None:
        """SIGCONT."""
        _signal(pids, signal.SIGCONT)

    async def flush_cache(self) -> bool:
        """FLUSHALL: whether it was done."""
        try:
            async with self._valkey() as client:
                await client.flushall()
        except (RedisError, OSError, EmbeddedServerError):
            return False
        return True

    def processes(self) -> list[int]:
        """PostgreSQL's, for a last SIGCONT; Valkey's are continued by whoever paused it."""
        pid = self._postmaster()
        return [] if pid is None else [pid, *_children(pid)]

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Not a byte is free in the servers' folder meanwhile."""
        ballast = self._folder / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        try:
            yield
        finally:
            ballast.unlink()

    # Helpers.

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await asyncio.to_thread(self._servers.ensure_running)
            except EmbeddedServerError as error:
                logger.info("a server is not back yet: %s", error)

    def _valkey_address(self) -> Address | None:
        try:
            port = urlsplit(self._servers.redis_url).port
        except EmbeddedServerError:
            return None
        return None if port is None else Address(HOST, port)

    def _valkey(self) -> Redis:
        return Redis.from_url(
            self._servers.redis_url,
            socket_timeout=ANSWER_TIMEOUT_S,
            socket_connect_timeout=ANSWER_TIMEOUT_S,
        )

    async def _valkey_pid(self) -> int | None:
        try:
            async with self._valkey() as client:
                information: dict[str, Any] = await client.info("server")
        except (RedisError, OSError, EmbeddedServerError):
            return None
        return int(information["process_id"])

    def _postmaster(self) -> int | None:
        path = self._folder / "postgres" / "data" / "postmaster.pid"
        try:
            pid = int(path.read_text(encoding="utf-8").splitlines()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            return None
        return pid if str(self._folder).encode() in command else None

    async def _ask_for_backends(self) -> list[int]:
        try:
            async with await psycopg.AsyncConnection.connect(
                self._database_url, connect_timeout=2, autocommit=True
            ) as connection:
                cursor = await connection.execute(
                    "select pid from pg_stat_activity"
                    " where application_name like 'apex-%' and backend_type = 'client backend'"
                    " and application_name not like 'apex-embedded%' order by pid"
                )
                return [pid for (pid,) in await cursor.fetchall()]
        except psycopg.Error:
            return []


@contextmanager
def limited_folder(path: Path) -> Iterator[str | None]:
    """Make ``path`` a small file system of its own while the block runs; why not, else None."""
    if os.geteuid() != 0:
        yield "needs root: a folder of limited size is a mount"
        return
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "chaos", str(path)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed
    except OSError as error:
        yield f"there is no mount command: {error.strerror}"
        return
    if mounted.returncode != 0:
        yield "this system lets nobody mount a folder of limited size"
        return
    try:
        yield None
    finally:
        subprocess.run(["umount", "-l", str(path)], capture_output=True, check=True)  # noqa: S603, S607 - fixed


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(child) for child in text.split()]
