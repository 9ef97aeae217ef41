"""Analyses of sums and series: why a cost changed, what is unusual, what will come, what it bought.

Pure functions over typed values, in `Decimal`. Knows nothing of where the sums come from.
"""

from apex_actors.costs.analysis.anomalies import (
    Anomaly,
    AnomalyReport,
    AnomalySettings,
    CostPoint,
    Driver,
    PartPoint,
    Spread,
    Step,
    find_anomalies,
)
from apex_actors.costs.analysis.budgets import (
    Budget,
    BudgetReport,
    BudgetStatus,
    BudgetUnknown,
    budget_status,
)
from apex_actors.costs.analysis.candidates import Method
from apex_actors.costs.analysis.change import (
    ChangeExplained,
    Contribution,
    Effects,
    PeriodPair,
    PeriodSums,
    explain_change,
)
from apex_actors.costs.analysis.comparison import Comparison, FigureChange, compare
from apex_actors.costs.analysis.efficiency import (
    CachePrices,
    CacheStanding,
    Efficiency,
    RecordSums,
    break_even,
    efficiency,
)
from apex_actors.costs.analysis.forecast import (
    CostForecast,
    DailyCost,
    Expected,
    ExpectedDay,
    Forecast,
    ForecastRefusal,
    forecast,
)

__all__ = [
    "Anomaly",
    "AnomalyReport",
    "AnomalySettings",
    "Budget",
    "BudgetReport",
    "BudgetStatus",
    "BudgetUnknown",
    "CachePrices",
    "CacheStanding",
    "ChangeExplained",
    "Comparison",
    "Contribution",
    "CostForecast",
    "CostPoint",
    "DailyCost",
    "Driver",
    "Effects",
    "Efficiency",
    "Expected",
    "ExpectedDay",
    "FigureChange",
    "Forecast",
    "ForecastRefusal",
    "Method",
    "PartPoint",
    "PeriodPair",
    "PeriodSums",
    "RecordSums",
    "Spread",
    "Step",
    "break_even",
    "budget_status",
    "compare",
    "efficiency",
    "explain_change",
    "find_anomalies",
    "forecast",
]
