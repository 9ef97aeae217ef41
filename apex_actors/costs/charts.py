"""Pictures of a report's own figures, as Vega-Lite: what is drawn, not how it becomes an image."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from apex_actors.costs.formatting import usd
from apex_actors.costs.report import CostReport
from apex_actors.costs.summary import Dimension

Spec = dict[str, Any]

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"
"""Names the version of the language; nothing is loaded from there."""

WIDTH_PX: Final = 560
ROW_PX: Final = 30
LABEL_PX: Final = 220
"""Room for names; longer ones end in an ellipsis."""

FEWEST_DAYS: Final = 2
"""One bar is no course of time."""


class Theme(StrEnum):
    """On which ground the picture is shown."""

    LIGHT = "light"
    DARK = "dark"


class ChartName(StrEnum):
    """The pictures there are; a report has those that its figures allow."""

    COST_BY_MODEL = "cost-by-model"
    COST_BY_FEATURE = "cost-by-feature"
    COST_BY_DAY = "cost-by-day"
    SAVINGS_BY_LEVER = "savings-by-lever"


@dataclass(frozen=True, slots=True)
class _Colours:
    ground: str
    text: str
    quiet: str
    line: str
    bar: str
    saving: str


_COLOURS: Final = MappingProxyType(
    {
        Theme.LIGHT: _Colours("#ffffff", "#1c2024", "#5b6470", "#dfe3e8", "#2f55c8", "#17754a"),
        Theme.DARK: _Colours("#15181c", "#e6e9ec", "#a3acb6", "#333a42", "#8aa4f5", "#5fc795"),
    }
)


@dataclass(frozen=True, slots=True)
class _Bar:
    name: str
    amount: Decimal


def charts_of(report: CostReport) -> tuple[ChartName, ...]:
    """The pictures that the report's figures allow."""
    return tuple(name for name, (bars, _) in _CHARTS.items() if bars(report))


def chart(report: CostReport, name: ChartName, theme: Theme) -> Spec | None:
    """The picture as a Vega-Lite specification; None where the figures do not allow it.

    Names from the user's data stand in it as data alone, never as an expression.
    """
    bars_of, draw = _CHARTS[name]
    bars = bars_of(report)
    return draw(report, bars, _COLOURS[theme]) if bars else None


# The figures.


def _by(dimension: Dimension) -> Callable[[CostReport], Sequence[_Bar]]:
    def bars(report: CostReport) -> Sequence[_Bar]:
        for breakdown in report.breakdowns:
            if breakdown.dimension is dimension:
                rows = [
                    _Bar("(not said)" if row.name is None else row.name, row.cost)
                    for row in breakdown.rows
                    if row.cost
                ]
                if breakdown.other is not None and breakdown.other.cost and rows:
                    rows.append(_Bar(f"({breakdown.other_count} others)", breakdown.other.cost))
                return rows
        return ()

    return bars


def _by_day(report: CostReport) -> Sequence[_Bar]:
    bars = [_Bar(point.day.isoformat(), point.cost) for point in report.daily]
    return bars if len(bars) >= FEWEST_DAYS and any(bar.amount for bar in bars) else ()


def _by_lever(report: CostReport) -> Sequence[_Bar]:
    levers = report.ranked_levers
    if _is_monthly(report):
        return [_Bar(each.title, each.monthly.expected) for each in levers if each.monthly]
    return [_Bar(each.title, each.saving) for each in levers]


def _is_monthly(report: CostReport) -> bool:
    levers = report.ranked_levers
    return bool(levers) and all(lever.monthly is not None for lever in levers)


# The pictures.


def _cost_by_model(report: CostReport, bars: Sequence[_Bar], colours: _Colours) -> Spec:
    return _rows("Cost by model", str(report.time_range), bars, colours, colours.bar)


def _cost_by_feature(report: CostReport, bars: Sequence[_Bar], colours: _Colours) -> Spec:
    return _rows("Cost by feature", str(report.time_range), bars, colours, colours.bar)


def _savings(report: CostReport, bars: Sequence[_Bar], colours: _Colours) -> Spec:
    about = "a month, expected" if _is_monthly(report) else f"in {report.time_range}"
    return _rows("Savings by action", f"US dollars {about}", bars, colours, colours.saving)


def _rows(title: str, subtitle: str, bars: Sequence[_Bar], colours: _Colours, colour: str) -> Spec:
    """A horizontal bar for each name, its amount beside it."""
    values = [
        {"name": name, "usd": float(bar.amount), "label": usd(bar.amount)}
        for name, bar in zip(_distinct(bar.name for bar in bars), bars, strict=True)
    ]
    most = max(bar.amount for bar in bars)
    y: Spec = {
        "field": "name",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelLimit": LABEL_PX, "ticks": False, "domain": False, "labelPadding": 8},
    }
    x: Spec = {
        "field": "usd",
        "type": "quantitative",
        "title": "US dollars",
        "axis": {"format": _dollars(most), "tickCount": 5, "labelFlush": False},
        # Room for the amount beside the longest bar.
        "scale": {"domain": [0, float(most) * 1.15]},
    }
    return {
        **_frame(title, subtitle, colours),
        "height": {"step": ROW_PX},
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "bar", "color": colour, "cornerRadiusEnd": 2, "height": 18},
                "encoding": {"x": x, "y": y},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 5, "color": colours.text},
                "encoding": {"x": x, "y": y, "text": {"field": "label", "type": "nominal"}},
            },
        ],
    }


def _days(report: CostReport, bars: Sequence[_Bar], colours: _Colours) -> Spec:
    """A bar for each local day."""
    most = max(bar.amount for bar in bars)
    return {
        **_frame("Cost by day", str(report.time_range), colours),
        "height": 220,
        "data": {"values": [{"day": bar.name, "usd": float(bar.amount)} for bar in bars]},
        "mark": {"type": "bar", "color": colours.bar, "width": {"band": 0.8}},
        "encoding": {
            "x": {
                "field": "day",
                # As ordinal, a day is itself in every time zone.
                "type": "ordinal",
                "title": None,
                "axis": {
                    "values": _spread([bar.name for bar in bars]),
                    "labelAngle": 0,
                    "labelOverlap": True,
                    "ticks": True,
                    "domain": True,
                },
            },
            "y": {
                "field": "usd",
                "type": "quantitative",
                "title": "US dollars",
                "axis": {"format": _dollars(most), "tickCount": 5, "grid": True},
            },
        },
    }


def _frame(title: str, subtitle: str, colours: _Colours) -> Spec:
    return {
        "$schema": SCHEMA,
        "description": f"{title}, {subtitle}",
        "title": {"text": title, "subtitle": subtitle, "anchor": "start", "offset": 14},
        "width": WIDTH_PX,
        "padding": 12,
        "background": colours.ground,
        "config": {
            # Whatever the reader's machine has: no font is loaded.
            "font": "sans-serif",
            "view": {"stroke": None},
            "title": {
                "color": colours.text,
                "subtitleColor": colours.quiet,
                "fontSize": 16,
                "subtitleFontSize": 12,
                "subtitlePadding": 4,
            },
            "text": {"fontSize": 12},
            "axis": {
                "labelColor": colours.text,
                "titleColor": colours.quiet,
                "labelFontSize": 12,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "gridColor": colours.line,
                "tickColor": colours.line,
                "domainColor": colours.line,
            },
        },
    }


def _dollars(most: Decimal) -> str:
    """How d3 writes amounts up to ``most``: whole dollars, cents, or two digits of less."""
    if most >= 10:  # noqa: PLR2004 - from here on, five ticks are whole dollars
        return "$,.0f"
    places = max(2, 1 - most.adjusted()) if most < 1 else 2
    return f"$,.{places}f"


def _spread(days: Sequence[str], *, most: int = 6) -> list[str]:
    """At most ``most`` of the days, evenly, the first among them."""
    step = -(-len(days) // most)
    return list(days[::step])


def _distinct(names: Iterable[str]) -> list[str]:
    """The names, told apart where two are the same: each has a row of its own."""
    seen: dict[str, int] = {}
    told: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        told.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return told


_CHARTS: Final[
    Mapping[
        ChartName,
        tuple[
            Callable[[CostReport], Sequence[_Bar]],
            Callable[[CostReport, Sequence[_Bar], _Colours], Spec],
        ],
    ]
] = MappingProxyType(
    {
        ChartName.COST_BY_MODEL: (_by(Dimension.MODEL), _cost_by_model),
        ChartName.COST_BY_FEATURE: (_by(Dimension.FEATURE), _cost_by_feature),
        ChartName.COST_BY_DAY: (_by_day, _days),
        ChartName.SAVINGS_BY_LEVER: (_by_lever, _savings),
    }
)
