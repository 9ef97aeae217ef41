"""From a message's type to its handler."""

from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from apex_actors.gateway.session import Session
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.messages import ClientMessage
from apex_actors.protocol.notices import Reply
from apex_actors.protocol.violation import ProtocolViolation

Outcome = Reply | None | Coroutine[Any, Any, Reply | None]
Handler = Callable[[Any, Session], Outcome]
HandlerTable = dict[type[ClientMessage], Handler]


class HandlerPart(Protocol):
    """Handlers of some types of messages."""

    def table(self) -> HandlerTable:
        """Handler by type of message."""
        ...


class MessageRouter:
    """Finds the handler of a message; what has none gets the fallback's answer.

    A handler returns the direct reply, None for none, or a coroutine of either; it raises
    ProtocolViolation for what the client should be told.
    """

    def __init__(self, handlers: Mapping[type[ClientMessage], Handler]) -> None:
        if not handlers:
            raise ValueError("a router without handlers can only refuse")
        self._handlers = MappingProxyType(dict(handlers))

    @property
    def message_types(self) -> list[str]:
        """The types that are handled, sorted."""
        return sorted(message.model_fields["type"].default for message in self._handlers)

    def route(self, message: ClientMessage, session: Session) -> Outcome:
        """Handle ``message`` in the name of ``session``'s user."""
        if message.user_id is not None and message.user_id != session.identity.sub:
            raise ProtocolViolation(
                ErrorCode.USER_MISMATCH, "user_id must be the one of the token, or be left out."
            )
        handler = self._handlers.get(type(message))
        if handler is None:
            raise ProtocolViolation(
                ErrorCode.UNKNOWN_MESSAGE_TYPE,
                "This server does not handle this type of message.",
                details={"known_types": self.message_types},
            )
        return handler(message, session)
