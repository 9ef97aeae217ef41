"""Which usage a question is about: values of dimensions that are wanted, or not."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from apex_actors.costs.records import Name
from apex_actors.costs.summary import Dimension

MAX_FILTER_VALUES = 1000


class Filter(BaseModel):
    """Only usage with one of the values, or, where excluded, with none of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimension: Dimension
    values: Annotated[tuple[Name | None, ...], Field(min_length=1, max_length=MAX_FILTER_VALUES)]
    """None: usage whose records don't say."""
    excluded: bool = False


class Filters(BaseModel):
    """All of these hold. Each dimension may have one wanted and one excluded list of values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    filters: tuple[Filter, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        lists = [(each.dimension, each.excluded) for each in self.filters]
        if len(lists) != len(set(lists)):
            raise ValueError("filters: must name a dimension once, with all its values")
        return self

    @classmethod
    def only(cls, dimension: Dimension, *values: str | None) -> Self:
        """Usage with one of these values."""
        return cls(filters=(Filter(dimension=dimension, values=values),))

    def values(self, dimension: Dimension, *, excluded: bool) -> list[str | None] | None:
        """The wanted or the excluded values of a dimension; None: it is not filtered so."""
        for each in self.filters:
            if each.dimension is dimension and each.excluded is excluded:
                return list(each.values)
        return None


EVERYTHING = Filters()
"""No filter."""
