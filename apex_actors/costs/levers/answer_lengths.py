"""How long the answers of a model to a feature are, and which limit nearly all of them keep."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from apex_actors.costs.levers.output_steps import OUTPUT_STEPS
from apex_actors.costs.levers.settings import LeverSettings
from apex_actors.costs.levers.tallies import Row

CapKey = tuple[str, str, str | None]


@dataclass(slots=True)
class CapGroup:
    """The answers of one model to one feature."""

    requests: int = 0
    finish_reasons: int = 0
    truncated: int = 0
    steps: dict[int, int] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        self.requests += row.requests
        self.finish_reasons += row.finish_reasons
        self.truncated += row.truncated
        for step, requests, _ in row.outputs:
            self.steps[step] = self.steps.get(step, 0) + requests

    def is_judged(self, settings: LeverSettings) -> bool:
        """Whether there are answers enough, and whether they were cut off is known."""
        return self.requests >= settings.least_answers and self.finish_reasons > 0

    def is_cut_off(self, settings: LeverSettings) -> bool:
        """Whether more of the answers than a cap may cut off are cut off already."""
        return self.truncated > settings.truncation_share * self.finish_reasons

    def step(self, settings: LeverSettings) -> int | None:
        """The step of the cap; None where the data don't say, or answers are cut off already."""
        if not self.is_judged(settings) or self.is_cut_off(settings):
            return None
        allowed = int(settings.truncation_share * self.requests)
        above = 0
        for step in sorted(self.steps, reverse=True):
            above += self.steps[step]
            if above > allowed:
                return step
        return None

    def above(self, step: int) -> int:
        """How many answers are longer."""
        return sum(requests for each, requests in self.steps.items() if each > step)


def cap_groups(rows: Iterable[Row]) -> dict[CapKey, CapGroup]:
    """The distribution of each model and feature."""
    groups: dict[CapKey, CapGroup] = {}
    for row in rows:
        groups.setdefault((row.provider, row.model, row.feature), CapGroup()).add(row)
    return groups


def tokens_above(row: Row, step: int | None) -> int:
    """Output tokens of the row that the cap leaves out."""
    if step is None:
        return 0
    cap = OUTPUT_STEPS[step]
    return sum(output - cap * requests for each, requests, output in row.outputs if each > step)
