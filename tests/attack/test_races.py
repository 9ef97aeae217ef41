"""Messages at any moment of a connection's life, and lives as short as they can be."""

import asyncio
import contextlib
from itertools import count

import psycopg
import pytest
from attack_kit.line import Line
from attack_kit.wire import Closed, CutError, handshake, message
from pydantic import SecretStr
from redis.connection import parse_url

#: Connections that live for a moment; so many in all, and so many at a time.
LIVES = 1000
AT_A_TIME = 20

#: The other nodes of this module have files of their own.
ALONE = False


@pytest.mark.parametrize("pause_s", [None, 0.0, 0.1, 0.2, 0.5])
async def test_messages_at_any_moment_are_answered_after_the_welcome(target, pause_s):
    pings = [message("ping", request_id=str(number)) for number in range(20)]
    async with await target.wire() as wire:
        if pause_s is None:
            wire.send(handshake(target.token()), *pings)
        else:
            wire.send(handshake(target.token()))
            answered = await wire.answer()
            await asyncio.sleep(pause_s)
            wire.send(*pings)
        answered = await wire.answer() if pause_s is None else answered
        assert answered.status == 101
        kinds = [(await wire.next())["type"] for _ in range(2)]
        assert kinds == ["connection_ready", "ping"]
        replies = []
        async for reply in wire.replies():
            replies.append(reply["request_id"])
            if len(replies) == len(pings):
                break
        assert replies == [str(number) for number in range(20)]


@pytest.mark.parametrize("cut", [1, 2, 10, 50, 150, 200])
async def test_a_handshake_in_two_segments_with_frames_behind_it(target, cut):
    data = handshake(target.token()) + message("ping", request_id="1")
    async with await target.wire() as wire:
        wire.send(data[:-cut])
        await asyncio.sleep(0.01)
        wire.send(data[-cut:])
        await wire.welcomed()
        async for reply in wire.replies():
            assert reply["request_id"] == "1"
            break


async def test_user_messages_in_the_segment_of_the_upgrade_are_accepted(target):
    async with await target.wire() as wire:
        asking = message("user_message", text="hello", client_message_id="first")
        wire.send(handshake(target.token("early")), asking, asking)
        await wire.welcomed()
        accepted = []
        async for reply in wire.replies():
            accepted.append(reply)
            if len(accepted) == 2:
                break
        assert [reply["duplicate"] for reply in accepted] == [False, True]
        assert accepted[0]["run_id"] == accepted[1]["run_id"]


async def live(target, number, *, patient=True):
    """Connect, send, and go: half read nothing, every third hangs up without politeness."""
    wire = await target.wire()
    try:
        frames = message("ping") * (number % 4)
        if number % 25 == 0:
            frames += message("user_message", text="hello")
        wire.send(handshake(target.token(f"user {number % 50}")), frames)
        if number % 2:
            await wire.flushed()
            return
        with contextlib.suppress(CutError):
            answer = await wire.answer()
            assert answer.status in ({101} if patient else {101, 503}), answer
        said = await wire.next()
        while number % 4 == 0 and not isinstance(said, Closed) and said["type"] != "ping":
            said = await wire.next()
    finally:
        await wire.leave(reset=number % 3 == 0)


async def lives(target, numbers, **options):
    """All of them, a few at a time."""
    numbers = iter(numbers)

    async def one_after_another():
        for number in numbers:
            await live(target, number, **options)

    await asyncio.gather(*(one_after_another() for _ in range(AT_A_TIME)))


async def test_a_thousand_short_lives_leave_nothing_behind(target):
    await lives(target, range(LIVES))
    await asyncio.to_thread(target.assert_nothing_remains)
    assert target.faults() == []


async def test_connections_that_are_never_heard_of_again_leave_nothing_behind(target):
    wires = [await target.wire() for _ in range(200)]
    for number, wire in enumerate(wires):
        wire.send(handshake(target.token())[: number * 2])
        if number % 2:
            await wire.leave(reset=True)
    for wire in wires[::2]:
        await wire.leave()
    await asyncio.to_thread(target.assert_nothing_remains)


async def test_short_lives_while_services_start_leave_nothing_behind(base_settings, start_target):
    """Valkey comes up after the node; PostgreSQL goes and comes back under it."""
    where = psycopg.conninfo.conninfo_to_dict(base_settings.database_url.get_secret_value())
    redis_url = base_settings.redis_url.get_secret_value()
    cache = parse_url(redis_url)
    database_line = Line(where["host"], int(where["port"]))
    cache_line = Line(cache["host"], cache["port"])
    await database_line.up()
    await cache_line.up()
    await cache_line.down()
    url = psycopg.conninfo.make_conninfo(
        **where | {"host": "127.0.0.1", "port": database_line.port}
    )
    settings = base_settings.model_copy(
        update={
            "database_url": SecretStr(url),
            "redis_url": SecretStr(
                redis_url.replace(f":{cache['port']}", f":{cache_line.port}").replace(
                    cache["host"], "127.0.0.1"
                )
            ),
        }
    )
    starting = start_target(
        settings,
        gateway={"greeting_timeout_s": 0.2},
        limits={"handshakes_per_s": 1e6, "handshakes_burst": 10**6, "connections_per_user": 10**4},
    )
    target = await asyncio.to_thread(starting.__enter__)
    over = asyncio.Event()
    numbers = count()
    cycling = asyncio.create_task(
        lives(target, iter(lambda: None if over.is_set() else next(numbers), None), patient=False)
    )
    try:
        for bring in (cache_line.up, database_line.down, database_line.up, cache_line.down):
            await asyncio.sleep(0.5)
            await bring()
        await asyncio.sleep(0.5)
        await cache_line.up()
        over.set()
        await cycling
        assert next(numbers) >= 100
        await asyncio.to_thread(target.assert_nothing_remains)
        await target.serves_a_good_client()
        assert target.unhandled == []
        # What is away may be logged as an error; that is for the operator to know.
        del target.logs.records[:], target.logs.lines[:]
    finally:
        over.set()
        await asyncio.to_thread(starting.__exit__, None, None, None)
        await database_line.down()
        await cache_line.down()
