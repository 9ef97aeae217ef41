"""Buckets of a provider: a time, and what was used or paid in it by group."""

from collections.abc import Iterator, Mapping
from typing import Any

from apex_actors.costs.importers.formats import SourceRow
from apex_actors.costs.importers.rows import RejectedRow


def groups(bucket: SourceRow) -> Iterator[SourceRow | RejectedRow]:
    """What stands in the bucket, group by group; the bucket is the last of its parents."""
    results = bucket.fields.get("results", bucket.fields.get("result"))
    if not isinstance(results, list):
        yield RejectedRow(bucket.number, "results: must be a list")
        return
    around = (*bucket.parents, dict(bucket.fields))
    for result in results:
        if isinstance(result, dict):
            yield SourceRow(bucket.number, result, b"", around)
        else:
            yield RejectedRow(bucket.number, "results: must be a list of JSON objects")


def first_group(bucket: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A group to recognise the format by, if the bucket has any."""
    results = bucket.get("results", bucket.get("result"))
    if isinstance(results, list) and results and isinstance(results[0], dict):
        return results[0]
    return None
