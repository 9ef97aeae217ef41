"""More than a user may ask for: told so, told when to come again, and cut off in the end."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from attack_kit.wire import Closed, handshake, message, text

#: There are other nodes in this module, each with files of its own.
ALONE = False


@pytest.fixture(scope="module")
def few(base_settings, start_target):
    """A node that lets through very little."""
    with start_target(
        base_settings,
        limits={
            "messages_per_s": 2.0,
            "messages_burst": 10,
            "flood_messages": 30,
            "connections_per_user": 3,
            "connections_per_node": 8,
            # Here everybody knocks from one address, and as often as it takes.
            "handshakes_per_s": 1000.0,
            "sync_interval_s": 0.05,
        },
    ) as target:
        yield target


@pytest.fixture(scope="module")
def few_handshakes(base_settings, start_target):
    """A node that lets hardly anybody knock."""
    with start_target(
        base_settings,
        limits={"handshakes_per_s": 1.0, "handshakes_burst": 10, "sync_interval_s": 0.05},
    ) as target:
        yield target


async def test_messages_over_the_rate_are_refused_with_the_time_to_wait(few):
    async with await few.connected("sender") as wire:
        replies = await wire.exchange(*[message("ping", request_id="r")] * 20)
        kinds = [reply["type"] for reply in replies]
        assert kinds[:10] == ["pong"] * 10
        refused = [reply for reply in replies if reply["type"] == "error"]
        assert len(refused) >= 8
        for reply in refused:
            assert reply["code"] == "rate_limited"
            assert 0 < reply["retry_after_ms"] <= 10_000
            assert reply["request_id"] in {"r", "the last"}


async def test_a_flood_closes_the_connection(few):
    async with await few.connected("flooder") as wire:
        wire.send(message("ping") * 200)
        replies = [reply async for reply in wire.replies()]
        assert replies[-1].code == 4429
        codes = {reply["code"] for reply in replies[:-1] if reply["type"] == "error"}
        assert codes == {"rate_limited"}


async def test_a_flood_of_what_is_no_message_counts_too(few):
    async with await few.connected("babbler") as wire:
        wire.send((message("ping") + text("{")) * 200)
        assert (await wire.until_closed()).code in {1008, 4429}


async def test_a_second_connection_has_no_rate_of_its_own(few):
    async with await few.connected("twin") as one, await few.connected("twin") as two:
        assert all(reply["type"] == "pong" for reply in await one.exchange(*[message("ping")] * 9))
        replies = await two.exchange(*[message("ping")] * 10)
        assert [reply["type"] for reply in replies].count("error") >= 7


async def test_whoever_floods_takes_nothing_from_others(few):
    async with await few.connected("loud") as loud:
        loud.send(message("ping") * 29)
        async with await few.connected("quiet") as quiet:
            assert (await quiet.exchange())[:1] == []


async def test_handshakes_over_the_rate_are_refused(few_handshakes):
    answers = [await few_handshakes.answer(handshake("nonsense")) for _ in range(15)]
    statuses = [answer.status for answer in answers]
    assert statuses[:10] == [401] * 10
    assert statuses[-1] == 429
    assert answers[-1].code == "rate_limited"
    assert int(answers[-1].headers["retry-after"]) >= 1


async def test_connections_over_the_cap_of_the_user_are_refused(few):
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(await few.connected("many"))
        async with await few.connected("many"):
            answer = await few.answer(handshake(few.token("many")))
            assert (answer.status, answer.code) == (429, "too_many_connections")
            assert int(answer.headers["retry-after"]) >= 1
        async with asyncio.timeout(10):
            while await _try(few, "many") != 101:  # noqa: ASYNC110 - it is asked anew
                await asyncio.sleep(0.05)


async def _try(target, sub):
    async with await target.wire() as wire:
        wire.send(handshake(target.token(sub)))
        return (await wire.answer()).status


async def test_connections_at_the_same_moment_do_not_slip_under_the_cap(few):
    async def knock(stack):
        wire = await stack.enter_async_context(await few.wire())
        wire.send(handshake(few.token("crowd")))
        return (await wire.answer()).status

    async with AsyncExitStack() as stack:
        statuses = await asyncio.gather(*(knock(stack) for _ in range(8)))
    assert sorted(statuses) == [101] * 3 + [429] * 5


async def test_connections_over_the_cap_of_the_node_are_refused(few):
    await asyncio.to_thread(few.assert_nothing_remains)
    async with AsyncExitStack() as stack:
        for number in range(8):
            await stack.enter_async_context(await few.connected(f"user {number}"))
        answer = await few.answer(handshake(few.token("one more")))
    assert (answer.status, answer.code) == (503, "too_many_connections")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_flood_of_pings_of_the_protocol_slows_nobody_down(target):
    """They cost an answer each, and no message of the user's rate."""
    ping = bytes([0x89, 0x80, 0, 0, 0, 0])
    async with await target.connected("loud") as loud, await target.connected("quiet") as quiet:
        for _ in range(20):
            loud.send(ping * 1000)
            await loud.flushed()
            assert await quiet.exchange() == []
        frames = [await loud.next_frame() for _ in range(100)]
        assert all(not isinstance(frame, Closed) for frame in frames)
