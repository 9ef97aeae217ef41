"""Which pictures a report has, and what is drawn in them."""

from decimal import Decimal

import pytest

from apex_actors.costs.charts import ChartName, Theme, chart, charts_of
from apex_actors.costs.formatting import usd


def bars(spec) -> dict[str, float]:
    return {each["name"]: each["usd"] for each in spec["data"]["values"]}


def test_a_report_has_the_pictures_that_its_figures_allow(cost_report):
    assert charts_of(cost_report()) == (
        ChartName.COST_BY_MODEL,
        ChartName.COST_BY_DAY,
        ChartName.SAVINGS_BY_LEVER,
    )
    assert ChartName.SAVINGS_BY_LEVER not in charts_of(cost_report(plan=False))
    assert charts_of(cost_report(cost=Decimal(0), day_cost=Decimal(0), plan=False)) == ()


def test_what_a_report_has_no_figures_for_is_not_drawn(cost_report):
    report = cost_report(plan=False)

    assert chart(report, ChartName.SAVINGS_BY_LEVER, Theme.LIGHT) is None
    assert chart(report, ChartName.COST_BY_FEATURE, Theme.LIGHT) is None


def test_the_bars_are_the_reports_own_figures(cost_report):
    report = cost_report(cost=Decimal("12.34"))

    spec = chart(report, ChartName.COST_BY_MODEL, Theme.LIGHT)
    savings = chart(report, ChartName.SAVINGS_BY_LEVER, Theme.LIGHT)
    days = chart(report, ChartName.COST_BY_DAY, Theme.LIGHT)

    assert bars(spec) == {"claude-sonnet-4-5": 12.34}
    assert spec["data"]["values"][0]["label"] == "$12.34"
    assert bars(savings) == {
        lever.title: float(lever.monthly.expected if lever.monthly else lever.saving)
        for lever in report.ranked_levers
    }
    assert [each["day"] for each in days["data"]["values"]] == [
        point.day.isoformat() for point in report.daily
    ]


def test_the_others_are_a_bar_and_equal_names_stay_apart(cost_report):
    spec = chart(cost_report(others=3), ChartName.COST_BY_MODEL, Theme.LIGHT)
    twins = chart(cost_report(rows=2), ChartName.COST_BY_MODEL, Theme.LIGHT)

    assert "(3 others)" in bars(spec)
    assert set(bars(twins)) == {"claude-sonnet-4-5", "claude-sonnet-4-5 (2)"}


@pytest.mark.parametrize(
    ("cost", "pattern"),
    [("1234.5", "$,.0f"), ("9.99", "$,.2f"), ("0.45", "$,.2f"), ("0.0012", "$,.4f")],
)
def test_the_axis_is_in_dollars_fine_enough_for_the_figures(cost_report, cost, pattern):
    spec = chart(cost_report(cost=Decimal(cost)), ChartName.COST_BY_MODEL, Theme.LIGHT)

    encoding = spec["layer"][0]["encoding"]
    assert encoding["x"]["axis"]["format"] == pattern
    assert encoding["x"]["title"] == "US dollars"
    assert spec["data"]["values"][0]["label"] == usd(Decimal(cost))


def test_a_name_is_data_and_never_an_expression(cost_report):
    name = "datum.usd; <script>"

    spec = chart(cost_report(name=name), ChartName.COST_BY_MODEL, Theme.DARK)

    without_data = {key: value for key, value in spec.items() if key != "data"}
    assert name not in str(without_data)


def test_the_themes_differ_in_colours_alone(cost_report):
    light = chart(cost_report(), ChartName.COST_BY_DAY, Theme.LIGHT)
    dark = chart(cost_report(), ChartName.COST_BY_DAY, Theme.DARK)

    assert light["background"] != dark["background"]
    assert light["data"] == dark["data"]
    assert light["encoding"] == dark["encoding"]
