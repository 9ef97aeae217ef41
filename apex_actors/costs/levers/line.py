"""What levers look at: single requests."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from apex_actors.costs.prices import shape_of
from apex_actors.costs.rates import TokenShape
from apex_actors.costs.records import Processing, Status, UsageRecord


class LeverRequest(NamedTuple):
    """The part of a usage record (of grain request) that levers look at."""

    occurred_at: datetime
    provider: str
    model: str
    processing: Processing
    shape: TokenShape
    deferrable: bool | None = None
    blocks: tuple[int, ...] | None = None
    """Hashes of the 512-token prefix blocks, where known."""
    record_id: str = ""
    status: Status = Status.OK
    finish_reason: str | None = None
    feature: str | None = None
    session_id: str | None = None
    request_hash: str | None = None
    temperature: Decimal | None = None
    retry_of: str | None = None
    unbilled: bool = False
    """The provider said that it charges nothing."""

    @classmethod
    def of(cls, record: UsageRecord) -> "LeverRequest":
        """The same of a whole record."""
        return cls(
            record.occurred_at,
            record.provider,
            record.model,
            record.processing,
            shape_of(record),
            record.deferrable,
            record.prefix_block_hashes,
            record.record_id,
            record.status,
            record.finish_reason,
            record.feature,
            record.session_id,
            record.request_hash,
            record.temperature,
            record.retry_of,
            record.reported_cost is not None and not record.reported_cost,
        )


def in_order(requests: Iterable[LeverRequest]) -> Iterator[LeverRequest]:
    """The requests with those of one moment in the order of their ids.

    So that in whatever order equal moments come, the same request is the first.

    Raises:
        ValueError: a request is earlier than the one before it.
    """
    same: list[LeverRequest] = []
    moment: datetime | None = None
    for request in requests:
        if request.occurred_at == moment:
            same.append(request)
            continue
        if moment is not None:
            if request.occurred_at < moment:
                raise ValueError("Requests must come in order of time.")
            if len(same) > 1:
                same.sort(key=_record_id)
            yield from same
        moment = request.occurred_at
        same = [request]
    same.sort(key=_record_id)
    yield from same


def _record_id(request: LeverRequest) -> str:
    return request.record_id
