"""The cost tools: a cached plan is used where it fits, and is never in the way."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from apex_actors.agents.cost_tools import (
    PlanArguments,
    RangeArguments,
    ReadCachedPlan,
    dump,
    load,
    plan_key,
)
from apex_actors.agents.tools import arguments_json
from apex_actors.costs.levers import build_plan
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.errors import CacheUnavailableError

NOVEMBER = TimeRange(
    start=datetime(2026, 11, 1, tzinfo=UTC), end=datetime(2026, 12, 1, tzinfo=UTC), time_zone="UTC"
)
ARGUMENTS = PlanArguments(time_range=NOVEMBER, data_version=7, requests=10)


@dataclass
class MemoryCache:
    results: dict = field(default_factory=dict)

    async def get(self, key):
        return self.results.get(key)


class NoCache:
    async def get(self, _key):
        raise CacheUnavailableError("Redis or Valkey is away")


@dataclass
class Context:
    """The part of a tool call's context that these tools look at."""

    org: str = "acme"

    @property
    def execution(self):
        return self


@pytest.fixture(scope="module")
def catalogue():
    return PriceCatalogue()


@pytest.fixture(scope="module")
def plan(catalogue):
    return build_plan([], catalogue=catalogue, time_range=NOVEMBER)


async def test_a_plan_for_the_same_data_is_read_from_the_cache(catalogue, plan):
    key = plan_key("acme", ARGUMENTS, catalogue.version)
    tool = ReadCachedPlan(MemoryCache({key: dump(plan)}), catalogue)
    assert await tool.run(ARGUMENTS, Context()) == plan


async def test_promise_8_a_plan_of_another_tenant_is_none(catalogue, plan):
    key = plan_key("acme", ARGUMENTS, catalogue.version)
    tool = ReadCachedPlan(MemoryCache({key: dump(plan)}), catalogue)
    assert await tool.run(ARGUMENTS, Context("other")) is None


async def test_promise_11_without_the_cache_there_is_no_plan_and_no_error(catalogue):
    assert await ReadCachedPlan(NoCache(), catalogue).run(ARGUMENTS, Context()) is None


@pytest.mark.parametrize("stored", [{}, {"levers": "none"}, {"unknown": 1}])
async def test_a_plan_that_another_version_wrote_counts_as_none(catalogue, stored):
    key = plan_key("acme", ARGUMENTS, catalogue.version)
    tool = ReadCachedPlan(MemoryCache({key: stored}), catalogue)
    assert await tool.run(ARGUMENTS, Context()) is None


def test_the_key_tells_apart_all_that_makes_a_plan_another_one():
    later = NOVEMBER.model_copy(update={"end": datetime(2026, 12, 2, tzinfo=UTC)})
    earlier = NOVEMBER.model_copy(update={"start": datetime(2026, 10, 1, tzinfo=UTC)})
    elsewhere = NOVEMBER.model_copy(update={"time_zone": "Europe/Berlin"})
    keys = {
        plan_key("acme", ARGUMENTS, "prices 1"),
        plan_key("acme ", ARGUMENTS, "prices 1"),
        plan_key("acme", ARGUMENTS, "prices 2"),
        plan_key("acme", ARGUMENTS.model_copy(update={"data_version": 8}), "prices 1"),
        *(
            plan_key("acme", ARGUMENTS.model_copy(update={"time_range": other}), "prices 1")
            for other in (later, earlier, elsewhere)
        ),
    }
    assert len(keys) == 7
    assert not any("acme" in key for key in keys), "a tenant's name is nobody else's business"


def test_arguments_are_shown_as_json_and_refuse_what_they_do_not_know():
    assert arguments_json(ARGUMENTS)["data_version"] == 7
    with pytest.raises(ValidationError):
        RangeArguments(time_range=NOVEMBER, surprise=1)


def test_what_is_dumped_can_be_loaded_to_the_cent(plan):
    assert load(type(plan), dump(plan)) == plan
