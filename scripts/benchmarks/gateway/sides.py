"""The three servers that are measured: which there are, how they are set up, what they can do."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from apex_actors.gateway.settings import GatewaySettings, LimitSettings

NO_LIMIT: Final = 10**9


class Side(StrEnum):
    """Who is measured."""

    OURS = "ours"
    BARE = "bare"
    UVICORN = "uvicorn"


@dataclass(frozen=True, slots=True)
class Options:
    """How a server is set up: the tokens' secret, the folder of databases, the heartbeats."""

    secret: str
    data_dir: Path
    heartbeat_interval_s: float = 30.0

    def with_heartbeats(self, interval_s: float) -> "Options":
        """The same with another interval of heartbeats."""
        return replace(self, heartbeat_interval_s=interval_s)

    def gateway(self) -> GatewaySettings:
        """The settings of a gateway that lets thousands come from one address at once."""
        return GatewaySettings(
            heartbeat_interval_s=self.heartbeat_interval_s,
            limits=LimitSettings(
                messages_per_s=NO_LIMIT,
                messages_burst=NO_LIMIT,
                bytes_per_s=NO_LIMIT,
                bytes_burst=NO_LIMIT,
                handshakes_per_s=NO_LIMIT,
                handshakes_burst=NO_LIMIT,
                connections_per_user=NO_LIMIT,
                connections_per_node=NO_LIMIT,
            ),
        )


Command = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens, and what it can be told to do."""

    port: int
    commands: Mapping[str, Command]
