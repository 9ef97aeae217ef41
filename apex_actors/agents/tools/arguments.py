"""What tools that ask about usage are told."""

from pydantic import BaseModel, ConfigDict

from apex_actors.costs.filters import EVERYTHING, Filters
from apex_actors.costs.timerange import TimeRange


class Arguments(BaseModel):
    """Typed and frozen; what a tool does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class UsageArguments(Arguments):
    """Which usage is meant."""

    time_range: TimeRange
    """Half-open, in the user's time zone."""
    filters: Filters = EVERYTHING


class PeriodsArguments(Arguments):
    """Two periods of the same usage."""

    before: TimeRange
    after: TimeRange
    filters: Filters = EVERYTHING
