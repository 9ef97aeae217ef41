"""The connection underneath: sockets come and go, and what must outlive them does."""

import asyncio
import contextlib
from http import HTTPStatus
from uuid import UUID

import pytest

from apex_actors.client import (
    ApexClient,
    Backoff,
    ConnectionLostError,
    HandshakeRefusedError,
    Position,
)

RUN = UUID("b3b5a1c2-90ab-4cde-8f01-23456789abcd")


async def take(stream, count):
    """The next `count` items of a stream."""
    items = []
    async with asyncio.timeout(5):
        while len(items) < count:
            items.append(await anext(stream))
    return items


async def seqs(stream, count):
    return [event.seq for event in await take(stream, count)]


# -- handshake ---------------------------------------------------------------------------------


async def test_the_token_goes_in_a_header_and_never_in_the_url(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.stay()

    server.scripts = [script]
    async with client(token="a.b.c") as apex:
        assert apex.is_connected
        assert apex.welcome.user_id == "ann"

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
    async with client(position=Position(7, "epoch-1")) as apex:
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


# -- losing the socket -------------------------------------------------------------------------


async def test_after_a_lost_socket_the_stream_goes_on_without_a_seam(server, client):
    async def first(peer):
        await peer.welcome(seq=10)
        await peer.event(11, 12)
        assert (await peer.hear())["type"] == "heartbeat"
        peer.cut()

    async def second(peer):
        await peer.welcome(seq=12, recovered=True)
        await peer.event(13, 14)
        await peer.stay()

    server.scripts = [first, second]
    async with client() as apex:
        events = apex.events()
        before = await seqs(events, 2)
        with pytest.raises(ConnectionLostError):
            await apex.heartbeat()
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
        assert apex.statistics.resent == 1
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
            await apex.retry_run(RUN)


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


@pytest.mark.parametrize("code", [1003, 1007, 1008, 1009, 4401])
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


async def test_a_server_that_no_longer_says_welcome_is_tried_again(server, client):
    async def first(peer):
        await peer.welcome()
        await peer.event(1)
        peer.cut()

    async def silent(peer):
        await peer.stay()

    async def rude(peer):
        await peer.say(type="ping", server_time="now")
        await peer.stay()

    async def last(peer):
        await peer.welcome(seq=1, recovered=True)
        await peer.event(2)
        await peer.stay()

    server.scripts = [first, silent, rude, last]
    async with client(open_timeout_s=0.05) as apex:
        assert await seqs(apex.events(), 2) == [1, 2]


async def test_a_read_is_asked_again_on_the_next_socket(server, client):
    """Reading twice does no harm, so the caller need not know."""

    async def first(peer):
        await peer.welcome()
        assert (await peer.hear())["type"] == "list_threads"
        peer.cut()

    async def second(peer):
        await peer.welcome(recovered=True)
        asked = await peer.hear()
        await peer.say(type="threads", request_id=asked["request_id"], threads=[], next=None)
        await peer.stay()

    server.scripts = [first, second]
    async with client() as apex:
        assert (await apex.list_threads()).next is None


async def test_a_flooded_server_is_left_alone_for_a_while(server, client):
    """4429: the next delay is at least half of the longest."""

    async def first(peer):
        await peer.welcome()
        await peer.event(1)
        await peer.socket.close(4429)

    async def second(peer):
        await peer.welcome(seq=1, recovered=True)
        await peer.event(2)
        await peer.stay()

    server.scripts = [first, second]
    loop = asyncio.get_running_loop()
    async with client(backoff=Backoff(base_s=0.001, cap_s=0.2)) as apex:
        events = apex.events()
        await seqs(events, 1)
        left = loop.time()
        assert await seqs(events, 1) == [2]

    assert loop.time() - left >= 0.09


# -- tokens ----------------------------------------------------------------------------------


async def test_a_token_about_to_expire_is_replaced_on_the_same_connection(server, client):
    tokens, heard = ["old", "new"], []

    async def provide():
        return tokens.pop(0)

    async def script(peer):
        await peer.welcome()
        # Said twice, as a server may: one refresh is enough.
        for _ in range(2):
            await peer.say(type="token_expiring", expires_in_s=60)
        heard.append(await peer.hear())
        await peer.say(
            type="token_refreshed",
            request_id=heard[0]["request_id"],
            token_expires_at="2026-11-22T12:00:00.000Z",
        )
        await peer.event(1)
        await peer.stay()

    server.scripts = [script]
    async with client(token=None, token_provider=provide) as apex:
        assert await seqs(apex.events(), 1) == [1]
        assert apex.statistics.reconnects == 0

    [asked] = heard
    assert (asked["type"], asked["token"]) == ("refresh_token", "new")
    assert tokens == []


async def test_a_token_that_was_given_once_cannot_be_replaced(server, client):
    async def script(peer):
        await peer.welcome()
        await peer.say(type="token_expiring", expires_in_s=60)
        await peer.event(1)
        await peer.socket.close(4401)

    server.scripts = [script]
    async with client() as apex:
        events = apex.events()
        assert await seqs(events, 1) == [1]
        with pytest.raises(ConnectionLostError, match="token_provider"):
            await seqs(events, 1)


async def test_a_refresh_that_fails_waits_for_the_reconnect(server, client):
    tokens = ["old", None, "new"]

    async def provide():
        token = tokens.pop(0)
        if token is None:
            raise OSError("the sign-in is away")
        return token

    async def first(peer):
        await peer.welcome()
        await peer.say(type="token_expiring", expires_in_s=1)
        await peer.event(1)
        await peer.socket.close(4401)

    async def second(peer):
        await peer.welcome(seq=1, recovered=True)
        await peer.event(2)
        await peer.stay()

    server.scripts = [first, second]
    async with client(token=None, token_provider=provide) as apex:
        assert await seqs(apex.events(), 2) == [1, 2]

    assert server.requests[1].headers["Authorization"] == "Bearer new"


async def test_a_sign_in_that_stays_away_reaches_the_consumer(server, client):
    tokens = ["old"]

    async def provide():
        if not tokens:
            raise OSError("the sign-in is away")
        return tokens.pop()

    async def first(peer):
        await peer.welcome()
        await peer.socket.close(4401)

    server.scripts = [first]
    async with client(token=None, token_provider=provide) as apex:
        with pytest.raises(OSError, match="sign-in"):
            await seqs(apex.events(), 1)


async def test_closing_while_a_token_is_fetched_leaves_nothing(server, client, eventually):
    asked = []

    async def provide():
        asked.append(1)
        if len(asked) > 1:
            await asyncio.Event().wait()
        return "old"

    async def script(peer):
        await peer.welcome()
        await peer.say(type="token_expiring", expires_in_s=60)
        await peer.stay()

    server.scripts = [script]
    async with client(token=None, token_provider=provide):
        await eventually(lambda: len(asked) == 2)
