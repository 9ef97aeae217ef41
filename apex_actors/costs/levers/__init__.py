"""Savings: what could have been spent less, worked out on the requests that were really made.

Each lever takes priced requests and gives them back re-priced, with what it found; the plan sends
every request through the levers in one order, so that nothing is saved twice. Pure functions.
"""

from apex_actors.costs.levers.batch import BatchLever
from apex_actors.costs.levers.line import Applied, Lever, LeverRequest, Line
from apex_actors.costs.levers.plan import build_plan
from apex_actors.costs.levers.prompt_caching import PromptCachingLever
from apex_actors.costs.levers.results import (
    BatchFinding,
    CacheFinding,
    Confidence,
    LeverResult,
    MonthlySaving,
    SavingsPlan,
    Verdict,
)

__all__ = [
    "Applied",
    "BatchFinding",
    "BatchLever",
    "CacheFinding",
    "Confidence",
    "Lever",
    "LeverRequest",
    "LeverResult",
    "Line",
    "MonthlySaving",
    "PromptCachingLever",
    "SavingsPlan",
    "Verdict",
    "build_plan",
]
