"""The client against real sockets: stream, requests, reconnects."""

import asyncio
import contextlib
from http import HTTPStatus

import pytest

from apex_actors.client import (
    ApexClient,
    ConnectionLostError,
    HandshakeRefusedError,
    RequestFailedError,
)


async def take(stream, count):
    """The next `count` items of a stream."""
    items = []
    async with asyncio.timeout(5):
        while len(items) < count:
            items.append(await anext(stream))
    return items


async def seqs(stream, count):
    return [event.seq for event in await take(stream, count)]


# -- handshake -------------------------------------------------------------------------------


async def test_the_token_goes_in_a_header_and_never_in_the_url(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.stay()

    server.scripts = [script]
    async with client(token="a.b.c") as apex:
        assert apex.is_connected
        assert apex.welcome["user_id"] == "ann"

    (request,) = server.requests
    assert request.headers["Authorization"] == "Bearer a.b.c"
    assert request.path == "/ws"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error": {"code": "unauthorized", "message": "No."}}', "unauthorized"),
        (b"<html>", "unknown"),
    ],
)
async def test_a_refused_handshake_says_why(server, client, body, code):
    server.refusals = [(HTTPStatus.UNAUTHORIZED, {}, body)]

    with pytest.raises(HandshakeRefusedError) as caught:
        async with client():
            pass

    assert (caught.value.status, caught.value.code) == (401, code)


async def test_a_server_that_is_not_there_is_an_error_at_once(unused_tcp_port):
    apex = ApexClient(f"http://127.0.0.1:{unused_tcp_port}", token="t")

    with pytest.raises(ConnectionLostError, match="cannot connect"):
        async with apex:
            pass


async def test_a_server_that_never_says_welcome_is_given_up(server, client):
    async def silent(peer):
        await peer.stay()

    server.scripts = [silent]

    with pytest.raises(ConnectionLostError, match="welcome"):
        async with client(open_timeout_s=0.05):
            pass


async def test_an_earlier_position_is_taken_up_again(server, client):
    async def script(peer):
        await peer.welcome(seq=7, recovered=True)
        await peer.event(8)
        await peer.stay()

    server.scripts = [script]
    async with client(position=(7, "epoch-1")) as apex:
        assert await seqs(apex.events(), 1) == [8]
        assert apex.position == (8, "epoch-1")

    assert server.requests[0].path == "/ws?after=7&epoch=epoch-1"


@pytest.mark.parametrize("url", ["", "localhost:80", "ftp://x", "http://"])
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match="URL"):
        ApexClient(url, token="t")


def test_a_token_is_needed_in_one_way():
    with pytest.raises(ValueError, match="token"):
        ApexClient("http://localhost")


# -- the stream ------------------------------------------------------------------------------


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


async def test_a_ping_is_answered_with_the_position(server, client):
    heard = []

    async def script(peer):
        await peer.welcome(seq=4)
        await peer.event(5, 6)
        await peer.say(type="ping", server_time="now")
        heard.append(await peer.hear())
        await peer.say(type="server_idle")
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        await take(apex.frames(), 5)

    assert heard == [{"type": "pong", "seq": 6}]


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
        accepted = await apex.send_message("Analyze my AI costs", thread_id="t-1")

    assert asked[0]["type"] == "user_message"
    assert asked[0]["text"] == "Analyze my AI costs"
    assert asked[0]["thread_id"] == "t-1"
    assert accepted.client_message_id == asked[0]["client_message_id"]
    assert not accepted.duplicate


async def test_replies_find_their_requests_in_any_order(server, client):
    async def script(peer):
        await peer.welcome()
        first, second = await peer.hear(), await peer.hear()
        for asked in (second, first):
            await peer.say(type="run", request_id=asked["request_id"], run_id=asked["run_id"])
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        replies = await asyncio.gather(
            apex.request("get_run", run_id="a"), apex.request("get_run", run_id="b")
        )

    assert [reply["run_id"] for reply in replies] == ["a", "b"]


async def test_an_error_reply_is_raised(server, client):
    async def script(peer):
        await peer.welcome()
        asked = await peer.hear()
        await peer.say(
            type="error",
            code="queue_full",
            message="Too many wait.",
            request_id=asked["request_id"],
            retry_after_ms=500,
            details={"limit": 3},
        )
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        with pytest.raises(RequestFailedError) as caught:
            await apex.send_message("hi")

    assert caught.value.code == "queue_full"
    assert caught.value.retry_after_ms == 500
    assert caught.value.details == {"limit": 3}


@pytest.mark.parametrize("code", ["draining", "service_degraded"])
async def test_a_message_the_server_cannot_take_now_is_sent_again(server, client, code):
    heard = []

    async def script(peer):
        await peer.welcome()
        heard.append(await peer.hear())
        await peer.say(
            type="error",
            code=code,
            message="Not now.",
            request_id=heard[0]["request_id"],
            retry_after_ms=1,
        )
        heard.append(await peer.hear())
        await peer.accept(heard[1])
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        await apex.send_message("hi")

    assert heard[0]["client_message_id"] == heard[1]["client_message_id"]


# -- losing the socket -----------------------------------------------------------------------


async def test_after_a_lost_socket_the_stream_goes_on_without_a_seam(server, client):
    async def first(peer):
        await peer.welcome(seq=10)
        await peer.event(11, 12)
        assert await peer.hear() == {"type": "heartbeat"}
        peer.cut()

    async def second(peer):
        await peer.welcome(seq=12, recovered=True)
        await peer.event(13, 14)
        await peer.stay()

    server.scripts = [first, second]
    async with client() as apex:
        events = apex.events()
        before = await seqs(events, 2)
        await apex._send('{"type": "heartbeat"}')
        after = await seqs(events, 2)

        assert before + after == [11, 12, 13, 14]
        assert apex.statistics.reconnects == 1
        assert apex.statistics.recovered == 1
    assert server.requests[1].path == "/ws?after=12&epoch=epoch-1"


async def test_an_event_that_comes_twice_is_handed_on_once(server, client):
    async def first(peer):
        await peer.welcome()
        await peer.event(1, 2)
        await peer.socket.close(1012)

    async def second(peer):
        await peer.welcome(seq=0, recovered=True)
        await peer.event(1, 2, 3)
        await peer.stay()

    server.scripts = [first, second]
    async with client() as apex:
        assert await seqs(apex.events(), 3) == [1, 2, 3]


async def test_another_log_begins_a_new_count(server, client):
    """A database restored from a backup: `recovered` is false and the numbers go back."""

    async def first(peer):
        await peer.welcome(seq=100)
        await peer.event(101)
        await peer.socket.close(1012)

    async def second(peer):
        await peer.welcome(seq=50, recovered=False, epoch="epoch-2")
        await peer.event(51)
        await peer.stay()

    server.scripts = [first, second]
    async with client() as apex:
        assert await seqs(apex.events(), 2) == [101, 51]
        assert apex.position == (51, "epoch-2")
        assert apex.statistics.gaps == 1


async def test_a_log_that_was_away_is_taken_up_when_it_is_back(server, client):
    async def first(peer):
        await peer.welcome(seq=5)
        await peer.event(6)
        await peer.socket.close(1012)

    async def second(peer):
        await peer.welcome(seq=None, epoch=None, recovered=None, mode="degraded")
        await peer.say(type="resumed", epoch="epoch-1", seq=6, recovered=True)
        await peer.event(7)
        await peer.stay()

    server.scripts = [first, second]
    async with client() as apex:
        assert await seqs(apex.events(), 2) == [6, 7]
        assert apex.statistics.recovered == 1


async def test_a_message_without_acknowledgement_is_sent_again_under_the_same_id(server, client):
    heard = []

    async def first(peer):
        await peer.welcome()
        heard.append(await peer.hear())
        peer.cut()

    async def second(peer):
        await peer.welcome(recovered=True)
        heard.append(await peer.hear())
        await peer.accept(heard[1], duplicate=True)
        await peer.stay()

    server.scripts = [first, second]
    async with client() as apex:
        accepted = await apex.send_message("hi")

        assert accepted.duplicate
        assert apex.statistics.resent_messages == 1
    assert heard[0] == heard[1]


async def test_a_message_is_sent_once_where_nothing_goes_wrong(server, client):
    heard = []

    async def script(peer):
        await peer.welcome()
        heard.append(await peer.hear())
        await peer.accept(heard[0])
        # What comes before the answer to the ping would be a second copy.
        await peer.say(type="ping", server_time="now")
        heard.append(await peer.hear())
        await peer.say(type="done")
        await peer.stay()

    server.scripts = [script]
    async with client() as apex:
        await apex.send_message("hi")
        await take(apex.frames(), 4)

    assert [frame["type"] for frame in heard] == ["user_message", "pong"]


async def test_another_request_fails_when_its_socket_goes(server, client):
    """Whether the server acted is unknown: the caller must decide."""

    async def first(peer):
        await peer.welcome()
        await peer.hear()
        peer.cut()

    async def second(peer):
        await peer.welcome(recovered=True)
        await peer.stay()

    server.scripts = [first, second]
    async with client() as apex:
        with pytest.raises(ConnectionLostError):
            await apex.request("retry_run", run_id="a")


async def test_a_silent_server_is_left(server, client):
    async def silent(peer):
        await peer.welcome(heartbeat_interval_s=0.02)
        await peer.stay()

    async def lively(peer):
        await peer.welcome(recovered=True)
        await peer.event(1)
        await peer.stay()

    server.scripts = [silent, lively]
    async with client() as apex:
        assert await seqs(apex.events(), 1) == [1]


async def test_a_shutdown_notice_sets_the_delay(server, client):
    async def first(peer):
        await peer.welcome()
        await peer.say(type="server_shutdown", reason="update", reconnect_after_ms=60)
        await peer.socket.close(1012)

    async def second(peer):
        await peer.welcome(recovered=True)
        await peer.event(1)
        await peer.stay()

    server.scripts = [first, second]
    loop = asyncio.get_running_loop()
    async with client() as apex:
        started = loop.time()
        await seqs(apex.events(), 1)

        assert loop.time() - started >= 0.06


async def test_a_full_or_draining_server_is_tried_again(server, client):
    async def first(peer):
        await peer.welcome()
        await peer.event(1)
        server.refusals = [
            (HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "0"}, b""),
            (HTTPStatus.SERVICE_UNAVAILABLE, {}, b""),
        ]
        await peer.socket.close(1012)

    async def second(peer):
        await peer.welcome(seq=1, recovered=True)
        await peer.event(2)
        await peer.stay()

    server.scripts = [first, second]
    async with client() as apex:
        assert await seqs(apex.events(), 2) == [1, 2]
    assert len(server.requests) == 4


async def test_a_token_that_is_refused_on_reconnect_ends_the_stream(server, client):
    async def first(peer):
        await peer.welcome()
        server.refusals = [(HTTPStatus.UNAUTHORIZED, {}, b"")]
        peer.cut()

    server.scripts = [first]
    async with client() as apex:
        with pytest.raises(HandshakeRefusedError):
            await seqs(apex.events(), 1)


@pytest.mark.parametrize("code", [1003, 1008, 1009, 4401, 4429])
async def test_a_close_that_is_the_clients_own_fault_is_final(server, client, code):
    async def first(peer):
        await peer.welcome()
        await peer.socket.close(code)

    server.scripts = [first]
    async with client() as apex:
        with pytest.raises(ConnectionLostError, match=str(code)):
            await seqs(apex.events(), 1)


async def test_a_goodbye_ends_the_stream(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.event(1)
        await peer.socket.close(1000)

    server.scripts = [script]
    async with client() as apex:
        assert [event.seq async for event in apex.events()] == [1]


async def test_an_expired_token_is_replaced_where_a_provider_is_given(server, client):
    tokens = ["old", "new"]

    async def provide():
        return tokens.pop(0)

    async def first(peer):
        await peer.welcome()
        await peer.socket.close(4401)

    async def second(peer):
        await peer.welcome(recovered=True)
        await peer.event(1)
        await peer.stay()

    server.scripts = [first, second]
    async with client(token=None, token_provider=provide) as apex:
        await seqs(apex.events(), 1)

    assert [request.headers["Authorization"] for request in server.requests] == [
        "Bearer old",
        "Bearer new",
    ]


async def test_a_server_that_stays_away_is_given_up(server, client):
    async def first(peer):
        await peer.welcome()
        server.refusals = [(HTTPStatus.SERVICE_UNAVAILABLE, {}, b"")] * 1000
        peer.cut()

    server.scripts = [first]
    async with client(give_up_after_s=0.05) as apex:
        waiting = asyncio.create_task(apex.send_message("hi"))
        with pytest.raises(ConnectionLostError, match="is the server running"):
            await seqs(apex.events(), 1)
        with pytest.raises(ConnectionLostError):
            await waiting


async def test_closing_while_reconnecting_leaves_nothing(server, client, eventually):
    async def first(peer):
        await peer.welcome()
        server.refusals = [(HTTPStatus.SERVICE_UNAVAILABLE, {}, b"")] * 1000
        peer.cut()

    server.scripts = [first]
    async with client() as apex:
        await eventually(lambda: len(server.requests) > 2)
        waiting = asyncio.create_task(apex.send_message("hi"))
        await asyncio.sleep(0)

    with contextlib.suppress(ConnectionLostError):
        await waiting
    assert isinstance(waiting.exception(), ConnectionLostError)
