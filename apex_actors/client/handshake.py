"""Opening a socket: URL, token, resuming position, and the welcome or the refusal."""

import asyncio
import json
import logging
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.http11 import Response

from apex_actors.client.errors import ConnectionLostError, HandshakeRefusedError
from apex_actors.protocol import ConnectionReady

MAX_FRAME_BYTES: Final = 16 * 2**20
"""Largest frame taken from the server: a report with its data, with room."""

CLOSE_TIMEOUT_S: Final = 2.0
"""How long a peer may take to answer a close frame before it is cut."""


async def open_socket(
    url: str, token: str, *, position: tuple[int, str] | None, timeout_s: float
) -> tuple[ClientConnection, dict[str, Any], ConnectionReady]:
    """A connected socket and its welcome, as received and as read.

    `position` is (`after`, `epoch`) to resume from.

    Raises HandshakeRefusedError, or ConnectionLostError where nobody answers.
    """
    target = url
    if position is not None:
        target += "?" + urlencode({"after": position[0], "epoch": position[1]})
    try:
        socket = await connect(
            target,
            additional_headers={"Authorization": f"Bearer {token}"},
            logger=_quiet_logger(),
            compression=None,
            proxy=None,
            open_timeout=timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            # The protocol has heartbeats of its own.
            ping_interval=None,
            max_size=MAX_FRAME_BYTES,
        )
    except InvalidStatus as refused:
        raise _refusal(refused.response) from None
    except (OSError, InvalidHandshake) as error:
        # A TimeoutError is an OSError, and has no text of its own.
        reason = str(error) or f"no answer in {timeout_s:g} s"
        raise ConnectionLostError(f"cannot connect to {url}: {reason}") from error
    try:
        async with asyncio.timeout(timeout_s):
            frame = read_frame(await socket.recv())
        # A newer server may say more than we know.
        return socket, frame, ConnectionReady.model_validate(frame, extra="ignore")
    except (TimeoutError, ConnectionClosed, ValidationError) as error:
        socket.transport.abort()
        raise ConnectionLostError(f"{url} did not say welcome") from error
    except BaseException:
        socket.transport.abort()
        raise


def read_frame(data: str | bytes) -> dict[str, Any]:
    """A frame of the server as a mapping."""
    try:
        frame = json.loads(data)
    except ValueError:
        frame = None
    if not isinstance(frame, dict):
        raise ConnectionLostError("the server sent what is no frame of the protocol")
    return frame


def socket_url(url: str) -> str:
    """`http://host:port` and `ws://host:port` both mean `ws://host:port/ws`."""
    parts = urlsplit(url)
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError("the server's URL must look like http://host:port or ws://host:port/ws")
    path = parts.path if parts.path.strip("/") else "/ws"
    return urlunsplit((schemes[parts.scheme], parts.netloc, path, "", ""))


def _refusal(response: Response) -> HandshakeRefusedError:
    try:
        error = json.loads(response.body or b"")["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "unknown", HTTPStatus(response.status_code).phrase
    retry_after = response.headers.get("Retry-After", "")
    return HandshakeRefusedError(
        response.status_code,
        code,
        message,
        retry_after_s=float(retry_after) if retry_after.isdecimal() else None,
    )


def _quiet_logger() -> logging.Logger:
    # At DEBUG the library logs request headers, and with them the token.
    logger = logging.getLogger("apex_actors.client.websockets")
    logger.setLevel(logging.WARNING)
    return logger
