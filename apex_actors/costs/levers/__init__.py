"""Savings: what could have been spent less, worked out on the requests that were really made.

One pass turns requests into additive tallies by day; a plan is combined from the tallies of its
days, with one lever after the other, so that nothing is saved twice. Pure functions.
"""

from apex_actors.costs.levers.line import LeverRequest
from apex_actors.costs.levers.plan import build_plan, combine
from apex_actors.costs.levers.results import (
    BatchFinding,
    CacheFinding,
    CapacityFinding,
    CapFinding,
    Confidence,
    LeverResult,
    MonthlySaving,
    OffPeakFinding,
    RepeatFinding,
    RouteFinding,
    SavingsPlan,
    TaskComparison,
    TrimFinding,
    Verdict,
    WasteFinding,
)
from apex_actors.costs.levers.settings import DEFAULT_SETTINGS, CapacityOffer, LeverSettings
from apex_actors.costs.levers.stream import affected_days, tally_days
from apex_actors.costs.levers.tallies import DayTallies

__all__ = [
    "DEFAULT_SETTINGS",
    "BatchFinding",
    "CacheFinding",
    "CapFinding",
    "CapacityFinding",
    "CapacityOffer",
    "Confidence",
    "DayTallies",
    "LeverRequest",
    "LeverResult",
    "LeverSettings",
    "MonthlySaving",
    "OffPeakFinding",
    "RepeatFinding",
    "RouteFinding",
    "SavingsPlan",
    "TaskComparison",
    "TrimFinding",
    "Verdict",
    "WasteFinding",
    "affected_days",
    "build_plan",
    "combine",
    "tally_days",
]
