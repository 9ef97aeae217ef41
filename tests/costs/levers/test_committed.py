"""Capacity at a fixed price, backtested by hand."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apex_actors.costs.levers import CapacityOffer, Verdict


@pytest.fixture
def offer():
    def make(usd_per_hour: str, **fields):
        given = {
            "name": "Reserved", "provider": "anthropic", "model": "claude-sonnet-4-5",
            "input_tokens_per_hour": 2_000_000, "output_tokens_per_hour": 1_000_000, **fields,
        }  # fmt: skip
        return CapacityOffer(usd_per_hour=Decimal(usd_per_hour), **given)

    return make


@pytest.fixture
def load(make_request):
    """Requests of a million input tokens (of 100,000 each: 3 dollars in all) at hours of a day."""

    def make(*hours: int, **fields):
        midnight = make_request().occurred_at.replace(hour=0)
        return [
            make_request(
                at=midnight + timedelta(hours=hour),
                input_tokens=100_000,
                output_tokens=0,
                **fields,
            )
            for hour in hours
            for _ in range(10)
        ]

    return make


def test_every_hour_is_paid_and_its_load_saved_by_hand(run_lever, load, offer):
    result = run_lever("committed", load(*range(20)), offers=(offer("1"),))

    (found,) = result.findings
    # 24 hours at 1 dollar; 20 of them took over 3 dollars each.
    assert (found.hours, found.loaded_hours) == (24, 20)
    assert (found.price, found.cost_on_demand, found.cost_taken) == (24, 60, 60)
    assert result.saving == result.standalone == 36
    # Half of 20 in 24 hours was used. A full hour costs 6 dollars on demand.
    assert found.utilisation == Decimal("0.4167")
    assert found.break_even_utilisation == Decimal("0.1667")


def test_load_above_the_capacity_is_still_paid_on_demand(run_lever, load, offer):
    made = load(*[9] * 4, *[10] * 4)

    result = run_lever("committed", made, offers=(offer("0.25"),))

    # Two hours of 4 million tokens; half of their 12 dollars each fits.
    assert result.saving == 2 * 6 - 24 * Decimal("0.25")
    assert result.findings[0].utilisation == Decimal("0.0833")


def test_output_may_be_the_narrow_place(run_lever, make_request, offer):
    made = [make_request(input_tokens=0, output_tokens=1_000_000)] * 2

    result = run_lever("committed", made, offers=(offer("0.5"),))

    # 2 million out in an hour of 1 million: half of 30 dollars.
    assert result.saving == 15 - 12


def test_a_loss_is_reported_as_a_loss_and_not_taken(run_lever, load, offer):
    result = run_lever("committed", load(9), offers=(offer("1"),))

    assert (result.saving, result.verdict) == (0, Verdict.NO_SAVING)
    assert result.notes == (
        "Reserved would lose $21.00 in this period: 2.1 % of it would be used, 17 % are needed.",
    )


def test_of_two_offers_for_a_model_the_better_is_taken(run_lever, load, offer):
    offers = (offer("1", name="dear"), offer("0.5", name="cheap"))

    result = run_lever("committed", load(*range(24)), offers=offers)

    assert [(found.name, found.saving) for found in result.findings] == [
        ("dear", 0), ("cheap", 60),
    ]  # fmt: skip
    assert result.action == "Take the offer: cheap."


def test_what_goes_as_a_batch_leaves_no_load(run_lever, load, offer):
    result = run_lever("committed", load(9, deferrable=True), offers=(offer("0.1"),))

    assert result.findings == ()
    # Alone it would have taken over 3 dollars for 2.40.
    assert result.standalone == Decimal("0.6")


def test_without_an_offer_it_abstains(run_lever, load):
    result = run_lever("committed", load(9))

    assert result.verdict is Verdict.ABSTAINS
    assert "Give an offer" in result.data_needed
