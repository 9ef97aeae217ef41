"""What a client may say: one immutable model a message type (protocol, section 3)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, SecretStr, model_validator

from apex_actors.protocol.scalars import Identifier, Seq, WireModel, WireUUID

DEFAULT_PAGE: Final = 50
"""Rows of a page of threads or messages when the client names no `limit`."""

MAX_PAGE: Final = 200
"""Most rows of a page: a page of full-length messages stays within a few megabytes."""

MAX_TITLE_CHARS: Final = 200
MAX_TOKEN_CHARS: Final = 8192
MAX_CURSOR_CHARS: Final = 256


class IfBusy(StrEnum):
    """What happens to a user message while its thread has an unfinished run."""

    ENQUEUE = "enqueue"
    REJECT = "reject"
    INTERRUPT = "interrupt"


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must hold more than white space")
    return text


# `repr=False` on everything a person wrote: a logged message must not show its text.
Text = Annotated[str, Field(min_length=1, repr=False), AfterValidator(_not_blank)]
Title = Annotated[
    str, Field(min_length=1, max_length=MAX_TITLE_CHARS, repr=False), AfterValidator(_not_blank)
]
Cursor = Annotated[str, Field(min_length=1, max_length=MAX_CURSOR_CHARS)]
PageLimit = Annotated[int, Field(ge=1, le=MAX_PAGE)]


class ClientMessage(WireModel):
    """Fields every message may have."""

    type: str
    request_id: Identifier | None = None
    """Echoed in the direct reply."""
    user_id: Identifier | None = None
    """Must equal the authenticated user where given; the gateway compares."""

    field_aliases: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Other names of fields → the field's name."""


class UserMessage(ClientMessage):
    """A person's message; starts a run in the thread."""

    field_aliases = MappingProxyType({"content": "text", "message": "text"})

    type: Literal["user_message"] = "user_message"
    text: Text
    thread_id: WireUUID | None = None
    """None: the connection's current thread, else a new one."""
    client_message_id: Identifier | None = None
    """Idempotency key: used again with the same text, it returns the same ids."""
    if_busy: Annotated[IfBusy, Field(strict=False)] = IfBusy.ENQUEUE


class StartAgent(ClientMessage):
    """A run asked for by a program; goes before waiting user messages."""

    type: Literal["start_agent"] = "start_agent"
    user_request: Text
    pipeline: Identifier | None = None
    thread_id: WireUUID | None = None
    client_message_id: Identifier | None = None


class RetryRun(ClientMessage):
    """A new run on the message of a run that did not complete."""

    type: Literal["retry_run"] = "retry_run"
    run_id: WireUUID


class CancelRun(ClientMessage):
    """Stop this run."""

    type: Literal["cancel_run"] = "cancel_run"
    run_id: WireUUID


class StopAgent(ClientMessage):
    """`cancel_run` in older clients' words: names the run, or the thread whose run is to stop.

    A type of its own because its fields differ; it is handled as `cancel_run`.
    """

    type: Literal["stop_agent"] = "stop_agent"
    run_id: WireUUID | None = None
    thread_id: WireUUID | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.run_id is None) == (self.thread_id is None):
            raise ValueError("needs either run_id or thread_id")
        return self


class GetRun(ClientMessage):
    """All that is needed to draw a run."""

    type: Literal["get_run"] = "get_run"
    run_id: WireUUID


class ListThreads(ClientMessage):
    """The user's threads, latest first."""

    type: Literal["list_threads"] = "list_threads"
    limit: PageLimit = DEFAULT_PAGE
    before: Cursor | None = None
    """`next` of the page before."""


class GetThreadHistory(ClientMessage):
    """Messages and runs of a thread, the latest `limit` of them, oldest first."""

    type: Literal["get_thread_history"] = "get_thread_history"
    thread_id: WireUUID
    limit: PageLimit = DEFAULT_PAGE
    before: Cursor | None = None
    """Id of the oldest message already known."""


class SwitchThread(ClientMessage):
    """Later messages without `thread_id` go to this thread, also after a reconnect."""

    type: Literal["switch_thread"] = "switch_thread"
    thread_id: WireUUID


class RenameThread(ClientMessage):
    """Give a thread another title."""

    type: Literal["rename_thread"] = "rename_thread"
    thread_id: WireUUID
    title: Title


class DeleteThread(ClientMessage):
    """Remove a thread and redact its events."""

    type: Literal["delete_thread"] = "delete_thread"
    thread_id: WireUUID


class GetPreferences(ClientMessage):
    """Read the user's preferences."""

    type: Literal["get_preferences"] = "get_preferences"


class SetPreferences(ClientMessage):
    """Set the preferences named; the others stay."""

    type: Literal["set_preferences"] = "set_preferences"
    preferences: Annotated[dict[str, JsonValue], Field(repr=False)]


class RefreshToken(ClientMessage):
    """A later token of the same identity, so that the connection outlives the first."""

    type: Literal["refresh_token"] = "refresh_token"
    token: Annotated[SecretStr, Field(min_length=1, max_length=MAX_TOKEN_CHARS)]


class Ping(ClientMessage):
    """Asks for a `pong`."""

    type: Literal["ping"] = "ping"


class Heartbeat(ClientMessage):
    """Asks for a `heartbeat_ack`."""

    type: Literal["heartbeat"] = "heartbeat"


class Pong(ClientMessage):
    """Answers the server's `ping`; may confirm what was received."""

    type: Literal["pong"] = "pong"
    seq: Seq | None = None


class Ack(ClientMessage):
    """Confirms every event up to `seq`."""

    type: Literal["ack"] = "ack"
    seq: Seq | None = None


MESSAGE_TYPES: Final[Mapping[str, type[ClientMessage]]] = MappingProxyType(
    {
        model.model_fields["type"].default: model
        for model in (
            UserMessage,
            StartAgent,
            RetryRun,
            CancelRun,
            StopAgent,
            GetRun,
            ListThreads,
            GetThreadHistory,
            SwitchThread,
            RenameThread,
            DeleteThread,
            GetPreferences,
            SetPreferences,
            RefreshToken,
            Ping,
            Heartbeat,
            Pong,
            Ack,
        )
    }
)
"""Message type → its model."""

TYPE_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "chat": "user_message",
        "chat_message": "user_message",
        "user": "user_message",
        "user_input": "user_message",
        "message": "user_message",
        "execute_agent": "start_agent",
    }
)
"""Other names of message types → the type."""
