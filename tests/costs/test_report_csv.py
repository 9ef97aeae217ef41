"""The report as a table for spreadsheets."""

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.costs.report_csv import COLUMNS, FORMULA_STARTS, harmless, render_csv
from apex_actors.costs.summary import Dimension


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_figure_of_the_report_has_a_row(cost_report):
    report = cost_report()

    rows = read(render_csv(report))

    sections = [row["section"] for row in rows]
    assert sections.count("total") == 1
    assert sections.count("day") == len(report.daily)
    assert sections.count("action") == len(report.ranked_levers)
    assert sections.count("without a price") == len(report.unpriced)
    for breakdown in report.breakdowns:
        expected = len(breakdown.rows) + (breakdown.other is not None)
        assert sections.count(f"by {breakdown.dimension}") == expected


def test_money_is_exact_and_never_in_exponent_form(cost_report):
    tiny = Decimal("1E-20")

    rows = read(render_csv(cost_report(cost=tiny)))

    (row,) = [row for row in rows if row["section"] == f"by {Dimension.MODEL}"]
    assert row["cost_usd"] == "0.00000000000000000001"


def test_what_has_no_price_has_no_cost_and_not_a_cost_of_nothing(cost_report):
    rows = read(render_csv(cost_report(priced_requests=0, cost=Decimal(0))))

    (row,) = [row for row in rows if row["section"] == f"by {Dimension.MODEL}"]
    assert row["cost_usd"] == ""


def test_lines_end_as_the_standard_says_and_have_all_columns(cost_report):
    text = render_csv(cost_report(name='a "quoted", name'))

    assert text.endswith("\r\n")
    assert text.split("\r\n")[0] == ",".join(COLUMNS)
    assert 'a "quoted", name' in {row["name"] for row in read(text)}


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_a_cell_that_would_be_a_formula_gets_an_apostrophe(cost_report, start):
    assert harmless(f"{start}1+1") == f"'{start}1+1"

    if start.isprintable():
        names = {row["name"] for row in read(render_csv(cost_report(name=f"{start}1+1")))}
        assert f"'{start}1+1" in names


@given(st.text(max_size=20))
def test_no_text_is_a_formula_afterwards_and_harmless_ones_stay_as_they_are(text):
    shown = harmless(text)

    assert not shown.startswith(FORMULA_STARTS)
    assert shown.removeprefix("'") == text.removeprefix("'")
