"""Attacks on the framing: what RFC 6455 forbids, and what it allows and few expect."""

import zlib
from typing import Final

from attack_kit.cases import Case, Close, Error, Reply, Silence
from attack_kit.wire import close_frame, frame, message, text

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10

PROTOCOL_ERROR: Final = Close((1002,))
BAD_UTF8: Final = Close((1007,))
TOO_LARGE: Final = Close((1009,))
PONGED: Final = Reply({"type": "pong", "request_id": "r"})

PING_JSON: Final = b'{"type":"ping","request_id":"r"}'


def deflated(data: bytes) -> bytes:
    """Compressed as permessage-deflate does it."""
    squeezer = zlib.compressobj(wbits=-15)
    return (squeezer.compress(data) + squeezer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(
        b"\x00\x00\xff\xff"
    )


def fragmented(*parts: bytes) -> bytes:
    """One text message in these fragments."""
    last = len(parts) - 1
    return b"".join(
        frame(TEXT if place == 0 else CONT, part, fin=place == last)
        for place, part in enumerate(parts)
    )


_SHARP_S = PING_JSON.replace(b'"r"', '"ß"'.encode())
_IN_CODE_POINT = _SHARP_S.index("ß".encode()) + 1

FRAMES: Final = [
    Case("a frame without mask", text(PING_JSON, masked=False), PROTOCOL_ERROR),
    Case("a control frame without mask", frame(PING, b"x", masked=False), PROTOCOL_ERROR),
    *(
        Case(f"reserved bit {bit}", text(PING_JSON, rsv=1 << (3 - bit)), PROTOCOL_ERROR)
        for bit in (1, 2, 3)
    ),
    Case("all reserved bits", text(PING_JSON, rsv=7), PROTOCOL_ERROR),
    Case("a reserved bit on a ping", frame(PING, b"x", rsv=4), PROTOCOL_ERROR),
    *(
        Case(f"opcode {opcode}", frame(opcode, b"x"), PROTOCOL_ERROR)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    Case("a fragmented ping", frame(PING, b"x", fin=False), PROTOCOL_ERROR),
    Case("a fragmented pong", frame(PONG, b"x", fin=False), PROTOCOL_ERROR),
    Case("a fragmented close", frame(CLOSE, b"\x03\xe8", fin=False), PROTOCOL_ERROR),
    Case("a ping of 126 bytes", frame(PING, b"x" * 126), PROTOCOL_ERROR),
    Case("a ping that claims 64 bits of size", frame(PING, claimed=2**63 - 1), Close((1002, 1009))),
    # Bad manners of a sender, and no other meaning: read as everybody reads it.
    Case("a size in more bytes than it needs: 16", text(PING_JSON, size_as=16), PONGED),
    Case("a size in more bytes than it needs: 64", text(PING_JSON, size_as=64), PONGED),
    Case(
        "a size with its top bit set",
        frame(TEXT, claimed=2**63 + 5, size_as=64),
        Close((1002, 1009)),
    ),
    Case("a size of 2**63 - 1", frame(TEXT, claimed=2**63 - 1, size_as=64), TOO_LARGE),
    Case("a size of 4 GiB, nothing behind it", frame(TEXT, claimed=2**32, size_as=64), TOO_LARGE),
    Case("one byte over the hard limit", text(b"x" * (64 * 1024 + 1)), TOO_LARGE),
    Case("the hard limit itself", text(b"x" * 64 * 1024), Error("message_too_large")),
    Case(
        "fragments over the hard limit together",
        fragmented(b"x" * 40_000, b"x" * 40_000),
        TOO_LARGE,
    ),
    Case("a whole message in 64 fragments", fragmented(PING_JSON, *[b" "] * 63), PONGED),
    Case(
        "a whole message in 65 fragments",
        fragmented(PING_JSON, *[b" "] * 64),
        Close((1008,)),
    ),
    Case("thousands of fragments", fragmented(*[b" "] * 5000), Close((1008,))),
    Case(
        "empty fragments without end",
        frame(TEXT, fin=False) + frame(CONT, fin=False) * 5000,
        Close((1002, 1008)),
    ),
    Case("empty fragments around a message", fragmented(b"", PING_JSON, b"", b""), PONGED),
    Case("a continuation of nothing", frame(CONT, PING_JSON), PROTOCOL_ERROR),
    Case(
        "a message within a message",
        frame(TEXT, b"{", fin=False) + text(PING_JSON),
        PROTOCOL_ERROR,
    ),
    Case(
        "control frames between fragments",
        frame(TEXT, PING_JSON[:9], fin=False)
        + frame(PING, b"are you there")
        + frame(CONT, PING_JSON[9:20], fin=False)
        + frame(PONG)
        + frame(CONT, PING_JSON[20:]),
        PONGED,
    ),
    Case(
        "text split inside a code point",
        fragmented(_SHARP_S[:_IN_CODE_POINT], _SHARP_S[_IN_CODE_POINT:]),
        Reply({"type": "pong", "request_id": "ß"}),
    ),
    Case("a deflate bomb", text(deflated(b" " * 2**24), rsv=4), PROTOCOL_ERROR),
    Case("a binary frame", frame(BINARY, PING_JSON), Close((1003,))),
    Case("an empty binary frame", frame(BINARY), Close((1003,))),
    Case(
        "a binary message in fragments",
        frame(BINARY, b"x", fin=False),
        Close((1002, 1003)),
    ),
    Case("bytes that no UTF-8 has", text(b'{"type":"\xff\xfe"}'), BAD_UTF8),
    Case("a continuation byte alone", text(b'{"type":"\x80"}'), BAD_UTF8),
    Case("a code point cut off", text(b'{"type":"\xe2\x82"}'), BAD_UTF8),
    Case("an overlong slash", text(b'{"type":"\xc0\xaf"}'), BAD_UTF8),
    Case("an overlong NUL", text(b'{"type":"\xc0\x80"}'), BAD_UTF8),
    Case("an overlong form of 3 bytes", text(b'{"type":"\xe0\x80\xaf"}'), BAD_UTF8),
    Case("a surrogate in UTF-8", text(b'{"type":"\xed\xa0\x80"}'), BAD_UTF8),
    Case("a pair of surrogates in UTF-8", text(b'{"type":"\xed\xa0\xbd\xed\xb8\x80"}'), BAD_UTF8),
    Case("beyond U+10FFFF", text(b'{"type":"\xf4\x90\x80\x80"}'), BAD_UTF8),
    Case("a form of 5 bytes", text(b'{"type":"\xf8\x88\x80\x80\x80"}'), BAD_UTF8),
    Case("bad UTF-8 in fragments", fragmented(b'{"type":"\xe2', b'\x28\xa1"}'), BAD_UTF8),
    Case("a good-bye", close_frame(1000, b"bye"), Close((1000,))),
    Case("a good-bye without code", close_frame(None), Close((1005,))),
    Case("a good-bye of an application", close_frame(4999, b"mine"), Close((4999,))),
    Case("a close of 1 byte", frame(CLOSE, b"\x03"), PROTOCOL_ERROR),
    *(
        Case(f"close code {code}", close_frame(code), PROTOCOL_ERROR)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    ),
    Case("a close with bad UTF-8", close_frame(1000, b"\xff\xfe"), BAD_UTF8),
    Case("a close of 126 bytes", close_frame(1000, b"x" * 124), PROTOCOL_ERROR),
    Case("a close of 125 bytes", close_frame(1000, b"x" * 123), Close((1000,))),
    Case("data behind a close", close_frame(1000) + text(PING_JSON) * 3, Close((1000,))),
    Case("two closes", close_frame(1000) + close_frame(1001), Close((1000,))),
    Case(
        "a close within a message",
        frame(TEXT, b"{", fin=False) + close_frame(1000),
        Close((1000, 1002)),
    ),
    Case("pongs that nobody asked for", frame(PONG, b"x" * 125) * 50, Silence()),
    Case("a flood of pings", frame(PING, b"x" * 125) * 500, Silence()),
    Case("bytes that are no frame at all", b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", PROTOCOL_ERROR),
    Case("a mask of zeros", b"\x81\xa0\0\0\0\0" + PING_JSON, PONGED),
    Case("a message in one segment with a bad frame", message("ping") + frame(3), PROTOCOL_ERROR),
]
