"""What a client may say: one immutable model a message type (protocol, section 3)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, SecretStr, model_validator

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
    """It waits for its turn."""
    REJECT = "reject"
    """It is refused with `thread_busy`."""
    INTERRUPT = "interrupt"
    """The unfinished run is cancelled and it goes first."""


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must hold more than white space")
    return text


_NOT_BLANK: Final = {"pattern": r"\S"}

# `repr=False` on everything a person wrote: a logged message must not show its text.
Text = Annotated[
    str,
    Field(min_length=1, repr=False, json_schema_extra=_NOT_BLANK),
    AfterValidator(_not_blank),
]
Title = Annotated[
    str,
    Field(min_length=1, max_length=MAX_TITLE_CHARS, repr=False, json_schema_extra=_NOT_BLANK),
    AfterValidator(_not_blank),
]
Cursor = Annotated[str, Field(min_length=1, max_length=MAX_CURSOR_CHARS)]
PageLimit = Annotated[int, Field(ge=1, le=MAX_PAGE)]


class ClientMessage(WireModel):
    """Fields every message may have."""

    type: str
    request_id: Identifier | None = None
    """Echoed in the direct reply."""
    user_id: Identifier | None = None
    """Must be the authenticated user's where given; else `user_mismatch`."""

    field_aliases: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Other names of fields → the field's name."""

    def to_wire(self) -> dict[str, Any]:
        """The frame as a mapping: the type, and each field that says more than its default."""
        return {"type": self.type, **self.model_dump(mode="json", exclude_defaults=True)}


class UserMessage(ClientMessage):
    """A person's message; starts a run in the thread."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "required": ["new_thread", "thread_id"],
                "properties": {"new_thread": {"const": True}, "thread_id": {"type": "string"}},
            }
        }
    )

    field_aliases = MappingProxyType({"content": "text", "message": "text"})

    type: Literal["user_message"] = "user_message"
    text: Text
    """What the person wrote."""
    thread_id: WireUUID | None = None
    """Left out: the connection's current thread, else a new one."""
    new_thread: bool = False
    """Begin a new thread, whatever the current one is; not together with `thread_id`."""
    client_message_id: Identifier | None = None
    """Idempotency key: used again with the same text, it returns the same ids."""
    if_busy: Annotated[IfBusy, Field(strict=False)] = IfBusy.ENQUEUE
    """What happens while the thread has an unfinished run: wait, be refused, or go first."""

    @model_validator(mode="after")
    def _names_a_thread_or_begins_one(self) -> Self:
        if self.new_thread and self.thread_id is not None:
            raise ValueError("new_thread and thread_id exclude each other")
        return self


class StartAgent(ClientMessage):
    """A run asked for by a program; goes before waiting user messages."""

    type: Literal["start_agent"] = "start_agent"
    user_request: Text
    """What is to be done, in words."""
    pipeline: Identifier | None = None
    """Which agents work; left out: the server's own pipeline."""
    thread_id: WireUUID | None = None
    """Left out: the connection's current thread, else a new one."""
    client_message_id: Identifier | None = None
    """Idempotency key, as of a `user_message`."""


class RetryRun(ClientMessage):
    """A new run on the message of a run that did not complete."""

    type: Literal["retry_run"] = "retry_run"
    run_id: WireUUID
    """One that failed, timed out or was cancelled."""


class CancelRun(ClientMessage):
    """Stop this run."""

    type: Literal["cancel_run"] = "cancel_run"
    run_id: WireUUID
    """The run; one that waits ends at once."""


class StopAgent(ClientMessage):
    """`cancel_run` in older clients' words: names the run, or the thread whose run is to stop.

    A type of its own because its fields differ; it is handled as `cancel_run`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"type": "string"}}}
                for name in ("run_id", "thread_id")
            ]
        }
    )

    type: Literal["stop_agent"] = "stop_agent"
    run_id: WireUUID | None = None
    """The run; either this or `thread_id`."""
    thread_id: WireUUID | None = None
    """The thread whose run is to stop."""

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.run_id is None) == (self.thread_id is None):
            raise ValueError("needs either run_id or thread_id")
        return self


class GetRun(ClientMessage):
    """All that is needed to draw a run."""

    type: Literal["get_run"] = "get_run"
    run_id: WireUUID
    """The run."""


class ListThreads(ClientMessage):
    """The user's threads, latest first."""

    type: Literal["list_threads"] = "list_threads"
    limit: PageLimit = DEFAULT_PAGE
    """Most threads of the page."""
    before: Cursor | None = None
    """`next` of the page before; left out: the latest."""


class GetThreadHistory(ClientMessage):
    """Messages and runs of a thread, the latest `limit` of them, oldest first."""

    type: Literal["get_thread_history"] = "get_thread_history"
    thread_id: WireUUID
    """The thread."""
    limit: PageLimit = DEFAULT_PAGE
    """Most messages of the page."""
    before: Cursor | None = None
    """Id of the oldest message already known; left out: the latest."""


class SwitchThread(ClientMessage):
    """Later messages without `thread_id` go to this thread, also after a reconnect."""

    type: Literal["switch_thread"] = "switch_thread"
    thread_id: WireUUID
    """The thread."""


class RenameThread(ClientMessage):
    """Give a thread another title."""

    type: Literal["rename_thread"] = "rename_thread"
    thread_id: WireUUID
    """The thread."""
    title: Title
    """The new title."""


class DeleteThread(ClientMessage):
    """Remove a thread and redact its events."""

    type: Literal["delete_thread"] = "delete_thread"
    thread_id: WireUUID
    """The thread."""


class GetPreferences(ClientMessage):
    """Read the user's preferences."""

    type: Literal["get_preferences"] = "get_preferences"


class SetPreferences(ClientMessage):
    """Set the preferences named; the others stay."""

    type: Literal["set_preferences"] = "set_preferences"
    preferences: Annotated[dict[str, JsonValue], Field(repr=False)]
    """Name → value, any JSON; null takes one away."""


class RefreshToken(ClientMessage):
    """A later token of the same identity, so that the connection outlives the first."""

    type: Literal["refresh_token"] = "refresh_token"
    token: Annotated[SecretStr, Field(min_length=1, max_length=MAX_TOKEN_CHARS)]
    """The new token."""

    def to_wire(self) -> dict[str, Any]:
        """The frame, and with it the token: for the socket alone."""
        return super().to_wire() | {"token": self.token.get_secret_value()}


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
    """Every event up to here was taken."""


class Ack(ClientMessage):
    """Confirms every event up to `seq`."""

    type: Literal["ack"] = "ack"
    seq: Seq | None = None
    """Every event up to here was taken."""


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
