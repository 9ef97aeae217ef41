"""Fields of foreign rows, read strictly: what is absent is None, what can't be read names itself.

Rows come from JSON (numbers, with fractions as `Decimal`) or from CSV (texts); both are read alike. An
empty text and null mean absent. Names may be paths, as in ``usage.input_tokens``, unless a field has
the whole of it as its name.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from apex_actors.costs.importers.rows import in_utc
from apex_actors.costs.records import MAX_TOKENS

Fields = Mapping[str, Any]

_MONEY_STEP = Decimal(1).scaleb(-24)
"""Money is kept to 24 places. Amounts that went through a float elsewhere have more, all noise."""

_MOST_DIGITS = 40
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FieldError(ValueError):
    """A field can't be read; the message names the field and the rule, never the value."""


def pick(row: Fields, *names: str) -> Any:
    """The first of the fields that is there; None where none is."""
    for name in names:
        value: Any = row.get(name)
        if value is None and "." in name:
            value = row
            for step in name.split("."):
                value = value.get(step) if isinstance(value, Mapping) else None
        if value is not None and value != "":
            return value
    return None


def count(row: Fields, *names: str) -> int:
    """A whole number; 0 where it is absent."""
    return maybe_count(row, *names) or 0


def maybe_count(row: Fields, *names: str) -> int | None:
    """A whole number that is not negative, also written as ``12.0``; None where it is absent."""
    value = pick(row, *names)
    if value is None:
        return None
    number = _number(names[0], value)
    if number != number.to_integral_value() or not 0 <= number <= MAX_TOKENS:
        raise FieldError(f"{names[0]}: must be a whole number that is not negative")
    return int(number)


def money(row: Fields, *names: str) -> Decimal | None:
    """An amount, to 24 decimal places; None where it is absent."""
    value = pick(row, *names)
    return None if value is None else rounded(_number(names[0], value))


def rounded(amount: Decimal) -> Decimal:
    """The amount to as many places as records keep."""
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -24:  # noqa: PLR2004 - the places of money
        return amount.quantize(_MONEY_STEP, rounding=ROUND_HALF_EVEN)
    return amount


def decimal(row: Fields, *names: str) -> Decimal | None:
    """A number; None where it is absent."""
    value = pick(row, *names)
    return None if value is None else _number(names[0], value)


def milliseconds(row: Fields, *names: str, unit_ms: int = 1) -> int | None:
    """A duration, told in units of so many milliseconds; negative ones mean unknown."""
    value = pick(row, *names)
    if value is None:
        return None
    number = _number(names[0], value) * unit_ms
    return round(number) if 0 <= number < 2**31 else None


def text(row: Fields, *names: str) -> str | None:
    """A text without blanks around it; numbers are taken as they are written."""
    value = pick(row, *names)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    if value is None:
        return None
    if not isinstance(value, str):
        raise FieldError(f"{names[0]}: must be a text")
    return value.strip() or None


def flag(row: Fields, *names: str) -> bool:
    """Whether it is true, also written as a text; false where it is absent."""
    value = pick(row, *names)
    return value is True or (isinstance(value, str) and value.strip().lower() in {"true", "t", "1"})


def nested(row: Fields, *names: str) -> Fields:
    """An object, also one written as JSON in a text (as CSV has it); empty where it is absent."""
    value = pick(row, *names)
    if isinstance(value, str):
        value = parse_json(names[0], value)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise FieldError(f"{names[0]}: must be a JSON object")
    return value


def items(row: Fields, *names: str) -> list[Any]:
    """A list, also one written as JSON in a text; empty where it is absent."""
    value = pick(row, *names)
    if isinstance(value, str):
        value = parse_json(names[0], value)
    if value is None:
        return []
    if not isinstance(value, list):
        raise FieldError(f"{names[0]}: must be a list")
    return value


def parse_json(name: str, value: str) -> Any:
    """What the text says as JSON, fractions exact."""
    try:
        return json.loads(value, parse_float=Decimal, parse_constant=no_constant)
    except (ValueError, RecursionError, InvalidOperation):
        raise FieldError(f"{name}: must be JSON") from None


def moment(row: Fields, *names: str) -> datetime:
    """A moment that has to be there; see `maybe_moment`."""
    found = maybe_moment(row, *names)
    if found is None:
        raise FieldError(f"{names[0]}: is required")
    return found


def maybe_moment(row: Fields, *names: str) -> datetime | None:
    """A date and time in ISO 8601, without a zone taken as UTC, or seconds since 1970."""
    value = pick(row, *names)
    if value is None:
        return None
    try:
        if isinstance(value, str) and not value.strip().isdigit():
            return in_utc(datetime.fromisoformat(value.strip()))
        seconds = _number(names[0], value)
        return _EPOCH + timedelta(microseconds=int(seconds * 1_000_000))
    except (ValueError, OverflowError):
        raise FieldError(f"{names[0]}: must be a date and time") from None


def between_ms(start: datetime | None, end: datetime | None) -> int | None:
    """How long it took; None where a moment is missing or the clocks disagree."""
    if start is None or end is None or end < start:
        return None
    passed = round((end - start).total_seconds() * 1000)
    return passed if passed < 2**31 else None


def labels(row: Fields, *names: str) -> dict[str, str]:
    """An object of names and plain values as tags; what is nested or empty is left out."""
    return {
        str(name): str(value)
        for name, value in nested(row, *names).items()
        if isinstance(value, str | int | Decimal) and str(value).strip()
    }


def no_constant(_name: str) -> None:
    """For `json.loads`: NaN and Infinity are not JSON."""
    raise ValueError("NaN and Infinity are not JSON")


def _number(name: str, value: object) -> Decimal:
    if isinstance(value, int | str | Decimal) and not isinstance(value, bool):
        try:
            number = Decimal(value)
        except (InvalidOperation, ValueError):
            number = Decimal("NaN")
        # An exponent can make a few characters a number of a billion digits.
        if number.is_finite() and abs(number.adjusted()) <= _MOST_DIGITS:
            return number
    raise FieldError(f"{name}: must be a number")
