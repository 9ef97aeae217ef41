"""Requests and handshakes that are crooked: each is answered, or cut, and nothing of it is believed."""

import asyncio
import contextlib

import pytest
from attack_kit.cases import check_request, rows
from attack_kit.requests import HANDSHAKES, SMUGGLING
from attack_kit.wire import Closed, CutError, handshake, message, request

UPGRADE = ("Connection", "Upgrade")

SETTINGS = {"gateway": {"handshake_timeout_s": 1.0, "body_timeout_s": 0.5}}


@pytest.mark.parametrize("case", rows(SMUGGLING))
async def test_requests(target, case):
    await check_request(target, case)


@pytest.mark.parametrize("case", rows(HANDSHAKES))
async def test_handshakes(target, case):
    await check_request(target, case)


async def test_a_request_behind_the_upgrade_is_no_request(target):
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with await target.wire() as wire:
        wire.send(handshake(target.token()), smuggled)
        assert (await wire.answer()).status == 101
        assert (await wire.until_closed()).code == 1002


async def test_a_request_behind_a_refused_handshake_is_not_answered(target):
    async with await target.wire() as wire:
        wire.send(handshake("nonsense"), b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await wire.answer()).status == 401
        assert await wire.rest() == b""


async def test_a_handshake_behind_another_request_of_the_connection_is_one(target):
    async with await target.wire() as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await wire.answer()).status == 200
        wire.send(handshake(target.token()))
        await wire.welcomed()


@pytest.mark.parametrize("before", ["/healthz", "/readyz", "/", "/static/nothing", "/metrics"])
async def test_a_handshake_in_one_segment_with_the_request_before_it_waits_or_is_refused(
    target, before
):
    async with await target.wire() as wire:
        first = request(f"GET {before} HTTP/1.1")
        wire.send(first, handshake(target.token()), message("ping"))
        assert (await wire.answer()).status in {200, 401, 404}
        with contextlib.suppress(CutError):
            answer = await wire.answer()
            assert answer.status in {101, 400}
            if answer.status == 101:
                assert (await wire.next())["type"] == "connection_ready"


@pytest.mark.parametrize(
    "behind",
    [b"\0\0\0\r\n\r\n", request("GET / HTTP/1.1", [("Host", "x"), ("Upgrade", "h2c"), UPGRADE])],
    ids=["garbage", "an upgrade to h2c"],
)
async def test_what_is_wrong_behind_a_request_is_not_the_answer_to_it(target, behind):
    """Whoever shares a connection would take the one's answer for the other's."""
    async with await target.wire() as wire:
        wire.send(request("GET /static/nothing HTTP/1.1"), behind)
        with contextlib.suppress(CutError):
            assert (await wire.answer()).status == 404


async def test_a_handshake_behind_a_request_that_closes_the_connection_is_not_looked_at(target):
    async with await target.wire() as wire:
        first = request("GET /healthz HTTP/1.1", [("Host", "x"), ("Connection", "close")])
        wire.send(first, handshake(target.token()))
        assert (await wire.answer()).status == 200
        assert await wire.rest() == b""


async def test_a_handshake_behind_a_body_is_one_and_stays_one(target):
    body = b'{"sub":"ann"}'
    headers = [
        ("Host", "localhost"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    ]
    async with await target.wire() as wire:
        wire.send(request("POST /dev/token HTTP/1.1", headers, body[:5]))
        await asyncio.sleep(0.05)
        wire.send(body[5:])
        assert (await wire.answer()).status == 200
        wire.send(handshake(target.token()))
        await wire.welcomed()
        # Longer than any limit that the body had.
        await asyncio.sleep(0.7)
        assert await wire.exchange() == []


async def test_a_body_without_end_is_not_kept(target):
    headers = [
        ("Host", "localhost"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(10**9)),
    ]
    async with await target.wire() as wire:
        wire.send(request("POST /dev/token HTTP/1.1", headers))
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                for _ in range(64):
                    wire.send(b" " * 2**20)
                    await wire.writer.drain()
        with contextlib.suppress(CutError):
            async with asyncio.timeout(5):
                assert (await wire.answer()).status in {400, 413}


async def test_a_handshake_that_comes_a_byte_at_a_time_is_one(target):
    async with await target.wire() as wire:
        for byte in handshake(target.token()):
            wire.send(bytes([byte]))
            await wire.flushed()
        await wire.welcomed()


async def test_the_answer_to_a_handshake_says_nothing_of_what_was_sent(target):
    async with await target.wire() as wire:
        wire.send(
            handshake(target.token(), target="/ws?x=%0d%0aSet-Cookie:%20a=b", host="evil.example")
        )
        answer = await wire.answer()
        assert answer.status == 101
        assert "set-cookie" not in answer.headers
        assert not isinstance(await wire.next(), Closed)
