"""For whom, in which thread and until when a run works: one frozen value for all its actors."""

from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from apex_actors.storage.runs import Run


class UserExecutionContext(BaseModel):
    """Everything that isolates one user's run from every other, validated once, then immutable.

    It is handed to each actor and tool of the run; none of them looks anywhere else for whose
    data it may touch.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    org: str = Field(min_length=1, max_length=128)
    """The tenant that owns the cost data."""
    sub: str = Field(min_length=1, max_length=128)
    """The user, unique within ``org``."""
    user_id: int = Field(gt=0)
    """The pair (org, sub) in the database."""
    thread_id: UUID
    run_id: UUID
    message_id: UUID
    """The user's message that the run answers."""
    question: str = Field(min_length=1, repr=False)
    """The message's text; never logged."""
    attempt: int = Field(ge=1)
    """1 for the first worker, one more for each takeover."""
    deadline: AwareDatetime
    """When the run's time limit ends it."""
    time_zone: str = "UTC"
    """IANA name of the zone in which the user's days begin."""
    trace_id: str = Field(min_length=1, max_length=64)
    """Ties log lines, events and traces of the run together."""

    @classmethod
    def of(cls, run: Run, *, run_limit_s: float) -> Self:
        """The context of the next attempt at ``run``, which begins now."""
        started_at = run.started_at or datetime.now(UTC)
        return cls(
            org=run.org,
            sub=run.sub,
            user_id=run.user_id,
            thread_id=run.thread_id,
            run_id=run.run_id,
            message_id=run.message_id,
            question=run.question,
            attempt=run.attempt + 1,
            deadline=started_at + timedelta(seconds=run_limit_s),
            time_zone=run.time_zone,
            trace_id=uuid4().hex,
        )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is not an IANA time zone, for example Europe/Berlin") from None
        return name

    @property
    def zone(self) -> ZoneInfo:
        """The time zone as an object."""
        return ZoneInfo(self.time_zone)

    def remaining_s(self, now: datetime) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, (self.deadline - now).total_seconds())
