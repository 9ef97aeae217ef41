"""Tokens over real sockets: announced, refreshed, expired, revoked on every node."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from apex_actors.protocol.identity import Role
from apex_actors.server.node import Node
from apex_actors.storage.revocations import RevocationStore, RevokedToken, RevokedUser

#: What the issue allows from a revocation to the last close, in seconds; the tests wait longer only
#: because machines may be busy.
PATIENCE_S = 20.0


def open_socket(node, token):
    return connect(
        node.url.replace("http", "ws", 1) + "/ws",
        additional_headers={"Authorization": f"Bearer {token}"},
    )


async def frame_of(socket, kind):
    async with asyncio.timeout(PATIENCE_S):
        while True:
            frame = json.loads(await socket.recv())
            if frame["type"] == kind:
                return frame


async def close_code(socket):
    async with asyncio.timeout(PATIENCE_S):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


def issue(node, sub="ann", lifetime_s=600, **claims):
    return node.authority.issue(sub=sub, org="acme", lifetime_s=lifetime_s, **claims)[0]


@pytest.fixture
async def nodes(settings):
    """Two nodes with one database, one cache and one secret."""
    async with Node(settings) as one, Node(settings) as two:
        yield one, two


async def test_an_expiring_token_is_announced_and_its_connection_closed_4401(node):
    token = issue(node, lifetime_s=2)
    async with open_socket(node, token) as socket:
        notice = await frame_of(socket, "token_expiring")
        assert 0 <= notice["expires_in_s"] <= 2
        assert await close_code(socket) == 4401
    await asyncio.sleep(node._settings.auth.leeway_s)  # what clocks may differ
    with pytest.raises(InvalidStatus):
        await connect_and_leave(node, token)


async def connect_and_leave(node, token):
    async with open_socket(node, token):
        pass


async def test_a_refreshed_token_keeps_the_connection(node):
    async with open_socket(node, issue(node, lifetime_s=3)) as socket:
        await frame_of(socket, "token_expiring")
        later = issue(node, lifetime_s=600)
        await socket.send(json.dumps({"type": "refresh_token", "token": later, "request_id": "r"}))
        refreshed = await frame_of(socket, "token_refreshed")
        assert refreshed["request_id"] == "r"
        expires_at = datetime.fromisoformat(refreshed["token_expires_at"])
        assert expires_at > datetime.now(UTC) + timedelta(seconds=500)
        await asyncio.sleep(3.5)  # beyond the end of the first one
        await socket.send('{"type":"ping","request_id":"still here"}')
        while (await frame_of(socket, "pong")).get("request_id") != "still here":
            pass


async def test_a_refresh_with_anothers_token_closes_4401_and_with_a_bad_one_changes_nothing(node):
    async with open_socket(node, issue(node)) as socket:
        await socket.send('{"type":"refresh_token","token":"nonsense"}')
        assert (await frame_of(socket, "error"))["code"] == "unauthorized"
        await socket.send('{"type":"ping"}')
        await frame_of(socket, "pong")
        other = issue(node, sub="bob")
        await socket.send(json.dumps({"type": "refresh_token", "token": other}))
        assert await close_code(socket) == 4401


async def test_a_revoked_user_is_closed_on_all_nodes_and_let_in_nowhere(nodes, database):
    one, two = nodes
    token, bystander = issue(one), issue(one, sub="bob")
    async with (
        open_socket(one, token) as here,
        open_socket(two, token) as there,
        open_socket(two, bystander) as apart,
    ):
        for socket in (here, there, apart):
            await frame_of(socket, "connection_ready")
        await asyncio.sleep(1.1)  # tokens say when they were issued in whole seconds
        now = datetime.now(UTC)
        await RevocationStore(database).add(
            RevokedUser(org="acme", sub="ann", issued_before=now),
            expires_at=now + timedelta(days=1),
        )
        assert await close_code(here) == 4401
        assert await close_code(there) == 4401
        await apart.send('{"type":"ping"}')
        await frame_of(apart, "pong")
        for node in nodes:
            with pytest.raises(InvalidStatus) as refused:
                await connect_and_leave(node, token)
            assert refused.value.response.status_code == 401
            await asyncio.sleep(1.1)
            await connect_and_leave(node, issue(node))


async def test_one_token_is_revoked_by_its_id_and_the_users_other_tokens_stay(node, database):
    lost, kept = issue(node), issue(node)
    lost_id = node.authority.verify(lost).token_id
    async with open_socket(node, lost) as gone, open_socket(node, kept) as stays:
        await frame_of(gone, "connection_ready")
        await RevocationStore(database).add(
            RevokedToken(lost_id), expires_at=datetime.now(UTC) + timedelta(days=1)
        )
        assert await close_code(gone) == 4401
        await stays.send('{"type":"ping"}')
        await frame_of(stays, "pong")


async def test_an_administrator_is_refused_while_revocations_cannot_be_looked_up(
    settings, monkeypatch, eventually
):
    auth = settings.auth.model_copy(update={"revocation_poll_s": 0.5})
    async with Node(settings.model_copy(update={"auth": auth})) as node:
        admin = issue(node, roles=[Role.ADMIN])
        await connect_and_leave(node, admin)

        async def away(*_args, **_kwargs):
            raise TimeoutError

        monkeypatch.setattr(RevocationStore, "live", away)
        doorkeeper = node._gateway.doorkeeper
        await eventually(lambda: not doorkeeper._revocations.is_current)
        with pytest.raises(InvalidStatus) as refused:
            await connect_and_leave(node, admin)
        assert refused.value.response.status_code == 401
        await connect_and_leave(node, issue(node))
