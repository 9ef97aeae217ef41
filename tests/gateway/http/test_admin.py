"""What an operator sees of the live connections."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from websockets.asyncio.client import connect

from apex_actors.gateway.connection_info import ConnectionInfo
from apex_actors.protocol.identity import Role

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


def connection(number: int, *, org: str = "acme", sub: str = "ann") -> ConnectionInfo:
    return ConnectionInfo(
        connection_id=f"c{number:03}",
        node="n1",
        org=org,
        sub=sub,
        address="203.0.113.7",
        # Some at the very same moment: the order must hold all the same.
        connected_at=START + timedelta(microseconds=number // 3),
        last_sign_of_life_s=1.23456,
        seq=None if number % 2 else number,
        acknowledged=number,
        thread_id=UUID(int=number) if number % 2 else None,
        outbound_bytes=0,
        token_expires_at=START + timedelta(hours=1),
    )


@pytest.fixture
def live() -> list[ConnectionInfo]:
    return [connection(n, sub="bob" if n % 5 == 0 else "ann") for n in range(20)]


@pytest.fixture
def operator(serve, live, bearer):
    async def connections(org, sub):
        return [each for each in live if org in {None, each.org} and sub in {None, each.sub}]

    client = serve(connections=connections)
    client.headers.update(bearer("root", roles=(Role.ADMIN,)))
    return client


async def test_a_connection_is_shown_with_all_that_is_known_and_no_token(operator):
    page = (await operator.get("/api/admin/connections", params={"limit": 1})).json()

    assert page["total"] == 20
    assert page["connections"] == [
        {
            "connection_id": "c019",
            "node": "n1",
            "org": "acme",
            "sub": "ann",
            "address": "203.0.113.7",
            "connected_at": "2026-11-22T10:00:00.000Z",
            "last_sign_of_life_s": 1.235,
            "seq": None,
            "acknowledged": 19,
            "thread_id": str(UUID(int=19)),
            "outbound_bytes": 0,
            "token_expires_at": "2026-11-22T11:00:00.000Z",
        }
    ]


async def test_pages_go_through_all_even_when_connections_come_and_go(operator, live):
    seen, before = [], {}
    while True:
        page = (await operator.get("/api/admin/connections", params={"limit": 6} | before)).json()
        seen += [each["connection_id"] for each in page["connections"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
        # The one that the cursor names leaves, and a new one comes.
        live[:] = [each for each in live if each.connection_id != seen[-1]]
        live.append(connection(100 + len(seen)))

    assert seen == [f"c{number:03}" for number in range(19, -1, -1)]


async def test_connections_of_one_user_are_found(operator):
    page = (await operator.get("/api/admin/connections", params={"sub": "bob"})).json()
    none = (await operator.get("/api/admin/connections", params={"org": "other"})).json()

    assert {each["sub"] for each in page["connections"]} == {"bob"}
    assert page["total"] == 4
    assert none == {"connections": [], "total": 0, "next": None}


async def test_live_connections_of_a_node_are_among_them(http, bearer, node):
    admin = bearer("root", roles=(Role.ADMIN,))
    headers = bearer("ann", org="acme")
    async with connect(
        node.url.replace("http", "ws") + "/ws", additional_headers=headers
    ) as socket:
        await socket.recv()
        page = (
            await http.get("/api/admin/connections", params={"sub": "ann"}, headers=admin)
        ).json()

    (line,) = page["connections"]
    assert (line["org"], line["sub"]) == ("acme", "ann")
    assert line["address"].startswith("127.0.0.1")
    assert headers["Authorization"].removeprefix("Bearer ") not in str(page)
