"""The small values that messages, events and notices are made of."""

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

MAX_MESSAGE_BYTES: Final = 8192
"""A client's frame must be SHORTER than this (at most 8191 bytes); announced in the welcome."""

MAX_ID_CHARS: Final = 128
"""Longest request, client-message or user id: as long as a token's `sub` may be."""

MAX_SEQ: Final = 2**63 - 1
"""Positions are bigint in the log."""


def format_timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`.

    Raises ValueError for a moment without time zone: it would silently mean the server's own.
    """
    if moment.tzinfo is None:
        raise ValueError("a timestamp needs a time zone: pass an aware datetime")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_timestamp(text: str) -> datetime:
    """The moment an RFC 3339 text names; ValueError when it is none or has no time zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the timestamp has no time zone")
    return moment.astimezone(UTC)


def is_clean(text: str) -> bool:
    """Whether the text can be stored and sent: no U+0000, no lone surrogate."""
    if text.isascii():
        return "\0" not in text
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


# Wire values arrive as JSON, where a UUID or a date is a string: lax there, strict elsewhere.
WireUUID = Annotated[UUID, Field(strict=False)]
Identifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]
Seq = Annotated[int, Field(ge=0, le=MAX_SEQ)]
Timestamp = Annotated[
    AwareDatetime,
    Field(strict=False),
    PlainSerializer(format_timestamp, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]


class WireModel(BaseModel):
    """Base of everything on the wire: immutable, exact types, no unknown fields."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        # A validation error quotes its input by default; ours must never carry a user's value.
        hide_input_in_errors=True,
        serialize_by_alias=True,
        # `try` is a word of the wire and of the language: code says try_number.
        validate_by_name=True,
        use_attribute_docstrings=True,
    )
