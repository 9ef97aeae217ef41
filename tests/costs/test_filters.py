"""Filters: values wanted and not wanted."""

import pytest
from pydantic import ValidationError

from apex_actors.costs.filters import EVERYTHING, Filter, Filters
from apex_actors.costs.summary import Dimension


def test_values_are_found_by_dimension_and_by_whether_they_are_wanted():
    filters = Filters(
        filters=(
            Filter(dimension=Dimension.TEAM, values=("a", None)),
            Filter(dimension=Dimension.TEAM, values=("b",), excluded=True),
        )
    )
    assert filters.values(Dimension.TEAM, excluded=False) == ["a", None]
    assert filters.values(Dimension.TEAM, excluded=True) == ["b"]
    assert filters.values(Dimension.MODEL, excluded=False) is None
    assert EVERYTHING.values(Dimension.TEAM, excluded=False) is None


def test_an_empty_list_and_two_lists_of_the_same_kind_are_refused():
    with pytest.raises(ValidationError):
        Filter(dimension=Dimension.TEAM, values=())
    one = Filter(dimension=Dimension.TEAM, values=("a",))
    with pytest.raises(ValidationError, match="once"):
        Filters(filters=(one, one))
