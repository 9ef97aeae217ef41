"""Signs of life, and what the client has received."""

from apex_actors.gateway.router import HandlerTable
from apex_actors.gateway.session import Session
from apex_actors.protocol.messages import Ack, Heartbeat, Ping, Pong
from apex_actors.protocol.notices import HeartbeatAck, PongReply


class LivenessHandlers:
    """Need nothing, and so work in degraded mode as well."""

    def table(self) -> HandlerTable:
        """Handler by type of message."""
        return {
            Ping: self.ping,
            Heartbeat: self.heartbeat,
            Pong: self.acknowledge,
            Ack: self.acknowledge,
        }

    def ping(self, _message: Ping, _session: Session) -> PongReply:
        """The server is there."""
        return PongReply.now()

    def heartbeat(self, _message: Heartbeat, _session: Session) -> HeartbeatAck:
        """As ping, in older clients' words."""
        return HeartbeatAck.now()

    def acknowledge(self, message: Pong | Ack, session: Session) -> None:
        """The client has taken all up to ``seq``; what it claims beyond its log is not stored."""
        if message.seq is not None:
            session.acknowledged = max(session.acknowledged, message.seq)
