"""uvicorn's HTTP protocol with a bounded request head, and an upgrade that loses no byte."""

import asyncio
import json
from http import HTTPStatus
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from apex_actors.gateway.settings import GatewaySettings

WEBSOCKET: Final = b"websocket"


class HttpProtocol(HttpToolsProtocol):
    """Limits the head of every request in size and time; hands WebSocket upgrades on.

    A head over ``max_head_bytes`` or a header line over ``max_header_line_bytes`` is answered
    431; a head that is not complete after ``handshake_timeout_s`` is cut.
    """

    def __init__(self, *args: Any, gateway_settings: GatewaySettings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = gateway_settings
        self._head_bytes = 0
        self._head_complete = False
        self._oversize = False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if not self._head_complete:
            if self._head_timer is None:
                self._expect_head()
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._oversize:
                self._refuse(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too large."
                )
            elif self._get_upgrade() == WEBSOCKET:
                # What came in the same segment behind the request is the first frame already.
                self._upgrade(data[upgrade.args[0] :])
            else:
                self._refuse(HTTPStatus.BAD_REQUEST, "The only upgrade served is websocket.")
            return
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST, "This is not a valid HTTP request.")
            return
        unfinished = not self._head_complete and self._head_bytes > self._limits.max_head_bytes
        if self._oversize or unfinished:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too large."
            )

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_complete = False
        self._oversize = False
        self._parsed_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + len(b": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_complete = True
        self._head_bytes = 0
        self._cancel_head_timer()
        if not self._oversize:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._oversize:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._oversize:
            super().on_message_complete()
            # The next request's head, if it comes on this connection, has its own limits.
            self._head_complete = False

    def _count(self, line_bytes: int) -> None:
        self._parsed_bytes += line_bytes
        if (
            line_bytes > self._limits.max_header_line_bytes
            or self._parsed_bytes > self._limits.max_head_bytes
        ):
            self._oversize = True

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

    def _upgrade(self, first_frames: bytes) -> None:
        self._cancel_head_timer()
        self.connections.discard(self)
        lines = [self.scope["method"].encode(), b" ", self.url, b" HTTP/1.1\r\n"]
        for name, value in self.headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n")
        protocol = self.ws_protocol_class(  # type: ignore[call-arg, misc]
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        # Set first: the handshake may close the transport.
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.data_received(b"".join(lines))
        if first_frames:
            protocol.data_received(first_frames)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        if self.transport.is_closing():
            return
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
