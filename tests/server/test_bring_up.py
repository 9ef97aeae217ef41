"""A node that starts without its servers serves what it can, and all of it when they are there."""

import asyncio
import json
import logging
import socket as sockets
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from apex_actors.actors import ActorSystem
from apex_actors.protocol import Event, RunGrammar, is_event
from apex_actors.protocol.identity import Role
from apex_actors.server import node as node_module
from apex_actors.server.bring_up import (
    LONGEST_PAUSE_S,
    QUICK_RETRIES,
    RETRY_S,
    Foundation,
    pause_s,
)
from apex_actors.server.node import DEVELOPMENT_ORG, Node, Part
from apex_actors.storage.database import Database
from apex_actors.storage.errors import DatabaseRefusedError, MigrationError
from apex_actors.storage.revocations import RevocationStore, RevokedUser

QUESTION = {"type": "user_message", "text": "Analyze my AI costs", "client_message_id": "q1"}


@pytest.fixture(autouse=True)
async def nothing_left():
    yield
    assert ActorSystem.current().alive() == []


@pytest.fixture
def without_database(sample_settings, database_relay):
    """Settings with a way to the database that the test cuts and mends."""
    return sample_settings.model_copy(update={"database_url": SecretStr(database_relay.url)})


@pytest.fixture
def tries(mocker):
    """Counts how often nodes try to bring their databases up."""
    return mocker.spy(Foundation, "lay")


@pytest.fixture
async def no_database(database_relay):
    await database_relay.cut()
    return database_relay


def token_of(node, sub="ann", **options):
    return node.authority.issue(sub=sub, org=DEVELOPMENT_ORG, lifetime_s=600, **options)[0]


class Client:
    """One socket, and all that came through it, in order."""

    def __init__(self, socket):
        self._socket = socket
        self.frames = []

    async def send(self, **message):
        await self._socket.send(json.dumps(message))

    async def next(self, timeout_s=30):
        frame = json.loads(await asyncio.wait_for(self._socket.recv(), timeout_s))
        self.frames.append(frame)
        return frame

    async def until(self, kind):
        while (await self.next())["type"] != kind:
            pass
        return self.frames[-1]

    async def ask(self, **message):
        """The direct reply."""
        await self.send(**message, request_id="r")
        while (await self.next()).get("request_id") != "r":
            pass
        return self.frames[-1]

    def of(self, kind):
        return [frame for frame in self.frames if frame["type"] == kind]


@asynccontextmanager
async def client_of(node, token=None, query=""):
    headers = {"Authorization": f"Bearer {token or token_of(node)}"}
    async with connect(
        node.url.replace("http", "ws", 1) + "/ws" + query, additional_headers=headers
    ) as socket:
        yield Client(socket)


@pytest.fixture
def http_of():
    @asynccontextmanager
    async def http_of(node, **options):
        headers = {"Authorization": f"Bearer {token_of(node, **options)}"}
        async with httpx.AsyncClient(base_url=node.url, headers=headers) as http:
            yield http

    return http_of


async def runs_to_its_end(client):
    """A message is accepted, and its run completes by the grammar."""
    accepted = await client.ask(**QUESTION)
    assert accepted["type"] == "message_accepted"
    finished = await client.until("run_finished")
    assert finished["payload"]["status"] == "completed"
    events = [Event.from_wire(frame) for frame in client.frames if is_event(frame)]
    assert RunGrammar().check(events) == []
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return accepted


# Without the database.


async def test_services_missing_at_connect_time_hurt_nobody_and_all_is_there_when_they_come(
    without_database, no_database, http_of
):
    async with Node(without_database) as node, client_of(node) as client, http_of(node) as http:
        welcome = await client.next()
        assert (welcome["type"], welcome["mode"]) == ("connection_ready", "degraded")
        assert (welcome["seq"], welcome["epoch"], welcome["recovered"]) == (None, None, None)
        degraded = await client.until("service_degraded")
        assert degraded["components"] == ["database", "schema"]
        assert "prepared" in degraded["message"]

        assert (await client.ask(type="ping"))["type"] == "pong"
        assert (await client.ask(type="heartbeat"))["type"] == "heartbeat_ack"
        greeted = await client.ask(type="user_message", text="Hello!")
        assert (greeted["type"], greeted["code"]) == ("error", "service_degraded")
        assert greeted["message"].startswith("Hello! I analyze")
        assert greeted["retry_after_ms"] > 0
        refused = await client.ask(type="start_agent", user_request="Analyze my AI costs")
        assert (refused["code"], "I analyze" in refused["message"]) == ("service_degraded", False)
        assert (await client.ask(type="list_threads"))["code"] == "service_degraded"

        ready = await http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["components"] == {
            "database": "down",
            "schema": "down",
            "cache": "up",
            "worker": "up",
            "agents": "up",
        }
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/metrics")).status_code == 200
        threads = await http.get("/api/threads")
        assert (threads.status_code, threads.headers["Retry-After"]) == (503, "1")
        assert threads.json()["error"]["code"] == "service_degraded"

        await no_database.mend()
        resumed = await client.until("resumed")
        assert resumed == {
            "type": "resumed",
            "epoch": resumed["epoch"],
            "seq": 0,
            "recovered": None,
        }
        assert resumed["epoch"]
        while not client.of("service_recovered"):
            await client.next()
        accepted = await runs_to_its_end(client)
        assert not accepted["duplicate"]
        assert client.of("message_accepted") == [accepted]
        ready = await http.get("/readyz")
        assert (ready.status_code, set(ready.json()["components"].values())) == (200, {"up"})
        # And the links of its answer open.
        [final] = client.of("final_response")
        link = next(a["url"] for a in final["payload"]["artifacts"] if a["kind"] == "markdown")
        async with httpx.AsyncClient(base_url=node.url) as anybody:
            assert (await anybody.get(link)).status_code == 200
        assert client._socket.close_code is None


async def test_the_cursor_of_a_client_is_kept_until_the_log_is_there(
    without_database, database_relay
):
    async with Node(without_database) as node, client_of(node) as client:
        epoch = (await client.next())["epoch"]
        await runs_to_its_end(client)
        log = [frame for frame in client.frames if is_event(frame)]
    await database_relay.cut()
    async with (
        Node(without_database) as node,
        client_of(node, query=f"?after=2&epoch={epoch}") as client,
    ):
        assert (await client.next())["mode"] == "degraded"
        await database_relay.mend()
        while len([frame for frame in client.frames if is_event(frame)]) < len(log) - 2:
            await client.next()
    kinds = [frame["type"] for frame in client.frames]
    [resumed] = client.of("resumed")
    assert (resumed["epoch"], resumed["seq"], resumed["recovered"]) == (epoch, 2, True)
    assert [frame for frame in client.frames if is_event(frame)] == log[2:]
    assert kinds.index("resumed") < min(kinds.index(frame["type"]) for frame in log[2:])


async def test_in_the_first_seconds_a_handshake_waits_for_a_database_that_is_just_coming(
    without_database, no_database, eventually
):
    def kinds():
        return {ref.actor_class.__name__ for ref in ActorSystem.current().alive()}

    gateway = without_database.gateway.model_copy(update={"greeting_timeout_s": 5.0})
    async with Node(without_database.model_copy(update={"gateway": gateway})) as node:

        async def mode():
            async with client_of(node) as client:
                return (await client.next())["mode"]

        waiting = asyncio.create_task(mode())
        # It has asked for its log in vain by now.
        await eventually(lambda: "ConnectionActor" in kinds())
        await no_database.mend()
        assert await waiting == "full"


async def test_administrators_and_links_are_refused_while_the_database_was_never_seen(
    without_database, no_database, http_of
):
    async with Node(without_database) as node, http_of(node, roles=[Role.ADMIN]) as http:
        assert (await http.get("/api/admin/connections")).status_code == 401
        link = "/api/runs/018f0000-0000-7000-8000-000000000000/report.md"
        forged = await http.get(link, params={"expires": "9999999999", "signature": "x"})
        assert forged.status_code == 503
        assert (
            await http.get("/api/threads", headers={"Authorization": "Bearer x"})
        ).status_code == 401
        await no_database.mend()
        await node.foundation.laid()
        assert (await http.get("/api/admin/connections")).status_code == 200
        forged = await http.get(link, params={"expires": "9999999999", "signature": "x"})
        assert forged.status_code == 401


async def test_a_token_revoked_long_ago_does_nothing_in_the_moment_the_database_comes(
    without_database, no_database, sample_database_url
):
    # The watch itself would look in a minute only, as far as this test is concerned.
    auth = without_database.auth.model_copy(update={"revocation_poll_s": 60.0})
    async with Node(without_database.model_copy(update={"auth": auth})) as node:
        token = token_of(node, "eve")
        database = Database(sample_database_url)
        await database.open()
        now = datetime.now(UTC)
        await RevocationStore(database).add(
            RevokedUser(DEVELOPMENT_ORG, "eve", now + timedelta(seconds=5)),
            expires_at=now + timedelta(hours=1),
        )
        async with client_of(node, token) as client:
            assert (await client.next())["mode"] == "degraded"
            await no_database.mend()
            with pytest.raises(ConnectionClosed):
                await client.until("never")
            assert client._socket.close_code == 4401
            assert client.of("resumed") == []
        await database.close()


async def test_a_database_that_comes_late_is_migrated(
    without_database, admin_database_url, database_relay
):
    name = "apex_late"
    with psycopg.connect(admin_database_url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    try:
        await database_relay.cut()
        url = psycopg.conninfo.make_conninfo(
            without_database.database_url.get_secret_value(), dbname=name
        )
        late = without_database.model_copy(update={"database_url": SecretStr(url)})
        async with Node(late) as node, client_of(node) as client:
            assert (await client.next())["mode"] == "degraded"
            await database_relay.mend()
            await client.until("resumed")
            assert (await client.ask(**QUESTION))["type"] == "message_accepted"
            await client.until("run_finished")
    finally:
        with psycopg.connect(admin_database_url, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


async def test_a_worker_waits_for_its_database_and_says_so_once(
    without_database, no_database, sample_settings, caplog, eventually, tries
):
    caplog.set_level(logging.WARNING, "apex_actors")

    def said(words):
        return [record for record in caplog.messages if words in record]

    async with (
        Node(sample_settings, part=Part.GATEWAY) as gateway,
        client_of(gateway) as client,
        Node(without_database, part=Part.WORKER) as worker,
    ):
        await client.next()
        assert (await client.ask(**QUESTION))["type"] == "message_accepted"
        assert worker.port == 0
        await eventually(lambda: tries.call_count >= 5)
        assert len(said("the database is away")) == 1
        assert len(said("no work can be claimed")) == 1
        assert not worker.foundation.is_laid
        await no_database.mend()
        finished = await client.until("run_finished")
        assert finished["payload"]["status"] == "completed"
        assert len(said("the database is there")) == 1
    assert not any("password" in message for message in caplog.messages)


async def test_a_database_that_is_silent_keeps_neither_the_start_nor_the_stop_waiting(
    without_database, monkeypatch
):
    monkeypatch.setattr(node_module, "LISTEN_ANYWAY_S", 0.05)
    monkeypatch.setattr(node_module, "START_ANYWAY_S", 0.05)
    with sockets.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        settings = without_database.model_copy(update={"database_url": SecretStr(url)})
        async with asyncio.timeout(20):
            async with Node(settings) as node, client_of(node) as client:
                assert (await client.next())["mode"] == "degraded"
                assert (await client.ask(type="ping"))["type"] == "pong"


# What waiting does not help.


@pytest.mark.parametrize("change", [{"password": "wrong"}, {"dbname": "apex_nowhere"}])
async def test_a_database_that_lets_nobody_in_ends_the_start(without_database, change):
    url = psycopg.conninfo.make_conninfo(without_database.database_url.get_secret_value(), **change)
    refused = without_database.model_copy(update={"database_url": SecretStr(url)})
    with pytest.raises(DatabaseRefusedError, match="APEX_DATABASE_URL") as told:
        await Node(refused).start()
    assert "wrong" not in str(told.value)
    assert ActorSystem.current().alive() == []


async def test_a_database_of_a_newer_version_ends_the_start(sample_settings, sample_database_url):
    with psycopg.connect(sample_database_url, autocommit=True) as connection:
        connection.execute("insert into apex.schema_migrations values (9999, 'later', 'x')")
    with pytest.raises(MigrationError, match="newer version"):
        await Node(sample_settings).start()
    assert ActorSystem.current().alive() == []


async def test_one_that_comes_late_ends_nothing_is_said_once_and_may_be_mended(
    without_database, no_database, sample_database_url, http_of, caplog, eventually, tries
):
    with psycopg.connect(sample_database_url, autocommit=True) as connection:
        connection.execute("insert into apex.schema_migrations values (9999, 'later', 'x')")
        async with Node(without_database) as node, client_of(node) as client:
            await no_database.mend()
            await eventually(lambda: "install the newer version" in caplog.text)
            said = tries.call_count
            await eventually(lambda: tries.call_count >= said + 2)
            assert caplog.text.count("install the newer version") == 1
            assert (await client.ask(type="ping"))["type"] == "pong"
            async with http_of(node) as http:
                assert (await http.get("/readyz")).status_code == 503
            connection.execute("delete from apex.schema_migrations where version = 9999")
            await client.until("resumed")
            await runs_to_its_end(client)


# Without the cache, and without both.


async def test_a_node_that_starts_without_valkey_takes_and_executes_messages(
    sample_settings, relay
):
    settings = sample_settings.model_copy(update={"redis_url": SecretStr(relay.url)})
    await relay.cut()
    async with Node(settings) as node, client_of(node) as client:
        assert (await client.next())["mode"] == "full"
        assert (await client.until("service_degraded"))["components"] == ["cache"]
        await runs_to_its_end(client)
        await relay.mend()
        assert (await client.until("service_recovered"))["components"] == ["cache"]


async def test_a_node_that_starts_without_both_gets_them_one_by_one(
    without_database, no_database, relay, http_of
):
    settings = without_database.model_copy(update={"redis_url": SecretStr(relay.url)})
    await relay.cut()
    async with Node(settings) as node, client_of(node) as client, http_of(node) as http:
        assert (await client.next())["mode"] == "degraded"
        degraded = await client.until("service_degraded")
        assert set(degraded["components"]) <= {"cache", "database", "schema"}
        components = (await http.get("/readyz")).json()["components"]
        away = dict.fromkeys(("database", "schema", "cache"), "down")
        assert components == away | {"worker": "up", "agents": "up"}
        assert (await client.ask(type="user_message", text="help"))["code"] == "service_degraded"
        await no_database.mend()
        await client.until("resumed")
        await runs_to_its_end(client)
        assert (await http.get("/readyz")).status_code == 200
        await relay.mend()
        while not any("cache" in frame["components"] for frame in client.of("service_recovered")):
            await client.next()
        assert (await client.ask(type="ping"))["type"] == "pong"


# How often it is tried.


def test_the_first_tries_follow_each_other_at_one_pace():
    assert [pause_s(failures, 0.3) for failures in range(1, QUICK_RETRIES + 1)] == [RETRY_S] * 3


@given(st.integers(QUICK_RETRIES + 1, 10**9), st.floats(0, 1))
def test_later_pauses_grow_to_a_bound_and_differ_between_nodes(failures, chance):
    assert RETRY_S / 2 <= pause_s(failures, chance) <= LONGEST_PAUSE_S
    assert pause_s(failures, 0) < pause_s(failures, 1)
