"""uvicorn's HTTP protocol with a bounded and checked request head, and an upgrade that loses no byte."""

import asyncio
import ipaddress
import json
import re
from http import HTTPStatus
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from websockets.datastructures import Headers
from websockets.http11 import Request

from apex_actors.gateway.settings import GatewaySettings

WEBSOCKET: Final = b"websocket"

#: RFC 9112, section 2.3: versions that are understood; 1.1 is needed for an upgrade.
VERSIONS: Final = frozenset({"1.0", "1.1"})
UPGRADE_VERSION: Final = "1.1"

#: RFC 9110, section 7.2, without what no host of ours needs: a name or an address, and a port.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._\-]+|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::[0-9]{1,5})?")

#: A body that brings less than this in ``body_timeout_s`` is taken for an attack.
LEAST_BODY_BYTES: Final = 1024

_TOO_LARGE: Final = (
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "The request's head is too large.",
)


class HttpProtocol(HttpToolsProtocol):
    """Limits the head of every request in size and time; hands WebSocket upgrades on.

    A head over ``max_head_bytes`` or a header line over ``max_header_line_bytes`` is answered
    431; a head that is not complete after ``handshake_timeout_s`` is cut, and so is a body that
    hardly comes for ``body_timeout_s``, and a client that takes nothing of its answer. What could mean one thing to a proxy and another to us
    (two Hosts, a handshake with a body, trailers that look like headers) is refused or not seen.
    """

    def __init__(self, *args: Any, gateway_settings: GatewaySettings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = gateway_settings
        self._head_bytes = 0
        self._head_complete = False
        self._refusal: tuple[HTTPStatus, str] | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._in_body = False
        self._body_timer: asyncio.TimerHandle | None = None
        self._body_bytes = 0
        self._frames_of_upgrade: bytes | None = None
        self._answering: RequestResponseCycle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._body_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        # uvicorn tells the request that came last; the one at work may be another.
        for cycle in (self._answering, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reader(self._limits.body_timeout_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None and not self.transport.is_closing():
            self._write_timer.cancel()
            self._write_timer = None

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._frames_of_upgrade is not None:
            # Reading was paused, but a request that is being answered may have it resumed.
            self._frames_of_upgrade += data
            if len(self._frames_of_upgrade) > self._limits.max_frame_bytes:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        if not self._head_complete:
            if self._head_timer is None:
                self._expect_head()
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # What came in the same segment behind the request is the first frame already.
            self._upgrade_wanted(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(
                *(self._refusal or (HTTPStatus.BAD_REQUEST, "This is not a valid HTTP request."))
            )
            return
        unfinished = not self._head_complete and self._head_bytes > self._limits.max_head_bytes
        if unfinished and self._refusal is None:
            self._refusal = _TOO_LARGE
        if self._refusal is not None:
            self._refuse(*self._refusal)
        elif self._in_body:
            self._body_bytes += len(data)
            if self._body_timer is None:
                self._expect_body()

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_complete = False
        self._refusal = None
        self._parsed_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + len(b": \r\n"))
        if not self._head_complete:  # else it is a trailer, which must not pass for a header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_complete = True
        self._head_bytes = 0
        self._cancel_head_timer()
        if self._refusal is None:
            self._refusal = self._fault_of_head()
        if self._refusal is None:
            super().on_headers_complete()
            self._in_body = True

    def on_body(self, body: bytes) -> None:
        if self._refusal is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refusal is None:
            self._in_body = False
            super().on_message_complete()
            # The next request's head, if it comes on this connection, has its own limits.
            self._head_complete = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_reader(self._limits.close_timeout_s)
            return
        if not self._is_idle:
            return
        frames, self._frames_of_upgrade = self._frames_of_upgrade, None
        if self._refused:
            self._write_refusal()
        elif frames is not None:
            self._unset_keepalive_if_required()
            self._upgrade(frames)

    def _count(self, line_bytes: int) -> None:
        self._parsed_bytes += line_bytes
        if (
            line_bytes > self._limits.max_header_line_bytes
            or self._parsed_bytes > self._limits.max_head_bytes
        ):
            self._refusal = _TOO_LARGE

    def _fault_of_head(self) -> tuple[HTTPStatus, str] | None:
        """What is wrong with a head that the parser understood."""
        version = self.parser.get_http_version()
        if version < min(VERSIONS):
            return HTTPStatus.BAD_REQUEST, "This is not a valid HTTP request."
        if version not in VERSIONS:
            return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here."
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 and (hosts or version == UPGRADE_VERSION):
            return HTTPStatus.BAD_REQUEST, "A request has exactly one Host."
        if hosts and not _is_host(hosts[0]):
            return HTTPStatus.BAD_REQUEST, "The Host is not a host."
        return self._fault_of_upgrade(version) if self.parser.should_upgrade() else None

    def _fault_of_upgrade(self, version: str) -> tuple[HTTPStatus, str] | None:
        if version != UPGRADE_VERSION:
            return HTTPStatus.BAD_REQUEST, "An upgrade needs HTTP/1.1."
        if self._get_upgrade() != WEBSOCKET:
            return HTTPStatus.BAD_REQUEST, "The only upgrade served is websocket."
        for name, value in self.headers:
            if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
                return HTTPStatus.BAD_REQUEST, "An upgrade has no body."
        return None

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(
            self._limits.handshake_timeout_s, self._head_timeout
        )

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_timeout(self) -> None:
        self._head_timer = None
        if not self._head_complete and not self.transport.is_closing():
            self.transport.close()

    def _expect_body(self) -> None:
        self._body_bytes = 0
        self._body_timer = self.loop.call_later(self._limits.body_timeout_s, self._body_timeout)

    def _body_timeout(self) -> None:
        self._body_timer = None
        if not self._in_body or self.transport.is_closing():
            return
        # While the application takes nothing, nothing is read: that is not the client's fault.
        if self._body_bytes < LEAST_BODY_BYTES and not self.flow.read_paused:
            self.transport.abort()
        else:
            self._expect_body()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _expect_reader(self, within_s: float) -> None:
        """Cut the connection unless its peer takes something within this time, again and again."""
        if self._write_timer is None:
            self._unsent_bytes = self.transport.get_write_buffer_size()
            self._write_timer = self.loop.call_later(within_s, self._write_timeout, within_s)

    def _write_timeout(self, within_s: float) -> None:
        self._write_timer = None
        if self.transport.get_write_buffer_size() >= self._unsent_bytes:
            self.transport.abort()
        else:
            self._expect_reader(within_s)

    def _upgrade_wanted(self, first_frames: bytes) -> None:
        if self._refusal is not None:
            self._refuse(*self._refusal)
        elif self._is_idle:
            self._upgrade(first_frames)
        else:
            # A request before it on this connection is still being answered.
            self._frames_of_upgrade = first_frames
            self.flow.pause_reading()

    def _upgrade(self, first_frames: bytes) -> None:
        self._cancel_head_timer()
        self.connections.discard(self)
        headers = Headers()
        for name, value in self.headers:
            headers.set_insecure(name.decode("latin-1"), value.decode("latin-1"))
        request = Request(
            self.url.decode("latin-1"), headers, method=self.scope["method"], protocol="HTTP/1.1"
        )
        protocol: Any = self.ws_protocol_class(  # type: ignore[call-arg, misc]
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        # Set first: the handshake may close the transport.
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.request_received(request)
        if first_frames:
            protocol.data_received(first_frames)
        # The parser and this know each other: untied, both are gone at once.
        self.parser = None  # type: ignore[assignment]  # as uvicorn does at the end
        self.transport = self.flow = None  # type: ignore[assignment]

    @property
    def _is_idle(self) -> bool:
        """Whether every request so far is answered, or given up."""
        answering = self._answering
        return not self.pipeline and (
            answering is None or answering.response_complete or answering.disconnected
        )

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """The last answer of this connection, behind those that are under way."""
        self._refusal = (status, message)
        self._refused = True
        if self._in_body and self.cycle is not None and not self.cycle.response_complete:
            self._give_up(self.cycle)
        if self._is_idle:
            self._write_refusal()

    def _give_up(self, cycle: RequestResponseCycle) -> None:
        """The request's body is broken: tell the application, and answer in its place."""
        cycle.disconnected = True
        cycle.message_event.set()
        waiting = [entry for entry in self.pipeline if entry[0] is not cycle]
        self.pipeline.clear()
        self.pipeline.extend(waiting)
        if cycle.response_started:
            self._refusal = None
            self.transport.close()

    def _write_refusal(self) -> None:
        if self._refusal is None or self.transport.is_closing():
            return
        status, message = self._refusal
        body = json.dumps(
            {"error": {"code": status.phrase.lower().replace(" ", "_"), "message": message}}
        )
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/json\r\nconnection: close\r\ncontent-length: "
            + str(len(body)).encode()
            + b"\r\n\r\n"
            + body.encode()
        )
        self.transport.close()
        self._expect_reader(self._limits.close_timeout_s)


def _is_host(value: bytes) -> bool:
    match = _HOST.fullmatch(value.decode("latin-1"))
    if match is None:
        return False
    address = match["ipv6"]
    try:
        return address is None or bool(ipaddress.IPv6Address(address))
    except ValueError:
        return False
