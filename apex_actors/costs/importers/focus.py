"""FOCUS cost and usage data as CSV: version 1.2, and the working draft with its facts about tokens.

From FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec. The draft tells a row's tokens in `SkuPriceDetails`
(`TokenDirection`, `TokenCacheAction`, `ModelId`) and counts them in `ConsumedQuantity`; rows of 1.2
are read by their meter's name. A row is one kind of token. Of the four costs, `BilledCost` is what the
invoice has and is the reported cost; the others are kept as tags where they differ. Purchases,
credits, taxes and corrections have a cost and no tokens. Rows that are not about AI are left out: a
bill of a cloud has many.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from apex_actors.costs.importers.builder import RecordBuilder, bucket_id
from apex_actors.costs.importers.fields import FieldError, decimal, moment, money, nested, text
from apex_actors.costs.importers.formats import (
    FileFormat,
    Format,
    Reading,
    SourceKind,
    SourceRow,
    named,
)
from apex_actors.costs.importers.names import bare_model
from apex_actors.costs.importers.rows import Row
from apex_actors.costs.importers.tokens import including_cache
from apex_actors.costs.records import Grain, Processing

_FIELDS = (
    "BilledCost",
    "BillingCurrency",
    "ChargeCategory",
    "ChargePeriodStart",
    "ServiceCategory",
)
_AI = "AI and Machine Learning"
_PROVIDER = ("ServiceProviderName", "ProviderName", "PublisherName", "InvoiceIssuerName")

_COST_TAGS = {
    "effective_cost": "EffectiveCost",
    "list_cost": "ListCost",
    "contracted_cost": "ContractedCost",
}

_MEASURES = frozenset({
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ConsumedQuantity",
    "PricingQuantity", "CommitmentDiscountQuantity", "ListUnitPrice", "ContractedUnitPrice",
    "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
})  # fmt: skip
"""What a row measures; all other columns together tell which row it is."""

_REMEMBERED_ROWS = 100_000
"""Rows that are alike in all but their measures are told apart within so many rows."""

_MULTIPLES = {"k": 1_000, "m": 1_000_000, "thousand": 1_000, "million": 1_000_000}


class _Occurrences:
    """How many times an id has come lately: bills may have rows that are alike, and all count."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, int] = OrderedDict()

    def distinct(self, record_id: str) -> str:
        times = self._seen.pop(record_id, 0) + 1
        self._seen[record_id] = times
        if len(self._seen) > _REMEMBERED_ROWS:
            self._seen.popitem(last=False)
        return record_id if times == 1 else f"{record_id}:{times}"


def _converter() -> Callable[[SourceRow, RecordBuilder], Mapping[str, Any] | None]:
    occurrences = _Occurrences()

    def record(row: SourceRow, builder: RecordBuilder) -> Mapping[str, Any] | None:
        charge = row.fields
        details = nested(charge, "SkuPriceDetails")
        if text(charge, "ServiceCategory") != _AI and "TokenDirection" not in details:
            return None
        start = moment(charge, "ChargePeriodStart")
        billed = money(charge, "BilledCost")
        if billed is None:
            raise FieldError("BilledCost: is required")
        model = builder.model(text(details, "ModelId", "x_ModelId", "x_Model"))
        provider = builder.provider(text(charge, *_PROVIDER), model)
        dimensions = {name: value for name, value in charge.items() if name not in _MEASURES}
        return {
            "record_id": occurrences.distinct(bucket_id("focus", start, dimensions)),
            "occurred_at": start,
            "grain": Grain.BUCKET,
            "request_count": 0,
            "provider": provider,
            "model": bare_model(model, provider),
            "processing": _processing(charge),
            **_tokens(charge, details),
            "team": text(charge, "SubAccountName", "SubAccountId"),
            "reported_cost": billed,
            "currency": (text(charge, "BillingCurrency") or "USD").upper(),
            "tags": _tags(charge, billed),
        }

    return record


def _tokens(charge: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, int]:
    none = {"input_tokens": 0, "output_tokens": 0}
    if text(charge, "ChargeCategory") != "Usage" or text(charge, "ChargeClass") is not None:
        return none
    unit = (text(charge, "ConsumedUnit") or "").lower()
    if "token" not in unit or "hour" in unit:
        return none
    quantity = (decimal(charge, "ConsumedQuantity") or Decimal(0)) * _multiple(unit)
    if quantity < 0 or quantity != quantity.to_integral_value():
        raise FieldError("ConsumedQuantity: must be a whole number of tokens")
    tokens = int(quantity)
    meter = (text(charge, "SkuMeter", "ChargeDescription") or "").lower()
    direction = text(details, "TokenDirection") or ("Output" if "output" in meter else "Input")
    if direction == "Output":
        return {"input_tokens": 0, "output_tokens": tokens}
    action = text(details, "TokenCacheAction") or _action(meter)
    hour = "1h" in meter or "1 hour" in meter or "1-hour" in meter
    written = tokens if action == "Write" else 0
    return {
        **including_cache(
            tokens,
            read=tokens if action == "Read" else 0,
            write_5m=0 if hour else written,
            write_1h=written if hour else 0,
        ),
        "output_tokens": 0,
    }


def _action(meter: str) -> str:
    if "cache" not in meter:
        return "Uncached"
    if "write" in meter or "creation" in meter:
        return "Write"
    return "Read" if "read" in meter or "cached" in meter else "Other"


def _multiple(unit: str) -> Decimal:
    first = unit.split(maxsplit=1)[0].replace(",", "")
    if first.isdigit():
        return Decimal(first)
    digits = first[:-1]
    if first[-1:] in _MULTIPLES and (digits == "" or digits.isdigit()):
        return Decimal(digits or 1) * _MULTIPLES[first[-1:]]
    return Decimal(_MULTIPLES.get(first, 1))


def _processing(charge: Mapping[str, Any]) -> Processing | None:
    named_so = f"{text(charge, 'SkuMeter') or ''} {text(charge, 'SkuId') or ''}".lower()
    for processing in (Processing.BATCH, Processing.FLEX, Processing.PRIORITY):
        if processing in named_so:
            return processing
    return None


def _tags(charge: Mapping[str, Any], billed: Decimal) -> dict[str, str]:
    tags = {
        tag: format(amount, "f")
        for tag, name in _COST_TAGS.items()
        if (amount := money(charge, name)) is not None and amount != billed
    }
    category = text(charge, "ChargeCategory")
    if category is not None:
        tags["charge_category"] = category
    meter = text(charge, "SkuMeter")
    if meter is not None:
        tags["meter"] = meter
    return tags


def _read(reading: Reading) -> Iterator[Row]:
    return reading.each(_converter())


FOCUS = Format(
    FileFormat.FOCUS,
    SourceKind.COST_REPORT,
    _read,
    columns=named("FOCUS CSV with the columns", *_FIELDS),
)
