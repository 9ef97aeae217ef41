"""The commands about prices: show, set, list, clear, recompute."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from apex_actors.cli.errors import fail
from apex_actors.cli.operating import current_database
from apex_actors.costs.formatting import plural, usd
from apex_actors.costs.money import from_units, plain
from apex_actors.costs.price_override import PriceDocumentError, parse_price_document
from apex_actors.costs.prices import PriceCatalogue, Unpriced
from apex_actors.costs.rates import RateCard, Rates
from apex_actors.costs.records import Processing
from apex_actors.costs.tenant_prices import TenantPrices
from apex_actors.server.settings import load_settings
from apex_actors.storage.prices import PriceStore, StoredOverride
from apex_actors.storage.repricing import Repricing, RepricingSummary

_MTOK = 1_000_000

_KINDS = {
    "input": "input",
    "output": "output",
    "reasoning": "reasoning",
    "cache_read": "cache read",
    "cache_write": "cache write 5m",
    "cache_write_1h": "cache write 1h",
}


class ShownTier(BaseModel):
    """Prices of requests with more input than `above_input_tokens`."""

    above_input_tokens: int
    per_million_tokens: dict[str, Decimal]
    """US dollars; a kind that is not there pays the price of the kind that contains it."""
    per_request: Decimal


class ShownPrice(BaseModel):
    """What a model costs at a provider."""

    provider: str
    model: str
    processing: Processing
    at: datetime
    source: str
    """Whose price it is: the catalogue's, or the tenant's own."""
    since: str | None
    """The first day in UTC on which it is that; None: always, as far as is known."""
    tiers: tuple[ShownTier, ...]
    """Empty: there is no price; `reason` says why."""
    reason: str | None


def run_show(
    model: str,
    *,
    at: datetime,
    provider: str | None,
    processing: str,
    org: str | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Show what a model costs; 1 when nothing has a price."""
    prices = PriceCatalogue()
    if org is not None:
        prices = asyncio.run(_tenant_prices(org, prices, flags))
    providers = (provider,) if provider is not None else prices.providers_of(model)
    if isinstance(prices, TenantPrices) and provider is None:
        providers = tuple(dict.fromkeys((*prices.own_providers, *providers)))
    shown = [_shown(prices, name, model, at, Processing(processing)) for name in providers]
    known = [price for price in shown if price.reason is None]
    if not known:
        near = prices.near(provider, model)
        why = shown[0].reason if len(shown) == 1 else "no provider of the price catalogue has it"
        hint = f" Near it: {', '.join(near)}." if near else ""
        fail(f"{model} has no price: {why}.{hint}")
    if as_json:
        listed = [json.loads(price.model_dump_json()) for price in known]
        sys.stdout.write(json.dumps({"price_version": prices.version, "prices": listed}) + "\n")
    else:
        sys.stdout.write("\n\n".join(_table(price) for price in known) + "\n")
        sys.stdout.write(f"\nUS dollars for a million tokens, from {prices.version}.\n")
    return 0


def run_set(file: Path, *, org: str, as_json: bool, **flags: Any) -> None:
    """Let the prices of a document hold for the tenant."""
    try:
        override = parse_price_document(file.read_bytes())
    except OSError as error:
        fail(f"{file.name}: {error.strerror}")
        return
    except PriceDocumentError as error:
        fail(f"{file.name}: {error}")
        return

    async def work() -> StoredOverride:
        async with current_database(load_settings(**flags)) as database:
            return await PriceStore(database).put(org, override)

    stored = asyncio.run(work())
    if as_json:
        sys.stdout.write(stored.model_dump_json() + "\n")
    else:
        sys.stdout.write(
            f"Version {stored.version} holds: {plural(len(override.prices), 'rule')}. What was "
            f"imported before keeps its costs until `apex prices recompute --org {org}`.\n"
        )


def run_list(*, org: str, as_json: bool, **flags: Any) -> None:
    """List the versions of the tenant's own prices, the latest first."""

    async def read() -> tuple[StoredOverride, ...]:
        async with current_database(load_settings(**flags)) as database:
            return await PriceStore(database).versions(org)

    versions = asyncio.run(read())
    if as_json:
        listed = [json.loads(stored.model_dump_json()) for stored in versions]
        sys.stdout.write(json.dumps({"versions": listed}) + "\n")
        return
    lines: list[str] = []
    for number, stored in enumerate(versions):
        rules = () if stored.override is None else stored.override.prices
        what = plural(len(rules), "rule") if rules else "list prices"
        holds = ", holds now" if number == 0 else ""
        lines.append(f"{stored.version}  {stored.created_at:%Y-%m-%d %H:%M}Z  {what}{holds}")
        if number == 0:
            lines += [
                f"   {rule.provider} {rule.model}: "
                + ", ".join(
                    f"{name} {value}"
                    for name, value in rule.model_dump(
                        mode="json", exclude={"provider", "model"}, exclude_none=True
                    ).items()
                )
                for rule in rules
            ]
    sys.stdout.write("\n".join(lines or [f"{org} has no prices of its own."]) + "\n")


def run_clear(*, org: str, as_json: bool, **flags: Any) -> None:
    """Let list prices hold for the tenant."""

    async def work() -> StoredOverride | None:
        async with current_database(load_settings(**flags)) as database:
            return await PriceStore(database).clear(org)

    cleared = asyncio.run(work())
    if as_json:
        version = None if cleared is None else cleared.version
        sys.stdout.write(json.dumps({"cleared": cleared is not None, "version": version}) + "\n")
    elif cleared is None:
        sys.stdout.write("List prices hold already.\n")
    else:
        sys.stdout.write(
            "List prices hold. What was imported before keeps its costs until "
            f"`apex prices recompute --org {org}`.\n"
        )


def run_recompute(*, org: str, dry_run: bool, as_json: bool, **flags: Any) -> None:
    """Price all records of the tenant anew."""

    async def work() -> RepricingSummary:
        async with current_database(load_settings(**flags)) as database:
            return await Repricing(database).run(org, catalogue=PriceCatalogue(), dry_run=dry_run)

    summary = asyncio.run(work())
    sys.stdout.write((summary.model_dump_json() if as_json else describe(summary)) + "\n")


def describe(summary: RepricingSummary) -> str:
    """What new prices change, in a few lines."""
    verb = "would change" if summary.dry_run else "changed"
    lines = [
        (
            f"{plural(summary.records, 'record')} priced by {summary.price_version}: the cost of "
            f"{summary.changed:,} {verb}, {usd(summary.old_cost)} -> {usd(summary.new_cost)} in all"
        )
    ]
    if summary.became_priced or summary.became_unpriced:
        lines.append(
            f"  {summary.became_priced:,} got a price, {summary.became_unpriced:,} lost theirs"
        )
    lines += [
        f"  {each.provider}/{each.model}: {plural(each.records, 'record')}, "
        f"{usd(each.old_cost)} -> {usd(each.new_cost)}"
        for each in summary.models
    ]
    return "\n".join(lines)


async def _tenant_prices(
    org: str, catalogue: PriceCatalogue, flags: dict[str, Any]
) -> PriceCatalogue:
    async with current_database(load_settings(**flags)) as database:
        return await PriceStore(database).prices(org, catalogue)


def _shown(
    prices: PriceCatalogue, provider: str, model: str, at: datetime, processing: Processing
) -> ShownPrice:
    card = prices.card(provider, model, at, processing)
    rule = (
        prices.rule(provider, model, at, processing) if isinstance(prices, TenantPrices) else None
    )
    if rule is None:
        source, first = "price catalogue", prices.since(provider, model, at, processing)
    elif rule.discount_percent is None:
        source, first = "own price", rule.valid_from
    else:
        percent = f"{rule.discount_percent.normalize():f}"
        source, first = f"price catalogue less {percent} %", rule.valid_from
    return ShownPrice(
        provider=provider,
        model=model,
        processing=processing,
        at=at.astimezone(UTC),
        source=source,
        since=None if first is None else first.isoformat(),
        tiers=_tiers(card) if isinstance(card, RateCard) else (),
        reason=card.reason if isinstance(card, Unpriced) else None,
    )


def _tiers(card: RateCard) -> tuple[ShownTier, ...]:
    return tuple(
        ShownTier(
            above_input_tokens=threshold,
            per_million_tokens=_per_million(rates),
            per_request=from_units(rates.request),
        )
        for threshold, rates in zip((0, *card.thresholds), card.tiers, strict=True)
    )


def _per_million(rates: Rates) -> dict[str, Decimal]:
    return {
        name: from_units(rate * _MTOK)
        for name in _KINDS
        if (rate := getattr(rates, name)) is not None
    }


def _table(price: ShownPrice) -> str:
    since = f" since {price.since}" if price.since else ""
    lines = [
        (
            f"{price.provider}/{price.model}, {price.processing}, on {price.at:%Y-%m-%d}: "
            f"{price.source}{since}"
        )
    ]
    heads = [
        f"over {tier.above_input_tokens:,} in" if tier.above_input_tokens else "any size"
        for tier in price.tiers
    ]
    if len(heads) > 1:
        heads[0] = f"up to {price.tiers[1].above_input_tokens:,} in"
        lines.append(" " * 18 + "".join(f"{head:>18}" for head in heads))
    for name, said in _KINDS.items():
        amounts = [tier.per_million_tokens.get(name) for tier in price.tiers]
        if any(amount is not None for amount in amounts):
            cells = ("-" if amount is None else plain(amount) for amount in amounts)
            lines.append(f"  {said:<16}" + "".join(f"{cell:>18}" for cell in cells))
    if any(tier.per_request for tier in price.tiers):
        cells = (plain(tier.per_request) for tier in price.tiers)
        lines.append(f"  {'a request':<16}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)
