"""Usage records as PostgreSQL's COPY text format, and prefix blocks as bytes."""

import json
import struct
from decimal import Decimal

from apex_actors.costs.money import plain, units_text
from apex_actors.costs.prices import PriceCatalogue, Unpriced
from apex_actors.costs.records import UsageRecord

_NULL = "\\N"


def copy_line(record: UsageRecord, *, import_id: int, catalogue: PriceCatalogue) -> str:
    """The record and its price as one line of ``copy_incoming``.

    Names hold no control characters (the record refuses them), so a backslash is the only
    character that COPY would take for something else.
    """
    price = catalogue.price(record)
    if isinstance(price, Unpriced):
        cost, reason = _NULL, price.reason
    else:
        cost, reason = units_text(price), _NULL
    columns = (
        _text(record.tenant),
        _text(record.record_id),
        str(import_id),
        record.occurred_at.isoformat(),
        str(record.request_count),
        str(record.input_tokens),
        str(record.cache_read_tokens),
        str(record.cache_write_5m_tokens),
        str(record.cache_write_1h_tokens),
        str(record.output_tokens),
        str(record.reasoning_tokens),
        _number(record.latency_ms),
        _number(record.ttft_ms),
        _NULL if record.deferrable is None else ("t" if record.deferrable else "f"),
        record.grain,
        _text(record.provider),
        _text(record.model),
        record.processing,
        record.status,
        _text(record.finish_reason),
        _text(record.user),
        _text(record.team),
        _text(record.feature),
        _text(record.environment),
        _text(record.session_id),
        _text(record.request_hash),
        _text(record.retry_of),
        _blocks(record.prefix_block_hashes),
        _decimal(record.temperature),
        _decimal(record.reported_cost),
        record.currency,
        cost,
        reason,
        json.dumps(record.tags).replace("\\", "\\\\") if record.tags else "{}",
    )
    return "\t".join(columns) + "\n"


def pack_blocks(hashes: tuple[int, ...]) -> bytes:
    """Signed 64-bit numbers, little-endian, one after the other."""
    return struct.pack(f"<{len(hashes)}q", *hashes)


def unpack_blocks(packed: bytes) -> tuple[int, ...]:
    """The reverse of ``pack_blocks``."""
    return struct.unpack(f"<{len(packed) // 8}q", packed)


def _text(value: str | None) -> str:
    if value is None:
        return _NULL
    return value.replace("\\", "\\\\") if "\\" in value else value


def _number(value: int | None) -> str:
    return _NULL if value is None else str(value)


def _decimal(value: Decimal | None) -> str:
    return _NULL if value is None else plain(value)


def _blocks(hashes: tuple[int, ...] | None) -> str:
    return _NULL if hashes is None else f"\\\\x{pack_blocks(hashes).hex()}"
