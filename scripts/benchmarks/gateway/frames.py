"""The few frames that the clients of the benchmarks need, made once and read with little work."""

import base64
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Final

#: Lengths up to this one stand in the second byte of a frame; two more bytes hold the next ones.
_SHORT: Final = 125
_MEDIUM: Final = 126

TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

_FIN: Final = 0x80
_MASKED: Final = 0x80

_MASK: Final = bytes.fromhex("a5c3f00d")
"""One for all: a mask has to be unforeseeable for scripts in browsers, and there are none here."""


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole frame of a client with this payload, of at most 65,535 bytes."""
    head = bytes([_FIN | opcode])
    if len(payload) <= _SHORT:
        head += bytes([_MASKED | len(payload)])
    else:
        head += bytes([_MASKED | _MEDIUM]) + struct.pack("!H", len(payload))
    body = bytes(byte ^ _MASK[place % len(_MASK)] for place, byte in enumerate(payload))
    return head + _MASK + body


def split(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Opcode, begin and end of the payload of each complete frame of a server in ``data``.

    What is behind the last one's end is not complete yet.
    """
    at, there = 0, len(data)
    while at + 2 <= there:
        length, begin = data[at + 1], at + 2
        if length == _MEDIUM:
            if begin + 2 > there:
                return
            (length,) = struct.unpack_from("!H", data, begin)
            begin += 2
        elif length > _MEDIUM:
            if begin + 8 > there:
                return
            (length,) = struct.unpack_from("!Q", data, begin)
            begin += 8
        if begin + length > there:
            return
        yield data[at] & 0x0F, begin, begin + length
        at = begin + length


def end_of_last(data: bytes) -> int:
    """Where the last complete frame in ``data`` ends."""
    return max((end for _, _, end in split(data)), default=0)


def handshake(port: int, headers: Mapping[str, str]) -> bytes:
    """The request that opens a WebSocket, with these headers besides those it must have."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /ws HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


PING_TEXT: Final = b'{"type":"ping"}'
PING_MESSAGE: Final = masked(PING_TEXT)
PONG_MESSAGE: Final = masked(b'{"type":"pong"}')
NORMAL_CLOSE: Final = masked(struct.pack("!H", 1000), CLOSE)
