"""The normalised usage record: what one request, or one provider bucket, used."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

BLOCK_TOKENS = 512
"""Tokens of one prefix block; the last block of a prompt may be shorter."""

MAX_TOKENS = 10**12
"""More tokens than any request or daily bucket has; keeps every sum within a bigint."""

MAX_NAME_CHARS = 256
"""Longest name of a model, user, feature and the like: such names stand in indexes."""

TRUNCATED = frozenset({"length", "max_tokens", "max_output_tokens", "MAX_TOKENS", "incomplete"})
"""Finish reasons of answers that were cut off at the limit of output tokens, as providers call it."""

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)

# Control characters are refused: PostgreSQL can't store U+0000, and the others are never meant.
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS, pattern=_PRINTABLE)
]
Tokens = Annotated[int, Field(ge=0, le=MAX_TOKENS)]
Milliseconds = Annotated[int, Field(ge=0, le=2**31 - 1)]
Money = Annotated[Decimal, Field(ge=-(10**12), le=10**12, max_digits=40, decimal_places=24)]
BlockHash = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Grain(StrEnum):
    """What a record stands for."""

    REQUEST = "request"
    BUCKET = "bucket"
    """An aggregate of a provider: supports no claim that needs single requests."""


class Processing(StrEnum):
    """The service class a request was sent with; each may have its own price."""

    STANDARD = "standard"
    BATCH = "batch"
    FLEX = "flex"
    PRIORITY = "priority"

    # Enum hashes in Python; prices are looked up by processing, once for every request.
    __hash__ = str.__hash__


class Status(StrEnum):
    """Whether the provider answered; what it used is billed either way."""

    OK = "ok"
    ERROR = "error"


class UsageRecord(BaseModel):
    """One request, or one provider bucket, of one tenant.

    `input_tokens` INCLUDES cache reads and writes; `output_tokens` includes reasoning. Absent
    attributes are None, never an empty text.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_enum_values=False)

    record_id: Name
    tenant: Name
    occurred_at: Annotated[AwareDatetime, Field(ge=_EARLIEST, lt=_LATEST)]
    grain: Grain = Grain.REQUEST
    request_count: Annotated[int, Field(ge=0, le=MAX_TOKENS)] = 1
    """Of a bucket: how many requests it sums up; 0 where its source doesn't tell."""
    provider: Name
    model: Name
    processing: Processing = Processing.STANDARD
    input_tokens: Tokens
    cache_read_tokens: Tokens = 0
    cache_write_5m_tokens: Tokens = 0
    cache_write_1h_tokens: Tokens = 0
    output_tokens: Tokens
    reasoning_tokens: Tokens = 0
    latency_ms: Milliseconds | None = None
    ttft_ms: Milliseconds | None = None
    """Time to the first token."""
    status: Status = Status.OK
    finish_reason: Name | None = None
    user: Name | None = None
    team: Name | None = None
    feature: Name | None = None
    environment: Name | None = None
    session_id: Name | None = None
    request_hash: Name | None = None
    """Equal for requests with equal content; traces have none."""
    prefix_block_hashes: Annotated[tuple[BlockHash, ...], Field(max_length=65536)] | None = None
    """One hash for each 512-token block of the prompt, each covering all blocks before it."""
    temperature: Annotated[Decimal, Field(ge=0, le=10, max_digits=12)] | None = None
    deferrable: bool | None = None
    """Whether the answer may come hours later; None: nobody said."""
    retry_of: Name | None = None
    reported_cost: Money | None = None
    """What the provider said it costs, in `currency`; kept apart from the computed cost."""
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "USD"
    tags: dict[Name, Name] = Field(default_factory=dict, max_length=64)

    @model_validator(mode="after")
    def _check(self) -> Self:
        cached = self.cache_read_tokens + self.cache_write_5m_tokens + self.cache_write_1h_tokens
        if cached > self.input_tokens:
            raise ValueError(
                "input_tokens: must include cache_read_tokens, cache_write_5m_tokens and "
                "cache_write_1h_tokens, but their sum is larger"
            )
        if self.reasoning_tokens > self.output_tokens:
            raise ValueError("output_tokens: must include reasoning_tokens, which is larger")
        if self.grain is Grain.REQUEST and self.request_count != 1:
            raise ValueError("request_count: must be 1 for a record of grain request")
        blocks = self.prefix_block_hashes
        if blocks is not None and len(blocks) != -(-self.input_tokens // BLOCK_TOKENS):
            raise ValueError(
                "prefix_block_hashes: must have one hash for each 512 tokens of input_tokens"
            )
        return self


FIELDS = frozenset(UsageRecord.model_fields)
"""The names of the fields of a record."""


_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


def refusal(error: ValidationError) -> str:
    """Why a record was refused: the field and the rule, never the value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    # Only the top field is named; what stands below it (a tag's key) is the user's.
    field = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        shown = field if _IDENTIFIER.fullmatch(field) else "a field"
        return f"{shown}: is not a field of the usage record"
    if first["type"] == "missing":
        return f"{field}: is required"
    return f"{field}: {message[0].lower()}{message[1:]}"
