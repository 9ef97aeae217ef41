"""What a tenant may decide about the levers."""

import hashlib
import json
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from apex_actors.costs.levers.cache_rules import ONE_HOUR_S
from apex_actors.costs.quality import quality_scores

_Tokens = Annotated[int, Field(ge=1)]


class CapacityOffer(BaseModel):
    """Capacity at a fixed price: committed throughput of a provider, or machines of one's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    provider: str
    model: str
    """The model, as the requests name it, whose standard requests the capacity can take."""
    usd_per_hour: Annotated[Decimal, Field(ge=0, max_digits=20, decimal_places=12)]
    """Due for every hour of the time range, used or not."""
    input_tokens_per_hour: _Tokens
    output_tokens_per_hour: _Tokens


class LeverSettings(BaseModel):
    """Limits and offers; the defaults claim little."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer_life_s: Annotated[int, Field(ge=1, le=86_400)] = ONE_HOUR_S
    """How long a stored answer may stand for an equal request; refreshed by use."""
    retry_window_s: Annotated[int, Field(ge=1, le=86_400)] = ONE_HOUR_S
    """A truncated answer counts as asked again if that happened within this time."""
    kept_turns: Annotated[int, Field(ge=1, le=100)] = 6
    """Turns of a conversation that a trimmed context keeps, with its beginning."""
    quality_floor: Annotated[Decimal, Field(ge=0, le=100, max_digits=6)] | None = Decimal(1)
    """Points of a hundred that a cheaper model may score less; None: the models stay."""
    tasks: tuple[tuple[str, str], ...] = ()
    """Which task of the quality scores stands for which feature: (feature, task)."""
    truncation_share: Annotated[Decimal, Field(ge=0, le=1, max_digits=6)] = Decimal("0.01")
    """The share of answers that an output cap may cut off."""
    least_answers: Annotated[int, Field(ge=1)] = 100
    """Fewer answers of a model to a feature say nothing of how long one in a hundred is."""
    offers: tuple[CapacityOffer, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Names what the tallies of a day depend on; the rest is used when days are combined."""
        parts = (
            self.answer_life_s,
            self.retry_window_s,
            self.kept_turns,
            None if self.quality_floor is None else str(self.quality_floor.normalize()),
            sorted(self.tasks),
            quality_scores().version,
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def warm_up_s(self) -> int:
        """Seconds before a day whose requests decide what its first ones find.

        A block lives an hour after its last use, and whether a request used it depends on what was
        repeated, asked again or trimmed up to one such time before.
        """
        return ONE_HOUR_S + max(
            ONE_HOUR_S, self.answer_life_s, self.retry_window_s, SESSION_WINDOW_S
        )


SESSION_WINDOW_S = ONE_HOUR_S
"""Turns of a session that lie further back are not looked at."""

DEFAULT_SETTINGS = LeverSettings()
