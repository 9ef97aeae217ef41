"""Who connects: names, and the requests with which they come."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import jwt

from benchmarks.gateway import frames
from benchmarks.gateway.servers import Server
from benchmarks.gateway.sides import Side

TOKEN_LIFE_S: Final = 6 * 3600

#: What a client waits for before it counts as connected: the first frame, where there is one.
_GREETINGS: Final = {
    Side.OURS: b'"type":"connection_ready"',
    Side.BARE: b"HTTP/1.1 101 ",
    Side.UVICORN: b"HTTP/1.1 101 ",
}

#: What comes for a ping: an echo is the ping itself, and no heartbeat looks like it.
_PONG: Final = b'{"type":"pong",'
_ECHO: Final = frames.PING_TEXT


def greeting(side: Side) -> bytes:
    """What says that the connection is there."""
    return _GREETINGS[side]


def pong(side: Side) -> bytes:
    """What the reply to a ping holds."""
    return _PONG if side is Side.OURS else _ECHO


@dataclass(frozen=True, slots=True)
class Tickets:
    """Makes handshakes with tokens that the node takes; the baselines get the same requests."""

    secret: str

    def requests(self, server: Server, names: Iterable[str], org: str | None = None) -> list[bytes]:
        """A request for each of the users with these names; without org each its own tenant."""
        tokens: dict[str, str] = {}
        requests: list[bytes] = []
        for name in names:
            token = tokens.get(name) or tokens.setdefault(name, self.token(name, org))
            headers = {"Authorization": f"Bearer {token}"}
            requests.append(frames.handshake(server.port, headers))
        return requests

    def token(self, name: str, org: str | None = None) -> str:
        """A token as the node's issuer would make it."""
        now = int(time.time())
        claims = {
            "iss": "apex",
            "aud": "apex",
            "sub": name,
            "org": org or name,
            "iat": now,
            "exp": now + TOKEN_LIFE_S,
        }
        return jwt.encode(claims, self.secret, algorithm="HS256")
