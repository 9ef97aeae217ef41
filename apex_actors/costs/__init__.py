"""The cost domain: usage records in, prices, savings and reports out.

Plain functions and values. Knows nothing of sockets, actors, databases or the wire protocol; whoever
reads a file or a table hands the records in and takes the results out. Money is `Decimal` at the
edges and whole numbers of a fixed unit inside (`money`), never a binary float.
"""

from apex_actors.costs.money import UNITS_PER_USD, from_units, to_units
from apex_actors.costs.prices import PriceCatalogue, Unpriced
from apex_actors.costs.rates import RateCard, TokenShape
from apex_actors.costs.records import Grain, Processing, Status, UsageRecord
from apex_actors.costs.report import CostReport
from apex_actors.costs.timerange import TimeRange

__all__ = [
    "UNITS_PER_USD",
    "CostReport",
    "Grain",
    "PriceCatalogue",
    "Processing",
    "RateCard",
    "Status",
    "TimeRange",
    "TokenShape",
    "Unpriced",
    "UsageRecord",
    "from_units",
    "to_units",
]
