"""What a socket tells the actor of its connection."""

from dataclasses import dataclass
from typing import Any

from apex_actors.actors import ActorDeadError, ActorRef
from apex_actors.gateway.metrics import GatewayMetrics


@dataclass(slots=True)  # not frozen: one is made for every frame, and freezing doubles its cost
class FrameReceived:
    """A text frame of the client, and the bytes that it came in."""

    text: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SocketLost:
    """The socket is closed, for good."""

    code: int


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """The peer is there, and has said nothing."""

    size_bytes: int = 0


class SocketMessages:
    """Turns what a socket receives into messages to the connection's actor."""

    __slots__ = ("_metrics", "_ref")

    greets = True

    def __init__(self, ref: ActorRef[Any], metrics: GatewayMetrics) -> None:
        self._ref = ref
        self._metrics = metrics

    def frame_received(self, text: str, size_bytes: int) -> None:
        """Queue a frame behind those before it."""
        self._tell(FrameReceived(text, size_bytes))

    def alive(self, size_bytes: int) -> None:
        """A protocol-level ping or pong counts as well."""
        self._tell(SignOfLife(size_bytes))

    def congested(self) -> None:
        """The peer takes less than it is sent."""
        self._metrics.high_water()

    def socket_lost(self, code: int) -> None:
        """The socket is closed; the runs of the user go on without it."""
        self._tell(SocketLost(code))

    def _tell(self, message: object) -> None:
        try:
            self._ref.tell(message)
        except ActorDeadError:
            # It has closed its socket: what still comes from it concerns nobody.
            return
