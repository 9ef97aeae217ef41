"""What a program says and hears, against a server of real sockets."""

import asyncio
import contextlib
import json
from uuid import UUID

import pytest
from websockets.exceptions import ConnectionClosed

from apex_actors.client import (
    ConnectionLostError,
    InvalidReplyError,
    Position,
    RequestFailedError,
)
from apex_actors.protocol import (
    MESSAGE_TYPES,
    ClientMessage,
    IfBusy,
    MessageAccepted,
    Reply,
    RunCancelling,
    RunStatusReply,
    parse_frame,
)

THREAD = UUID("6f1c3f0e-3d67-4a86-9d3a-0c8f6a1d2b11")
RUN = UUID("b3b5a1c2-90ab-4cde-8f01-23456789abcd")
NOW = "2026-11-22T10:00:00.000Z"


async def take(stream, count):
    """The next `count` items of a stream."""
    items = []
    async with asyncio.timeout(5):
        while len(items) < count:
            items.append(await anext(stream))
    return items


async def seqs(stream, count):
    return [event.seq for event in await take(stream, count)]


# -- the stream --------------------------------------------------------------------------------


async def test_frames_are_handed_on_as_received_and_events_alone(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.say(type="service_degraded", components=["cache"], message="Slow.")
        await peer.event(1)
        await peer.stay()

    server.scripts = [script, script]
    async with client() as apex:
        kinds = [frame["type"] for frame in await take(apex.frames(), 3)]
    async with client() as apex:
        events = await seqs(apex.events(), 1)

    assert kinds == ["connection_ready", "service_degraded", "run_queued"]
    assert events == [1]


async def test_a_ping_is_answered_with_what_was_consumed(server, client, eventually):
    """Received is not taken: what is still unread must not be confirmed."""
    heard, go_on = [], asyncio.Event()

    async def script(peer):
        await peer.welcome(seq=4)
        await peer.event(5, 6, 7)
        for _ in range(2):
            await peer.say(type="ping", server_time="now")
            heard.append(await peer.hear())
            await go_on.wait()
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        events = apex.events()
        await eventually(lambda: heard)
        await seqs(events, 2)
        go_on.set()
        await eventually(lambda: len(heard) == 2)

    assert heard == [{"type": "pong", "seq": 4}, {"type": "pong", "seq": 6}]


async def test_the_stream_ends_when_the_client_closes(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.event(1)
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        stream = apex.events()
        await take(stream, 1)
        await apex.close()

        assert [event async for event in stream] == []


async def test_closing_at_once_leaves_nothing(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        pass

    assert not apex.is_connected
    with pytest.raises(ConnectionLostError):
        await apex.send_message("hi")


async def test_a_consumer_that_stops_looking_stops_the_reading(server, client, eventually):
    """The server notices a slow client; the client's memory stays small."""

    async def script(peer):
        await peer.welcome()
        await peer.event(*range(1, 200))
        await peer.stay()

    server.scripts = [script]
    async with client(max_unread_frames=10) as apex:
        await eventually(lambda: apex.statistics.events >= 10)
        read_ahead = apex.statistics.events

        assert read_ahead == 10
        assert await seqs(apex.events(), 199) == list(range(1, 200))


async def test_nonsense_from_the_server_reaches_the_consumer_as_an_error(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.socket.send("[]")
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        with pytest.raises(ConnectionLostError, match="no frame"):
            await take(apex.frames(), 2)


async def test_what_was_consumed_is_confirmed_now_and_then(server, client):
    heard = []

    async def script(peer):
        await peer.welcome(seq=0)
        await peer.event(1, 2, 3)
        heard.extend([await peer.hear(), await peer.hear()])
        await peer.stay()

    server.scripts = [script]
    async with client(ack_interval_s=0.0) as apex:
        await seqs(apex.events(), 3)
        await apex._link._acknowledge()
        await apex.close()

    assert heard == [{"type": "ack", "seq": 1}, {"type": "ack", "seq": 2}]


async def test_confirming_costs_a_frame_an_interval_at_most(server, client):
    heard = []

    async def script(peer):
        await peer.welcome(seq=0)
        await peer.event(*range(1, 101))
        heard.append(await peer.hear())
        await peer.say(type="pong", request_id=heard[0]["request_id"], server_time=NOW)
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        await seqs(apex.events(), 100)
        await apex.ping()

    assert [frame["type"] for frame in heard] == ["ping"]


async def test_a_gap_is_told_between_the_events_where_it_is(server, client):
    """Whoever draws threads reads them afresh there, before the events that follow."""
    told = []

    async def first(peer):
        await peer.welcome(seq=100)
        await peer.event(101)
        await peer.socket.close(1012)

    async def second(peer):
        await peer.welcome(seq=50, recovered=False, epoch="epoch-2")
        await peer.event(51)
        asked = await peer.hear()
        await peer.say(type="threads", request_id=asked["request_id"], threads=[], next=None)
        await peer.stay()

    async def read_afresh(position):
        told.append(position)
        # The stream waits here, and requests are answered all the same.
        told.append(await apex.list_threads())

    server.scripts = [first, second]
    async with client(on_gap=read_afresh) as apex:
        stream = apex.events()
        assert await seqs(stream, 1) == [101]
        assert told == []
        assert await seqs(stream, 1) == [51]

    position, threads = told
    assert position == Position(50, "epoch-2")
    assert threads.threads == ()


async def test_an_event_of_a_newer_server_is_left_to_the_frames(server, client):
    """Fields and events may be added; a client that knows less goes on."""

    async def script(peer):
        await peer.welcome(motto="festina lente")
        for seq, changed in ((1, {"type": "agent_dreamt"}), (2, {"mood": "good"})):
            frame = {
                "type": "run_queued",
                "seq": seq,
                "event_id": str(THREAD),
                "ts": NOW,
                "thread_id": None,
                "run_id": None,
                "attempt": 0,
                "payload": {"position": 1, "mood": "good"},
            }
            await peer.say(**(frame | changed))
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        [event] = await take(apex.events(), 1)

    assert event.seq == 2
    assert event.body(ignore_unknown=True).position == 1


async def test_what_is_away_is_seen(server, client, eventually):
    seen = asyncio.Event()

    async def script(peer):
        await peer.welcome()
        await peer.say(type="service_degraded", components=["cache", "agents"], message="Slow.")
        await seen.wait()
        await peer.say(type="service_recovered", components=["cache"])
        await peer.event(1)
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        await eventually(lambda: apex.degraded)
        assert apex.degraded == {"cache": "Slow.", "agents": "Slow."}
        seen.set()
        await seqs(apex.events(), 1)
        assert apex.degraded == {"agents": "Slow."}


async def test_a_frame_that_lacks_a_field_reaches_the_consumer_as_an_error(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.say(type="service_degraded")
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        with pytest.raises(ConnectionLostError, match="lacks a field"):
            await take(apex.frames(), 2)


# -- requests --------------------------------------------------------------------------------


async def test_a_message_is_accepted(server, client):
    asked = []

    async def script(peer):
        await peer.welcome()
        asked.append(await peer.hear())
        await peer.accept(asked[0])
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        accepted = await apex.send_message(
            "Analyze my AI costs", thread_id=THREAD, if_busy=IfBusy.INTERRUPT
        )

    assert asked[0]["type"] == "user_message"
    assert asked[0]["text"] == "Analyze my AI costs"
    assert asked[0]["thread_id"] == str(THREAD)
    assert asked[0]["if_busy"] == "interrupt"
    assert type(accepted) is MessageAccepted
    assert accepted.client_message_id == asked[0]["client_message_id"]
    assert not accepted.duplicate


async def test_a_message_that_says_nothing_is_not_even_sent(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        with pytest.raises(ValueError, match="white space"):
            await apex.send_message("  ")


ACCEPTED = {
    "type": "message_accepted",
    "client_message_id": None,
    "message_id": str(RUN),
    "thread_id": str(THREAD),
    "run_id": str(RUN),
    "queue_position": 1,
    "duplicate": False,
}
MESSAGE = {"id": str(RUN), "role": "user", "content": "hi", "created_at": NOW, "run_id": str(RUN)}
RUN_STATE = {"run_id": str(RUN), "status": "running", "steps": [], "seq": 9}
CANCELLING = {"type": "run_cancelling", "run_id": str(RUN)}
PREFERENCES = {"type": "preferences", "preferences": {"a": 1}}

#: What a program calls, the message that goes out, and what the server answers.
CALLS = [
    (
        lambda apex: apex.send_message("hi", client_message_id="c"),
        {"type": "user_message", "text": "hi", "client_message_id": "c"},
        ACCEPTED,
    ),
    (
        lambda apex: apex.start_agent(
            "hi", pipeline="costs", thread_id=THREAD, client_message_id="c"
        ),
        {
            "type": "start_agent",
            "user_request": "hi",
            "pipeline": "costs",
            "thread_id": str(THREAD),
            "client_message_id": "c",
        },
        ACCEPTED,
    ),
    (lambda apex: apex.retry_run(RUN), {"type": "retry_run", "run_id": str(RUN)}, ACCEPTED),
    (lambda apex: apex.cancel_run(RUN), {"type": "cancel_run", "run_id": str(RUN)}, CANCELLING),
    (
        lambda apex: apex.stop_agent(THREAD),
        {"type": "stop_agent", "thread_id": str(THREAD)},
        CANCELLING,
    ),
    (
        lambda apex: apex.get_run(RUN),
        {"type": "get_run", "run_id": str(RUN)},
        {"type": "run", **RUN_STATE},
    ),
    (
        lambda apex: apex.list_threads(limit=5, before="cursor"),
        {"type": "list_threads", "limit": 5, "before": "cursor"},
        {
            "type": "threads",
            "threads": [
                {"thread_id": str(THREAD), "title": "a", "created_at": NOW, "updated_at": NOW}
            ],
            "next": "cursor-2",
        },
    ),
    (
        lambda apex: apex.thread_history(THREAD, before=RUN),
        {"type": "get_thread_history", "thread_id": str(THREAD), "before": str(RUN)},
        {
            "type": "thread_history",
            "thread_id": str(THREAD),
            "messages": [MESSAGE],
            "runs": [RUN_STATE],
            "seq": 9,
        },
    ),
    (
        lambda apex: apex.switch_thread(THREAD),
        {"type": "switch_thread", "thread_id": str(THREAD)},
        {
            "type": "thread_data",
            "thread_id": str(THREAD),
            "title": None,
            "messages": [MESSAGE],
            "seq": 9,
        },
    ),
    (
        lambda apex: apex.rename_thread(THREAD, "Costs"),
        {"type": "rename_thread", "thread_id": str(THREAD), "title": "Costs"},
        {"type": "ok"},
    ),
    (
        lambda apex: apex.delete_thread(THREAD),
        {"type": "delete_thread", "thread_id": str(THREAD)},
        {"type": "ok"},
    ),
    (lambda apex: apex.get_preferences(), {"type": "get_preferences"}, PREFERENCES),
    (
        lambda apex: apex.set_preferences({"a": 1}),
        {"type": "set_preferences", "preferences": {"a": 1}},
        PREFERENCES,
    ),
    (
        lambda apex: apex.refresh_token("x.y.z"),
        {"type": "refresh_token", "token": "x.y.z"},
        {"type": "token_refreshed", "token_expires_at": NOW},
    ),
    (lambda apex: apex.ping(), {"type": "ping"}, {"type": "pong", "server_time": NOW}),
    (
        lambda apex: apex.heartbeat(),
        {"type": "heartbeat"},
        {"type": "heartbeat_ack", "server_time": NOW},
    ),
]


def test_the_calls_of_this_test_are_all_that_a_client_can_ask():
    """`pong` and `ack` are said by themselves."""
    assert {asked["type"] for _, asked, _ in CALLS} == set(MESSAGE_TYPES) - {"pong", "ack"}


@pytest.mark.parametrize(
    ("call", "message", "answer"), CALLS, ids=[asked["type"] for _, asked, _ in CALLS]
)
async def test_each_message_has_a_method_that_returns_what_the_protocol_says(
    server, client, wire_schema, call, message, answer
):
    heard = []

    async def script(peer):
        await peer.welcome()
        heard.append(await peer.hear())
        # A newer server may say more.
        await peer.say(request_id=heard[0]["request_id"], novelty=[], **answer)
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        returned = await call(apex)

    [asked] = heard
    wire_schema.sent(asked)
    assert isinstance(parse_frame(json.dumps(asked), max_bytes=8192).message, ClientMessage)
    del asked["request_id"]
    assert asked == message
    if isinstance(returned, Reply):
        assert returned.type == answer["type"]
        wire = json.loads(returned.model_copy(update={"request_id": None}).encode())
        assert (
            wire.items()
            >= {key: answer[key] for key in ("type", "run_id") if key in answer}.items()
        )
    else:
        assert returned == answer.get("preferences")


async def test_a_run_that_had_ended_cannot_be_cancelled(server, client):
    async def script(peer):
        await peer.welcome()
        asked = await peer.hear()
        await peer.say(
            type="run_status",
            request_id=asked["request_id"],
            run_id=asked["run_id"],
            status="completed",
        )
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        reply = await apex.cancel_run(RUN)

    assert reply == RunStatusReply(request_id=reply.request_id, run_id=RUN, status="completed")


@pytest.mark.parametrize(
    "answer", [{"type": "ok"}, {"type": "run_cancelling", "run_id": "not one"}]
)
async def test_a_reply_the_protocol_does_not_know_is_an_error(server, client, answer):
    async def script(peer):
        await peer.welcome()
        asked = await peer.hear()
        await peer.say(request_id=asked["request_id"], **answer)
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        with pytest.raises(InvalidReplyError, match="cancel_run"):
            await apex.cancel_run(RUN)


async def test_replies_find_their_requests_in_any_order(server, client):
    async def script(peer):
        await peer.welcome()
        first, second = await peer.hear(), await peer.hear()
        for asked in (second, first):
            await peer.say(
                type="run_cancelling", request_id=asked["request_id"], run_id=asked["run_id"]
            )
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        replies = await asyncio.gather(apex.cancel_run(RUN), apex.cancel_run(THREAD))

    assert [type(reply) for reply in replies] == [RunCancelling, RunCancelling]
    assert [reply.run_id for reply in replies] == [RUN, THREAD]


async def test_a_refusal_is_raised(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.refuse(await peer.hear(), "thread_busy", details={"limit": 3})
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        with pytest.raises(RequestFailedError) as caught:
            await apex.send_message("hi", if_busy=IfBusy.REJECT)

    assert caught.value.code == "thread_busy"
    assert caught.value.details == {"limit": 3}
    assert not caught.value.is_temporary


@pytest.mark.parametrize("code", ["draining", "queue_full", "rate_limited", "service_degraded"])
async def test_what_the_server_cannot_take_now_is_asked_again(server, client, code):
    heard, times = [], []

    async def script(peer):
        await peer.welcome()
        for _ in range(2):
            heard.append(await peer.hear())
            times.append(asyncio.get_running_loop().time())
            await peer.refuse(heard[-1], code, retry_after_ms=30)
        heard.append(await peer.hear())
        await peer.accept(heard[2])
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        await apex.send_message("hi")

    assert len({frame["client_message_id"] for frame in heard}) == 1
    assert times[1] - times[0] >= 0.03


async def test_patience_with_a_server_that_takes_nothing_has_an_end(server, client):
    heard = []

    async def script(peer):
        await peer.welcome()
        with contextlib.suppress(ConnectionClosed):
            while True:
                heard.append(await peer.hear())
                await peer.refuse(heard[-1], "queue_full", retry_after_ms=20)

    server.scripts = [script]
    async with client(retry_for_s=0.1) as apex:
        with pytest.raises(RequestFailedError, match="queue_full"):
            await apex.send_message("hi")

    assert 1 < len(heard) <= 6


async def test_a_server_that_names_no_time_is_given_a_second(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.refuse(await peer.hear(), "draining")
        await peer.stay()

    server.scripts = [script]
    async with client(retry_for_s=0.5) as apex:
        with pytest.raises(RequestFailedError) as caught:
            await apex.send_message("hi")

    assert caught.value.retry_after_s == 1.0
