"""Fifty users at once, each with words of their own: nobody else's are found anywhere."""

import asyncio
import json
import logging
import re
from contextlib import aclosing
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest

from apex_actors.client import ApexClient
from apex_actors.protocol import RunStatus
from apex_actors.protocol.identity import Role

USERS = 50
USERS_OF_AN_ORG = 2
ROWS_OF_AN_ORG = 30

MARKER = re.compile(r"mark[uo]\d+x[0-9a-f]{12}")


@dataclass(frozen=True)
class Person:
    number: int
    user_marker: str
    """In what they write."""
    org_marker: str
    """The name of their organisation, and in its usage records."""

    @property
    def sub(self):
        return f"user-{self.number}"

    @property
    def own(self):
        return {self.user_marker, self.org_marker}


def marker(kind, number):
    return f"mark{kind}{number}x{uuid4().hex[:12]}"


@pytest.fixture
def people():
    orgs = [marker("o", number) for number in range(USERS // USERS_OF_AN_ORG)]
    return [
        Person(number, marker("u", number), orgs[number // USERS_OF_AN_ORG])
        for number in range(USERS)
    ]


def markers(text):
    return set(MARKER.findall(text))


def usage_of(person):
    return "".join(
        json.dumps(
            {
                "record_id": f"{person.org_marker}-{number}",
                "occurred_at": f"2026-11-{1 + number % 20:02d}T10:00:00Z",
                "provider": "openai",
                "model": "gpt-4o",
                "input_tokens": 10_000 + number,
                "output_tokens": 500,
                "feature": person.org_marker,
                "team": f"team {person.org_marker}",
                "tags": {"of": person.org_marker},
            }
        )
        + "\n"
        for number in range(ROWS_OF_AN_ORG)
    ).encode()


async def upload(node, person):
    # Whoever is an organisation of their own may import for it.
    token, _ = node.authority.issue(
        sub="importer", org=person.org_marker, roles=[Role.DATA_ADMIN], lifetime_s=600
    )
    async with httpx.AsyncClient(base_url=node.url, timeout=60) as http:
        answer = await http.post(
            "/api/usage",
            content=usage_of(person),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"},
        )
    assert answer.is_success, answer.text


async def live(node, person):
    """Ask, wait for the answer, and look at all that one has; every frame that came."""
    token, _ = node.authority.issue(sub=person.sub, org=person.org_marker, lifetime_s=600)
    frames = []
    async with ApexClient(node.url, token=token) as client, aclosing(client.frames()) as stream:
        accepted = await client.send_message(
            f"Analyze my AI costs by feature, {person.user_marker}",
            client_message_id=person.user_marker,
        )
        await client.rename_thread(accepted.thread_id, f"About {person.user_marker}")
        async for frame in stream:
            frames.append(frame)
            if frame["type"] == "run_finished":
                break
        assert frames[-1]["payload"]["status"] == RunStatus.COMPLETED
        looks = await asyncio.gather(
            client.list_threads(),
            client.thread_history(accepted.thread_id),
            client.get_run(accepted.run_id),
        )
        frames += [look.model_dump(mode="json") for look in looks]
        await client.set_preferences({"note": person.user_marker})
    return [json.dumps(frame) for frame in frames]


async def stored_rows(node):
    """Every row of every table, as text, with its user's number where it has one."""
    async with node.stores.database.connection() as connection:
        tables = await (
            await connection.execute(
                """
                select format('%I.%I', schemaname, tablename) as name from pg_tables
                where schemaname not in ('pg_catalog', 'information_schema')
                """
            )
        ).fetchall()
        for table in tables:
            query = f"select t::text as row, to_jsonb(t) ->> 'user_id' as user_id from {table['name']} t"  # noqa: S608 - names of the catalogue
            cursor = await connection.execute(query.encode())
            for row in await cursor.fetchall():
                yield table["name"], row["row"], row["user_id"]


async def cached(node):
    """Every key of the cache with all that it holds, as text."""
    client = node.stores.cache.client
    async for key in client.scan_iter(count=1000):
        match await client.type(key):
            case "string":
                value = await client.get(key)
            case "hash":
                value = await client.hgetall(key)
            case "zset":
                value = await client.zrange(key, 0, -1)
            case "set":
                value = await client.smembers(key)
            case "none":
                continue  # it has expired meanwhile
            case kind:
                pytest.fail(f"a key of a type that this test does not know: {kind}")
        yield f"{key} {value}"


async def test_promise_8_of_fifty_users_at_once_nobody_finds_anything_of_another(
    node, people, caplog
):
    caplog.set_level(logging.DEBUG)
    for person in people[::USERS_OF_AN_ORG]:
        await upload(node, person)
    frames = await asyncio.gather(*(live(node, person) for person in people))

    for person, own_frames in zip(people, frames, strict=True):
        seen = markers("".join(own_frames))
        assert seen == person.own, f"{person.sub} has seen {seen - person.own}"

    async with node.stores.database.connection() as connection:
        found = await (await connection.execute("select id, sub, org from apex.users")).fetchall()
    ids = {row["sub"]: str(row["id"]) for row in found}
    owners = {person.user_marker: person for person in people}
    tables_with_markers = set()
    async for table, row, user_id in stored_rows(node):
        told = markers(row)
        if not told:
            continue
        tables_with_markers.add(table)
        assert any(told <= person.own for person in people), f"{table} mixes {told}"
        for user_marker in told & owners.keys():
            assert user_id == ids[owners[user_marker].sub], f"{table} has it under another user"
    # It was looked where something is.
    assert {
        "apex.messages",
        "apex.events",
        "apex.threads",
        "apex.preferences",
    } <= tables_with_markers

    entries = [entry async for entry in cached(node)]
    # Keys of plans are digests with the organisation in them: each has one of its own.
    orgs = {person.org_marker for person in people}
    assert sum(entry.startswith("apex:result:plan:") for entry in entries) == len(orgs)
    for entry in entries:
        assert any(markers(entry) <= person.own for person in people)

    # What a user wrote is logged nowhere; a line may name one organisation.
    for line in caplog.text.splitlines():
        assert len(markers(line)) <= 1
        assert not markers(line) & owners.keys(), line
