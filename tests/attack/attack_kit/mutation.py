"""Seeded mutations of valid frames and handshakes: of their bytes, their framing, their JSON."""

import base64
import copy
import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from attack_kit.messages import JSON_RPC, SCHEMA
from attack_kit.wire import frame, handshake, in_subprotocol, text

#: Values that parsers and databases have stumbled over.
ODD: Final[Sequence[Any]] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 10**40, 0.1, 1e308,
    -0.0, float("nan"), float("inf"), "", " ", "\0", "\ud800", "\u202e", "\ufeff", "a" * 129, "ß" * 4000,
    "🙂" * 300, "\x1b[31m", "a\r\nb", "' or 1=1 --", "${jndi:ldap://x}", "{0.__class__}", "%s%n", "../..",
    "00000000-0000-4000-8000-000000000000", [], {}, [[]], {"": {}}, [None] * 50, {"type": "ping"},
)  # fmt: skip

#: Bytes that mean something to one parser or another.
ODD_BYTES: Final[Sequence[bytes]] = (
    b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b",", b";", b"=", b"%", b"%00", b"#", b"?",
    b"//", b"[", b"]", b"@", b"\\", b'"', b"\x7f", b"\x80", b"\xff", b"\xc0\xaf", b"0" * 50, b"-1", b"{", b"}",
    b"http://", b"GET ", b" HTTP/1.1\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"Upgrade: h2c\r\n", b"Host: y\r\n", b"Expect: 100-continue\r\n", b"x" * 3000,
)  # fmt: skip

FIELDS: Final = (
    "type", "request_id", "user_id", "payload", "text", "content", "message", "thread_id", "run_id",
    "client_message_id", "if_busy", "user_request", "pipeline", "limit", "before", "title", "preferences",
    "token", "seq", "jsonrpc", "id", "method", "params", "__proto__", "x",
)  # fmt: skip

ID: Final = "00000000-0000-4000-8000-000000000000"

VALID: Final[Sequence[dict[str, Any]]] = (
    {"type": "ping"},
    {"type": "heartbeat", "request_id": "r"},
    {"type": "pong", "seq": 3},
    {"type": "ack", "seq": 0},
    {"type": "get_thread_history", "thread_id": ID, "limit": 5, "before": ID},
    {"type": "list_threads", "limit": 5},
    {"type": "switch_thread", "thread_id": ID},
    {"type": "rename_thread", "thread_id": ID, "title": "a"},
    {"type": "delete_thread", "thread_id": ID},
    {"type": "get_run", "run_id": ID},
    {"type": "cancel_run", "run_id": ID},
    {"type": "retry_run", "run_id": ID},
    {"type": "stop_agent", "thread_id": ID},
    {"type": "get_preferences"},
    {"type": "set_preferences", "preferences": {"a": [1, {"b": None}]}},
    {"type": "refresh_token", "token": "a.b.c"},
    # Refused for its thread: a run for each frame would test the worker.
    {"type": "user_message", "text": "hello", "thread_id": ID, "client_message_id": "1"},
    {"type": "start_agent", "user_request": "hello", "thread_id": ID},
    {"type": "ping", "payload": {"request_id": "r"}},
    {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}},
    {"jsonrpc": "2.0", "method": "get_run", "params": {"run_id": ID}},
    {"jsonrpc": "2.0", "id": "a", "method": "get_thread_history", "params": {"thread_id": ID}},
)


class Mutator:
    """Makes attacks from a seed: the same ones each time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._known = [case.sent for case in (*SCHEMA, *JSON_RPC) if isinstance(case.sent, bytes)]

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    # Bytes.

    def mutated(self, data: bytes) -> bytes:
        """One to three changes of single bytes, pieces, lengths."""
        for _ in range(self._random.randint(1, 3)):
            data = self._random.choice(self._BYTES)(self, data)
        return data

    def _place(self, data: bytes) -> int:
        return self._random.randint(0, len(data))

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return b"\xff"
        place = self._random.randrange(len(data))
        changed = data[place] ^ (1 << self._random.randrange(8))
        return data[:place] + bytes([changed]) + data[place + 1 :]

    def _insert(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + self._random.choice(ODD_BYTES) + data[place:]

    def _delete(self, data: bytes) -> bytes:
        start, end = sorted((self._place(data), self._place(data)))
        return data[:start] + data[min(end, start + 40) :]

    def _repeat(self, data: bytes) -> bytes:
        start, end = sorted((self._place(data), self._place(data)))
        return data[:end] + data[start:end] * self._random.randint(1, 4) + data[end:]

    def _truncate(self, data: bytes) -> bytes:
        return data[: self._place(data)]

    def _noise(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + self._random.randbytes(self._random.randint(1, 20)) + data[place:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._known)
        return data[: self._place(data)] + other[self._place(other) :]

    _BYTES: Final[Sequence[Callable[["Mutator", bytes], bytes]]] = (
        _flip, _flip, _flip, _insert, _insert, _delete, _repeat, _truncate, _noise, _splice,
    )  # fmt: skip

    # JSON.

    def message(self) -> bytes:
        """The JSON of a message with something odd in it, or with a change in its text."""
        value = json.loads(json.dumps(self._random.choice(VALID)))
        for _ in range(self._random.randint(0, 3)):
            self._change(value)
        said = json.dumps(value, ensure_ascii=self.chance(0.7))
        data = said.encode("utf-8", "surrogatepass")
        return self.mutated(data) if self.chance(0.4) else data

    def _change(self, value: dict[str, Any]) -> None:
        holder = value
        while True:
            inner = [one for one in holder.values() if isinstance(one, dict) and one]
            if not inner or self.chance(0.5):
                break
            holder = self._random.choice(inner)
        odd = copy.deepcopy(self._random.choice(ODD))
        match self._random.randrange(5):
            case 0 if holder:
                holder.pop(self._random.choice(list(holder)))
            case 1:
                holder[self._random.choice(FIELDS)] = odd
            case 2 if holder:
                holder[self._random.choice(list(holder))] = odd
            case 3:
                nested: Any = odd
                for _ in range(self._random.choice((1, 5, 31, 33, 200))):
                    nested = [nested] if self.chance(0.5) else {"x": nested}
                holder[self._random.choice(FIELDS)] = nested
            case _ if holder:
                name = self._random.choice(list(holder))
                twin = name.upper() if self.chance(0.5) else name + " "
                holder[twin] = copy.deepcopy(holder[name])

    # Frames.

    def batch(self, count: int) -> list[bytes]:
        """Frames of one connection: mostly such as only a message can be wrong with.

        A frame that breaks the rules ends the connection, and what is behind it is not read.
        """
        if self.chance(0.75):
            return [self._proper(self.message()) for _ in range(count)]
        return [self.frame() for _ in range(count)]

    def _proper(self, payload: bytes) -> bytes:
        payload = payload.decode(errors="replace").encode()[:60_000]
        payload = payload.decode(errors="ignore").encode()
        return text(payload) if self.chance(0.95) else self._in_fragments(payload)

    def frame(self) -> bytes:
        """A frame of a mutated message; every few a frame that breaks the rules itself."""
        payload = self.message()
        if self.chance(0.9):
            return self._proper(payload) if self.chance(0.5) else text(payload)
        choose = self._random
        data = frame(
            choose.choice((0, 1, 1, 1, 2, 8, 9, 10, 3, 11)),
            payload if self.chance(0.7) else payload[:120],
            fin=self.chance(0.8),
            rsv=choose.choice((0, 0, 0, 1, 2, 4, 7)),
            masked=self.chance(0.9),
            size_as=choose.choice((None, None, None, 16, 64)) if len(payload) < 2**16 else None,
        )
        return self.mutated(data) if self.chance(0.5) else data

    def _in_fragments(self, payload: bytes) -> bytes:
        cuts = sorted(self._place(payload) for _ in range(self._random.randint(1, 5)))
        parts = [
            payload[start:end] for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True)
        ]
        last = len(parts) - 1
        return b"".join(
            frame(0 if place else 1, part, fin=place == last) for place, part in enumerate(parts)
        )

    def good_bye(self) -> bytes:
        """A close frame of any code."""
        payload = struct.pack("!H", self._random.randrange(65_536)) + self.mutated(b"bye")
        return frame(8, payload[:125])

    # Handshakes.

    def handshake(self, token: str) -> bytes:
        """A handshake or a request, changed somewhere."""
        choose = self._random
        if self.chance(0.3):
            token = self.token(token)
        kind = choose.randrange(4)
        if kind == 0:
            data = handshake(
                extra=[("Sec-WebSocket-Protocol", f"apex.v1, {in_subprotocol(token)}")]
            )
        elif kind == 1:
            target = f"/ws?after={choose.choice((0, 1, 10**18))}&epoch=x"
            data = handshake(token, target=target, extra=[("Origin", "http://x")])
        elif kind == 2:
            body = json.dumps({"sub": "ann", "org": choose.choice(ODD)}).encode()
            data = (
                b"POST /dev/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
            )
        else:
            data = handshake(token)
        return self.mutated(data) if self.chance(0.9) else data

    def token(self, token: str) -> str:
        """A token with a change in one of its parts, as text or decoded."""
        parts = token.split(".")
        place = self._random.randrange(len(parts))
        if self.chance(0.5):
            decoded = base64.urlsafe_b64decode(parts[place] + "=" * (-len(parts[place]) % 4))
            changed = base64.urlsafe_b64encode(self.mutated(decoded)).rstrip(b"=")
        else:
            changed = self.mutated(parts[place].encode())
        parts[place] = changed.decode("latin-1")
        return ".".join(parts)
