"""Clients that take their time: each is cut, whatever it is slow at."""

import asyncio
import contextlib

import pytest
from attack_kit.requests import CHUNKED, JSON, LOCAL, SMUGGLED, chunk, length
from attack_kit.wire import CutError, handshake, request

#: A byte in this time is too slow for any of the limits below.
DRIP_S = 0.05

#: The limits, a tenth of what they are in production.
LIMIT_S = 0.5

#: So many bytes take eight times the limits below.
DRIPS = 80

#: Many times the limit: whoever still has a connection then keeps it.
PATIENCE_S = 7.0

SETTINGS = {"gateway": {"handshake_timeout_s": LIMIT_S, "body_timeout_s": LIMIT_S}}

HEADERS = (LOCAL, JSON)
POST = "POST /dev/token HTTP/1.1"

ATTACKS = {
    "a handshake, a byte at a time": (b"", lambda t: handshake(t.token())),
    "a request, a byte at a time": (b"", lambda _: request("GET /healthz HTTP/1.1") * 4),
    "line breaks before any request": (b"", lambda _: b"\r\n" * 300),
    "headers without end": (
        b"GET /ws HTTP/1.1\r\nHost: x\r\n",
        lambda _: b"X: y\r\n" * 60,
    ),
    "the second request of a connection": (
        SMUGGLED,
        lambda _: b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 300,
    ),
}

SLOW_BODIES = {
    "a body, a byte at a time": (
        request(POST, (*HEADERS, length(300))),
        lambda _: b" " * 300,
    ),
    "chunks of one byte": (
        request(POST, (*HEADERS, CHUNKED)),
        lambda _: chunk(b" ") * 60,
    ),
    "a chunk extension without end": (
        request(POST, (*HEADERS, CHUNKED), b"1;"),
        lambda _: b"x" * 300,
    ),
    "a trailer without end": (
        request(POST, (*HEADERS, CHUNKED), b"0\r\nX: "),
        lambda _: b"x" * 300,
    ),
}


async def hangs_up_on(target, begin, slowly):
    """Whether the server ends the connection while ``slowly`` drips into it, or nothing at all."""
    async with await target.wire() as wire:
        wire.send(begin)
        ended = asyncio.create_task(_end(wire))
        with contextlib.suppress(ConnectionError):
            for byte in slowly[:DRIPS]:
                if ended.done():
                    break
                wire.send(bytes([byte]))
                await wire.flushed()
                await asyncio.wait([ended], timeout=DRIP_S)
        if not slowly:
            await asyncio.wait([ended], timeout=PATIENCE_S)
        cut = ended.done()
        ended.cancel()
        return cut


async def _end(wire):
    with contextlib.suppress(ConnectionError):
        while await wire.reader.read(65_536):
            pass


@pytest.mark.parametrize("attack", ATTACKS)
async def test_whoever_is_slow_with_a_head_is_cut(target, attack):
    begin, slowly = ATTACKS[attack]
    assert await hangs_up_on(target, begin, slowly(target))


@pytest.mark.parametrize("attack", SLOW_BODIES)
async def test_whoever_is_slow_with_a_body_is_cut(target, attack):
    begin, slowly = SLOW_BODIES[attack]
    assert await hangs_up_on(target, begin, slowly(target))


async def test_whoever_stops_within_a_body_is_cut(target):
    assert await hangs_up_on(target, request(POST, (*HEADERS, length(300)), b" "), b"")


async def test_whoever_stops_within_chunks_is_cut(target):
    assert await hangs_up_on(target, request(POST, (*HEADERS, CHUNKED), chunk(b" ")), b"")


async def test_whoever_says_nothing_is_cut(target):
    assert await hangs_up_on(target, b"", b"")


async def test_whoever_says_nothing_after_an_answer_is_cut(target):
    assert await hangs_up_on(target, SMUGGLED, b"")


async def test_whoever_hangs_up_halfway_is_forgotten(target):
    async with await target.wire() as wire:
        wire.send(handshake(target.token())[:-10])
        wire.writer.write_eof()
        with pytest.raises(CutError):
            await wire.answer()


async def test_whoever_closes_its_half_behind_a_whole_handshake_leaves_nothing_open(target):
    async with await target.wire() as wire:
        wire.send(handshake(target.token()))
        wire.writer.write_eof()
        assert await asyncio.wait_for(_end(wire), PATIENCE_S) is None


async def test_many_that_are_slow_keep_nobody_out(target):
    idle = [await target.wire() for _ in range(200)]
    await target.serves_a_good_client()
    for wire in idle:
        wire.send(b"GET /ws")
    await target.serves_a_good_client()
    await asyncio.wait_for(asyncio.gather(*map(_end, idle)), PATIENCE_S)
    for wire in idle:
        await wire.leave()
