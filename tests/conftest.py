"""Fixtures that all tests share: real servers in temporary folders, gone afterwards."""

import asyncio
import inspect
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Self

import httpx
import hypothesis
import jsonschema
import psycopg
import pytest
import redis

from apex_actors.actors import ActorSystem
from apex_actors.agents.savings_keeper import work_out_a_piece
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.protocol.asyncapi import asyncapi_document
from apex_actors.protocol.events import Event
from apex_actors.protocol.scalars import format_timestamp, parse_timestamp
from apex_actors.server.node import Node
from apex_actors.server.settings import Settings, load_settings
from apex_actors.storage.cache import Cache
from apex_actors.storage.database import Database
from apex_actors.storage.embedded import EmbeddedServers
from apex_actors.storage.migrate import migrate
from apex_actors.storage.savings import SavingsStore
from apex_actors.storage.sessions import SessionStore
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.work import ThreadRunner

# A deadline for each example would fail tests for what else the machine does.
hypothesis.settings.register_profile("apex", deadline=None)
hypothesis.settings.load_profile("apex")

#: The day on which the sample data of the tests end.
SAMPLE_DAY = date(2026, 11, 22)


@pytest.fixture
def eventually():
    """Wait for a condition with a deadline: ``await eventually(lambda: thing.done)``.

    The condition may be a coroutine function.
    """

    async def wait(condition: Callable[[], object], *, timeout_s: float = 10.0) -> None:
        async def is_met() -> bool:
            met = condition()
            return bool(await met if inspect.isawaitable(met) else met)

        deadline = time.monotonic() + timeout_s
        while not await is_met():
            if time.monotonic() > deadline:
                pytest.fail(f"condition not met within {timeout_s} s")
            await asyncio.sleep(0.005)

    return wait


class WireSchema:
    """Checks frames of real traffic against an AsyncAPI document, as a stranger's client would."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._names = document["components"]["messages"]
        self._formats = jsonschema.FormatChecker(["uuid"])
        self._formats.checks("date-time", raises=ValueError)(self._is_timestamp)

    def sent(self, frame: dict[str, Any]) -> None:
        """A frame that a client sends must be one of the document's messages."""
        self._check(frame, "json_rpc_request" if "jsonrpc" in frame else frame["type"])

    def received(self, frame: dict[str, Any]) -> None:
        """And so must what the server answers or says."""
        if "jsonrpc" in frame:
            name = "json_rpc_error" if "error" in frame else "json_rpc_response"
        elif "event_id" in frame or f"server_{frame['type']}" not in self._names:
            name = frame["type"]
        else:
            name = f"server_{frame['type']}"
        self._check(frame, name)

    def _check(self, frame: dict[str, Any], name: str) -> None:
        assert name in self._names, f"the document has no message {name}"
        schema = {**self._document, "$ref": f"#/components/messages/{name}/payload"}
        checker = jsonschema.Draft7Validator(schema, format_checker=self._formats)
        found = [f"{error.json_path}: {error.message}" for error in checker.iter_errors(frame)]
        assert found == [], f"{name}: {found}"

    @staticmethod
    def _is_timestamp(value: object) -> bool:
        return not isinstance(value, str) or format_timestamp(parse_timestamp(value)) == value


@pytest.fixture(scope="session")
def wire_schema() -> WireSchema:
    """The document of the protocol as the models make it: ``wire_schema.received(frame)``."""
    return WireSchema(asyncapi_document(version="0", server="ws://localhost"))


@pytest.fixture
def clean_env(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any APEX_ variable of the person who runs the tests."""
    for name in list(os.environ):
        if name.startswith("APEX_"):
            monkeypatch.delenv(name)
    return monkeypatch


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder for embedded servers, with a space in its path.

    Not one of pytest's: those are private, and made private again by each pytest that starts,
    so that the unprivileged account of the servers could not reach its data any more.
    """
    folder = Path(tempfile.mkdtemp(prefix="apex tests "))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """The data folder of a server that this test starts."""
    with server_folder() as folder:
        yield folder / "data"


@pytest.fixture(scope="session")
def servers() -> Iterator[EmbeddedServers]:
    """One PostgreSQL and one Valkey for the whole session."""
    with server_folder() as folder, EmbeddedServers(data_dir=folder) as running:
        with psycopg.connect(running.database_url, autocommit=True) as connection:
            # The machine does not crash during these tests, and a disk that many share is slow;
            # the tests of durability start servers of their own.
            connection.execute("alter system set fsync = off")
            connection.execute("alter system set full_page_writes = off")
            connection.execute("select pg_reload_conf()")
        yield running


@pytest.fixture(scope="session")
def private_valkey() -> Iterator[str]:
    """A Valkey beside the session's, for tests that count its clients or cut them off."""
    with server_folder() as folder, EmbeddedServers(data_dir=folder, postgres=False) as running:
        yield running.redis_url


@pytest.fixture(scope="session")
def admin_database_url(request: pytest.FixtureRequest) -> str:
    """A database to create others from: APEX_TEST_DATABASE_URL, or the embedded server's."""
    given = os.environ.get("APEX_TEST_DATABASE_URL")
    return given or request.getfixturevalue("servers").database_url


@pytest.fixture(scope="session")
def template_database(admin_database_url: str) -> Iterator[str]:
    """A migrated database that each test's own one is copied from."""
    name = f"apex_template_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(admin_database_url, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
        asyncio.run(migrate(psycopg.conninfo.make_conninfo(admin_database_url, dbname=name)))
        yield name
        connection.execute(f"drop database {name} with (force)".encode())


@pytest.fixture(scope="session")
def sample_template_database(admin_database_url: str, template_database: str) -> Iterator[str]:
    """A database with the sample data of org "demo", to copy from."""

    async def load(url: str) -> None:
        database = Database(url)
        await database.open()
        usage = UsageRepository(database)
        catalogue = PriceCatalogue()
        await usage.import_sample("demo", SAMPLE_DAY, catalogue=catalogue)
        # Once, and not behind each test's back.
        savings, work = SavingsStore(database), ThreadRunner()
        while await work_out_a_piece(savings, usage, catalogue, work):
            pass
        await database.close()

    with copy_of(template_database, admin_database_url) as url:
        asyncio.run(load(url))
        yield psycopg.conninfo.conninfo_to_dict(url)["dbname"]


@pytest.fixture(scope="session")
def copied_database(
    admin_database_url: str, template_database: str
) -> Callable[[], AbstractContextManager[str]]:
    """Make a fresh, migrated database for as long as a block runs; gives its URL."""
    return lambda: copy_of(template_database, admin_database_url)


@pytest.fixture
def database_url(admin_database_url: str, template_database: str) -> Iterator[str]:
    """A fresh, migrated database for this test."""
    with copy_of(template_database, admin_database_url) as url:
        yield url


@pytest.fixture
def sample_database_url(admin_database_url: str, sample_template_database: str) -> Iterator[str]:
    """A fresh database for this test, with the sample data of org "demo"."""
    with copy_of(sample_template_database, admin_database_url) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open pool on this test's database."""
    pool = Database(database_url)
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty Valkey: APEX_TEST_REDIS_URL, or the embedded server."""
    url = os.environ.get("APEX_TEST_REDIS_URL") or request.getfixturevalue("servers").redis_url
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield url
        client.flushall()


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[Cache]:
    """An open cache on that Valkey."""
    cache = Cache(redis_url)
    yield cache
    await cache.close()


@pytest.fixture
def sessions(database: Database, cache: Cache) -> SessionStore:
    """The sessions of users, on both."""
    return SessionStore(database, cache)


Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Relay:
    """A way to a server that can be cut, as when the server dies, and mended."""

    def __init__(self, connect: Connect, url_at: Callable[[int], str]) -> None:
        self._connect = connect
        self._url_at = url_at
        self._own_port = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    def to_valkey(cls, redis_url: str) -> Self:
        """A way to a Valkey or Redis."""
        credentials, _, address = redis_url.removeprefix("redis://").rpartition("@")
        host, _, port = address.split("/")[0].partition(":")
        return cls(
            lambda: asyncio.open_connection(host, int(port)),
            lambda own_port: f"redis://{credentials}@127.0.0.1:{own_port}",
        )

    @classmethod
    def to_postgresql(cls, database_url: str) -> Self:
        """A way to a database; a host that is a folder has a socket file for the port."""
        known = psycopg.conninfo.conninfo_to_dict(database_url)
        host, port = str(known.get("host", "127.0.0.1")), int(known.get("port") or 5432)

        def connect() -> Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
            if host.startswith("/"):
                return asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
            return asyncio.open_connection(host, port)

        return cls(
            connect,
            lambda own_port: psycopg.conninfo.make_conninfo(
                database_url, host="127.0.0.1", port=own_port
            ),
        )

    @property
    def url(self) -> str:
        """Where clients find it."""
        return self._url_at(self._own_port)

    async def mend(self) -> None:
        """Let clients through, from now on or again."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End all connections, and take no new ones."""
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
            await asyncio.wait([task])
        await self._server.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there_reader, there_writer = await self._connect()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._copy(reader, there_writer))
                both.create_task(self._copy(there_reader, writer))
        except asyncio.CancelledError:
            pass  # cut: the streams are told below
        finally:
            for stream in (writer, there_writer):
                stream.transport.abort()
            self._tasks.discard(task)

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
        writer.close()


@pytest.fixture
async def relay(private_valkey: str) -> AsyncIterator[Relay]:
    """A way to the private Valkey."""
    relay = Relay.to_valkey(private_valkey)
    await relay.mend()
    yield relay
    await relay.cut()


@pytest.fixture
async def database_relay(sample_database_url: str) -> AsyncIterator[Relay]:
    """A way to a database with the sample data of org "demo"."""
    relay = Relay.to_postgresql(sample_database_url)
    await relay.mend()
    yield relay
    await relay.cut()


@dataclass
class RecordingAnnouncer:
    """Remembers what was announced."""

    events: list[Event] = field(default_factory=list)
    work: int = 0

    def events_committed(self, _user_id: int, events: Sequence[Event]) -> None:
        self.events.extend(events)

    def work_available(self) -> None:
        self.work += 1


@pytest.fixture
def announcer() -> RecordingAnnouncer:
    """What the execution floor tells its news to."""
    return RecordingAnnouncer()


def settings_of(
    environment: pytest.MonkeyPatch, database_url: str, redis_url: str, data_dir: Path
) -> Settings:
    """Settings of a development node on these servers."""
    environment.setenv("APEX_DATABASE_URL", database_url)
    environment.setenv("APEX_REDIS_URL", redis_url)
    return load_settings(mode="development", data_dir=data_dir, port=0)


@pytest.fixture
def settings(
    database_url: str, redis_url: str, tmp_path: Path, clean_env: pytest.MonkeyPatch
) -> Settings:
    """Settings of a node on this test's own servers."""
    return settings_of(clean_env, database_url, redis_url, tmp_path)


@pytest.fixture
def sample_settings(
    sample_database_url: str, redis_url: str, tmp_path: Path, clean_env: pytest.MonkeyPatch
) -> Settings:
    """The same, with the sample data."""
    return settings_of(clean_env, sample_database_url, redis_url, tmp_path)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Node]:
    """A whole node in the test's event loop; nothing of it may be left afterwards."""
    async with Node(settings) as node:
        yield node
    assert ActorSystem.current().alive() == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
async def node(settings: Settings) -> AsyncIterator[Node]:
    """A node without any usage records."""
    async with running(settings) as node:
        yield node


@pytest.fixture
async def sample_node(sample_settings: Settings) -> AsyncIterator[Node]:
    """A node with the sample data of org "demo"."""
    async with running(sample_settings) as node:
        yield node


@dataclass
class LiveServer:
    """A development server in a process of its own, with the sample data of org "demo"."""

    url: str
    process: subprocess.Popen[str]

    def token(self, sub: str, org: str | None = None) -> str:
        """A token of the server's own sign-in."""
        answer = httpx.post(f"{self.url}/dev/token", json={"sub": sub, "org": org})
        return answer.raise_for_status().json()["token"]


@pytest.fixture(scope="session")
def live_server(
    admin_database_url: str,
    sample_template_database: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LiveServer]:
    """``apex up`` on the session's servers, as a person would start it."""
    redis_url = os.environ.get("APEX_TEST_REDIS_URL")
    redis_url = redis_url or request.getfixturevalue("servers").redis_url
    with (
        copy_of(sample_template_database, admin_database_url) as database_url,
        run_development_server(
            APEX_DATABASE_URL=database_url,
            APEX_REDIS_URL=redis_url,
            APEX_DATA_DIR=str(tmp_path_factory.mktemp("live server")),
        ) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def development_server() -> Callable[..., AbstractContextManager[LiveServer]]:
    """Start ``apex up`` with these variables: ``with development_server(APEX_…=…) as server:``."""
    return run_development_server


@contextmanager
def run_development_server(**environment: str) -> Iterator[LiveServer]:
    """``apex up`` on a free port, stopped by a signal; it must end well, unless it was killed."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("APEX_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "apex_actors", "up", "--port", "0"],
        env=own | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process.stdout:
        link = process.stdout.readline()
        assert "#token=" in link, "the server did not come up: see its log above"
        yield LiveServer(link.split("/#token=")[0], process)
        process.terminate()
        assert process.wait(timeout=30) in {0, -signal.SIGKILL}


@contextmanager
def copy_of(template: str, admin_url: str) -> Iterator[str]:
    """The URL of a database copied from ``template``, dropped afterwards."""
    name = f"apex_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}".encode())
        yield psycopg.conninfo.make_conninfo(admin_url, dbname=name)
        connection.execute(f"drop database {name} with (force)".encode())
