"""What readers give and take: rows, refused rows, options."""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from apex_actors.costs.records import Name, Processing, UsageRecord

_ID_BYTES = 16
"""128 bits: among 10 billion rows a collision has a chance of about 10^-19."""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is no usage record. The reason names the field and the rule, never the value."""

    line: int
    """Where the row ends in the (decompressed) file, counted from 1; in a JSON document, which may
    be one long line, the place of the row among the rows."""
    reason: str


Row = UsageRecord | RejectedRow


class ImportOptions(BaseModel):
    """What a file that lacks it should be taken to mean; what a row says itself goes before.

    Native files say everything themselves and need none of this. Traffic traces have no model, no
    user and no price: `provider` and `model` are required for them. Bodies of responses often lack
    the provider and the time.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    provider: Name | None = None
    model: Name | None = None
    start: AwareDatetime | None = None
    """When the first row happened; moves a trace as a whole and keeps its gaps."""
    processing: Processing = Processing.STANDARD
    user: Name | None = None
    team: Name | None = None
    feature: Name | None = None
    environment: Name | None = None
    deferrable: bool | None = None
    tags: dict[Name, Name] = Field(default_factory=dict, max_length=64)


def row_id(salt: bytes, content: bytes, ordinal: int) -> str:
    """An id for a row that has none: its content and its place in the file.

    The same file gives the same ids again. `salt` holds what else decides what the row means.
    """
    digest = blake2b(salt, digest_size=_ID_BYTES)
    digest.update(b"%d\n" % ordinal)
    digest.update(content)
    return f"row-{digest.hexdigest()}"


def in_utc(moment: datetime) -> datetime:
    """A moment without a zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
