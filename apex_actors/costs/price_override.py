"""Prices that a tenant has negotiated: a small document, read from TOML, JSON or CSV.

A rule either names prices in US dollars for a million tokens, or a discount on the catalogue. In
TOML and JSON the rules stand in a list `prices`; in CSV each line is one. Amounts are read as
decimals from their digits, also where they are written without quotes.
"""

import csv
import hashlib
import io
import json
import tomllib
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from apex_actors.costs.records import Name, Processing

MAX_RULES: Final = 1_000
"""More rules than any contract has; every new model of a file is held against all of them."""

MAX_DOCUMENT_BYTES: Final = 1024 * 1024

PREFIX_MARK: Final = "*"
"""At the end of a model's name: all models whose names begin like this."""

Amount = Annotated[Decimal, Field(ge=0, le=10**6, max_digits=24, decimal_places=18)]
"""US dollars for a million tokens."""

Percent = Annotated[Decimal, Field(gt=0, le=100, max_digits=7, decimal_places=4)]


class PriceDocumentError(ValueError):
    """The document can't be used; says where it is wrong and why, without its values."""


class PriceRule(BaseModel):
    """What a tenant pays for a model, or for all whose names begin alike.

    Where prices are named, input and output must be; a kind of token that is left out pays the
    price of the kind that contains it, as in the catalogue: an hour's write that of a write, reads
    and writes that of input. Such prices have no tiers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: Name
    model: Name
    """As records or the catalogue call it; with `*` at its end the beginning of names."""
    processing: Processing | None = None
    """None: standard where prices are named, any where a discount is."""
    valid_from: date | None = None
    """The first day in UTC."""
    valid_until: date | None = None
    """The first day in UTC on which it is no longer valid."""
    input: Amount | None = None
    output: Amount | None = None
    cache_read: Amount | None = None
    cache_write_5m: Amount | None = None
    cache_write_1h: Amount | None = None
    discount_percent: Percent | None = None
    """Off every price that the catalogue has for it, tiers and fees for requests too."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        priced = any(
            amount is not None
            for amount in (
                self.input, self.output, self.cache_read, self.cache_write_5m, self.cache_write_1h,
            )
        )  # fmt: skip
        if priced == (self.discount_percent is not None):
            raise ValueError("needs either prices or discount_percent, and not both")
        if priced and (self.input is None or self.output is None):
            raise ValueError("needs input and output where it names prices")
        if PREFIX_MARK in self.model[:-1]:
            raise ValueError("model: * may stand at its end only")
        if (
            self.valid_from is not None
            and self.valid_until is not None
            and self.valid_from >= self.valid_until
        ):
            raise ValueError("valid_until: must be after valid_from; it is the first day without")
        return self

    @property
    def is_prefix(self) -> bool:
        """Whether it is about all models whose names begin alike."""
        return self.model.endswith(PREFIX_MARK)

    def names(self, provider: str, model: str) -> bool:
        """Whether it is about that model."""
        if self.provider.lower() != provider.lower():
            return False
        if self.is_prefix:
            return model.lower().startswith(self.model[:-1].lower())
        return model.lower() == self.model.lower()

    def covers(self, processing: Processing) -> bool:
        """Whether it is about that service class."""
        if self.processing is None:
            return self.discount_percent is not None or processing is Processing.STANDARD
        return processing is self.processing

    def is_valid_on(self, day: date) -> bool:
        """Whether it holds on that day of UTC."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_until is None or day < self.valid_until
        )

    @property
    def precedence(self) -> tuple[bool, int, bool, bool]:
        """Of several rules the one with the least holds.

        A whole name goes before a beginning, a longer beginning before a shorter one, a named
        service class before any, prices before a discount.
        """
        return (
            self.is_prefix,
            -len(self.model),
            self.processing is None,
            self.discount_percent is not None,
        )


class PriceOverride(BaseModel):
    """All rules of a tenant. No two of them may claim the same price on the same day."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    prices: Annotated[tuple[PriceRule, ...], Field(min_length=1, max_length=MAX_RULES)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        groups: dict[tuple[object, ...], list[tuple[date, date, int]]] = {}
        for number, rule in enumerate(self.prices):
            key = (rule.provider.lower(), rule.model.lower(), *rule.precedence, rule.processing)
            first, after = rule.valid_from or date.min, rule.valid_until or date.max
            groups.setdefault(key, []).append((first, after, number))
        for spans in groups.values():
            spans.sort()
            for (_, end, one), (start, _, other) in pairwise(spans):
                if start < end:
                    low, high = sorted((one, other))
                    raise ValueError(
                        f"prices.{low} and prices.{high} are about the same model, service class "
                        "and days"
                    )
        return self

    @property
    def digest(self) -> str:
        """Changes with every change of the rules."""
        text = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def parse_price_document(data: bytes) -> PriceOverride:
    """The rules of a document in TOML, JSON or CSV, told by its content.

    Raises:
        PriceDocumentError: it is none of these, or a rule is wrong; says which and why.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise PriceDocumentError(f"The document is larger than {MAX_DOCUMENT_BYTES:,} bytes.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PriceDocumentError("The document is not text in UTF-8.") from None
    found = _json(text) if text.lstrip().startswith(("{", "[")) else None
    if found is None:
        found = _csv(text) if _is_csv(text) else _toml(text)
    return check_override(found)


def check_override(document: object) -> PriceOverride:
    """The rules of a document that has been read; raises PriceDocumentError."""
    try:
        return PriceOverride.model_validate(document)
    except ValidationError as error:
        raise PriceDocumentError(_first_problem(error)) from None


def _json(text: str) -> object | None:
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        # A TOML document may begin with a table's bracket.
        if text.lstrip().startswith("[["):
            return None
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise PriceDocumentError(f"The document is not JSON: see line {line}.") from None
    return {"prices": found} if isinstance(found, list) else found


def _toml(text: str) -> dict[str, Any]:
    try:
        found = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        where = str(error).rpartition("(at ")[2].rstrip(")") or "its beginning"
        raise PriceDocumentError(
            f"The document is neither TOML nor JSON nor CSV with a line of column names: see "
            f"{where}."
        ) from None
    return found


def _is_csv(text: str) -> bool:
    head = next((line for line in text.splitlines() if line.strip()), "")
    return {"provider", "model"} <= {name.strip() for name in head.split(",")}


def _csv(text: str) -> dict[str, list[dict[str, str]]]:
    rows: list[dict[str, str]] = []
    try:
        reader = csv.DictReader(io.StringIO(text), skipinitialspace=True, strict=True)
        for row in reader:
            if None in row or None in row.values():
                raise PriceDocumentError(
                    f"Line {reader.line_num} has not as many fields as there are columns."
                )
            rows.append({name.strip(): value for name, value in row.items() if value.strip()})
    except csv.Error:
        raise PriceDocumentError("The document is not CSV that can be read.") from None
    return {"prices": rows}


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        message = "there is no such field"
        where = ".".join([*(str(part) for part in first["loc"][:-1]), str(first["loc"][-1])[:40]])
    return f"{where}: {message}" if where else message


def ordered(rules: Iterable[PriceRule]) -> tuple[PriceRule, ...]:
    """The rules in the order in which they are held against a request."""
    return tuple(sorted(rules, key=lambda rule: rule.precedence))
