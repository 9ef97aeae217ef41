"""The wire, byte by byte: heads, upgrades, frames and closes on a raw socket."""

import asyncio
import base64
import json
import os
import struct

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from apex_actors.gateway.registry_messages import GetStatistics
from apex_actors.server.node import Node


@pytest.fixture
def token(node):
    return node.authority.issue(sub="ann", lifetime_s=600)[0]


@pytest.fixture
def raw(node):
    async def open_raw():
        return await asyncio.open_connection("127.0.0.1", node.port)

    return open_raw


def upgrade(token, *, path="/ws", extra=""):
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {token}\r\n{extra}\r\n"
    ).encode()


def text_frame(text):
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=True)


async def read_frame(reader):
    head = await reader.readexactly(2)
    size = head[1] & 0x7F
    if size == 126:
        [size] = struct.unpack("!H", await reader.readexactly(2))
    return head[0] & 0x0F, await reader.readexactly(size)


def open_socket(node, token, **options):
    return connect(
        node.url.replace("http", "ws", 1) + "/ws",
        additional_headers={"Authorization": f"Bearer {token}"},
        **options,
    )


async def test_frames_in_the_segment_of_the_upgrade_are_answered_after_the_welcome(raw, token):
    reader, writer = await raw()
    writer.write(upgrade(token) + text_frame('{"type":"ping","request_id":"1"}') * 3)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    kinds = []
    while kinds.count("pong") < 3:
        _, data = await asyncio.wait_for(read_frame(reader), 5)
        kinds.append(json.loads(data)["type"])
    assert kinds == ["connection_ready", "ping", "pong", "pong", "pong"]
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("pause_s", [0.0, 0.05, 0.2])
async def test_messages_at_any_moment_after_the_upgrade_are_answered(node, token, pause_s):
    async with open_socket(node, token) as socket:
        await asyncio.sleep(pause_s)
        await socket.send('{"type":"ping"}')
        kinds = [json.loads(await asyncio.wait_for(socket.recv(), 5))["type"] for _ in range(3)]
    assert kinds == ["connection_ready", "ping", "pong"]


async def _until_closed(socket):
    try:
        while True:
            yield await socket.recv()
    except ConnectionClosed:
        return


async def test_a_browser_gets_the_subprotocol_selected(node, token):
    encoded = base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()
    url = node.url.replace("http", "ws", 1) + "/ws"
    async with connect(url, subprotocols=["apex.v1", f"jwt.{encoded}"], origin=node.url) as socket:
        assert socket.subprotocol == "apex.v1"
        assert json.loads(await socket.recv())["user_id"] == "ann"


async def refusal(raw, request):
    reader, writer = await raw()
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head, json.loads(body)["error"]["code"]


async def test_a_refused_handshake_is_plain_http_with_a_json_body(raw, token):
    status, head, code = await refusal(raw, upgrade("nonsense"))
    assert (status, code) == (401, "unauthorized")
    assert b"WWW-Authenticate: Bearer" in head
    status, _, code = await refusal(raw, upgrade(token, extra="Origin: https://evil.example\r\n"))
    assert (status, code) == (403, "origin_not_allowed")
    status, _, _ = await refusal(raw, upgrade(token, path="/elsewhere"))
    assert status == 404
    bad_version = upgrade(token).replace(b"Version: 13", b"Version: 12")
    assert (await refusal(raw, bad_version))[0] == 400


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 17_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"a" * 1000 + b"\r\n" * 1,
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 50_000,
    ],
    ids=["long line", "many lines", "long target", "endless line"],
)
async def test_a_head_that_is_too_large_is_answered_431(raw, head):
    if b"\r\n\r\n" not in head and len(head) < 32_000:
        line = head.split(b"\r\n", 2)[2]
        head = head.removesuffix(line) + line * 40 + b"\r\n"
    status, _, _ = await refusal(raw, head)
    assert status == 431


async def test_a_head_that_never_ends_is_cut(settings):
    gateway = settings.gateway.model_copy(update={"handshake_timeout_s": 0.1})
    async with Node(settings.model_copy(update={"gateway": gateway})) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()


async def test_large_bodies_and_pipelined_requests_still_work(node, raw):
    body = json.dumps({"sub": "ann", "org": "x" * 100}).encode() + b" " * 60_000
    head = (
        f"POST /dev/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    reader, writer = await raw()
    writer.write(head + body + last)
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    writer.close()
    await writer.wait_closed()
    assert node.port


async def test_plain_http_at_ws_is_told_to_upgrade(node):
    async with httpx.AsyncClient(base_url=node.url) as http:
        answer = await http.get("/ws")
    assert answer.status_code == 426
    assert answer.headers["upgrade"] == "websocket"
    assert answer.json()["error"]["code"] == "upgrade_required"


async def test_health_and_page_are_served_with_a_strict_policy(node):
    async with httpx.AsyncClient(base_url=node.url) as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        ready = await http.get("/readyz")
        assert ready.status_code == 200
        parts = ("database", "schema", "cache", "worker", "agents")
        assert ready.json()["components"] == dict.fromkeys(parts, "up")
        page = await http.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_development_tokens_are_for_this_machine_under_its_own_name(node):
    async with httpx.AsyncClient(base_url=node.url) as http:
        good = await http.post("/dev/token", json={"sub": "ann"})
        assert node.authority.verify(good.json()["token"]).identity.org == "demo"
        rebound = await http.post(
            "/dev/token", json={"sub": "ann"}, headers={"Host": "evil.example"}
        )
        assert (rebound.status_code, rebound.json()["error"]["code"]) == (403, "forbidden")
        bad = await http.post("/dev/token", json={"sub": "", "secret": "hidden value"})
        assert bad.status_code == 422
        assert "body.sub" in bad.json()["error"]["message"]
        assert "hidden value" not in bad.text


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([Frame(Opcode.BINARY, b"x")], 1003),
        ([Frame(Opcode.TEXT, b"\xff\xfe")], 1007),
        ([Frame(Opcode.TEXT, b"x" * 70_000)], 1009),
        ([Frame(Opcode.TEXT, b"a", fin=False), *[Frame(Opcode.CONT, b"a", fin=False)] * 70], 1008),
        ([Frame(Opcode.CONT, b"x")], 1002),
        ([Frame(Opcode.TEXT, b"{")] * 5, 1008),
    ],
    ids=["binary", "bad utf-8", "too large", "fragments", "stray continuation", "five errors"],
)
async def test_frames_that_break_the_rules_close_the_connection(raw, token, frames, code):
    reader, writer = await raw()
    writer.write(upgrade(token) + b"".join(frame.serialize(mask=True) for frame in frames))
    await reader.readuntil(b"\r\n\r\n")
    opcode, data = await asyncio.wait_for(read_frame(reader), 5)
    while opcode != Opcode.CLOSE:
        opcode, data = await asyncio.wait_for(read_frame(reader), 5)
    assert struct.unpack("!H", data[:2]) == (code,)
    writer.close()
    await writer.wait_closed()


async def test_errors_leave_the_connection_alive_and_a_good_message_forgives_them(node, token):
    async with open_socket(node, token) as socket:
        for _ in range(3):
            for _ in range(4):
                await socket.send('{"type":"dance"}')
            await socket.send('{"type":"ping"}')
        kinds = []
        while kinds.count("pong") < 3:
            kinds.append(json.loads(await asyncio.wait_for(socket.recv(), 5))["type"])
    assert kinds.count("error") == 12


async def test_a_forged_user_id_is_refused(node, token):
    async with open_socket(node, token) as socket:
        await socket.send('{"type":"ping","user_id":"bob","request_id":"r"}')
        await socket.send('{"type":"ping","user_id":"ann"}')
        kinds = [json.loads(await socket.recv()) for _ in range(4)]
    assert kinds[2] | {"message": ""} == {
        "type": "error",
        "request_id": "r",
        "code": "user_mismatch",
        "message": "",
    }
    assert kinds[3]["type"] == "pong"


async def test_a_silent_peer_is_closed_after_two_intervals(settings):
    gateway = settings.gateway.model_copy(update={"heartbeat_interval_s": 0.3})
    async with Node(settings.model_copy(update={"gateway": gateway})) as node:
        token, _ = node.authority.issue(sub="ann", lifetime_s=600)
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(upgrade(token))
        await reader.readuntil(b"\r\n\r\n")
        pings = 0
        while True:
            opcode, data = await asyncio.wait_for(read_frame(reader), 5)
            if opcode == Opcode.CLOSE:
                break
            pings += json.loads(data)["type"] == "ping"
        assert pings >= 2
        assert struct.unpack("!H", data[:2]) == (4408,)
        writer.close()
        await writer.wait_closed()


async def test_rapid_connections_leave_nothing_behind(node, token):
    async def visit(number):
        async with open_socket(node, token) as socket:
            if number % 3:
                await socket.send('{"type":"ping"}')
            if number % 3 == 2:
                await socket.recv()

    for _ in range(5):
        await asyncio.gather(*(visit(number) for number in range(20)))
    for _ in range(200):
        statistics = await node.registry.ask_async(GetStatistics())
        if statistics.connections == 0:
            break
        await asyncio.sleep(0.02)
    assert (statistics.connections, statistics.users) == (0, 0)


async def test_a_stopping_node_tells_its_clients_and_closes_1012(settings):
    node = Node(settings)
    await node.start()
    token, _ = node.authority.issue(sub="ann", lifetime_s=600)
    async with open_socket(node, token) as socket:
        assert json.loads(await socket.recv())["type"] == "connection_ready"
        stopping = asyncio.create_task(node.stop())
        async with asyncio.timeout(10):
            kinds = [json.loads(frame)["type"] async for frame in _until_closed(socket)]
        assert kinds[-1] == "server_shutdown"
        assert socket.close_code == 1012
    await stopping
