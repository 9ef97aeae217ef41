"""Builds records from what the rows of a file say and what the import's options add."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from pydantic import ValidationError

from apex_actors.costs.importers.names import known_provider, provider_of_model
from apex_actors.costs.importers.rows import ImportOptions, RejectedRow, Row, row_id
from apex_actors.costs.records import MAX_NAME_CHARS, UsageRecord, refusal

NO_MODEL = "(not told)"
"""The model of a row whose source sums over models. It is in no catalogue, so never priced."""

_ID_BYTES = 16


class RecordBuilder:
    """Makes records of one file: what a row says goes before what the options say."""

    def __init__(self, *, tenant: str, options: ImportOptions) -> None:
        self.tenant = tenant
        self.options = options
        said: dict[str, Any] = {
            "tenant": tenant,
            "processing": options.processing,
            "user": options.user,
            "team": options.team,
            "feature": options.feature,
            "environment": options.environment,
            "deferrable": options.deferrable,
        }
        self._common = {name: value for name, value in said.items() if value is not None}
        # The same row read with other options is another row, where it has no id of its own.
        self._salt = options.model_dump_json().encode()

    def row(self, number: int, content: bytes, fields: Mapping[str, Any]) -> Row:
        """A record, or why there is none.

        Args:
            number: the row's place in the file.
            content: what the row is made of; its id, where the fields have none.
            fields: of a record; None means absent. `tags` come on top of the options' tags.
        """
        merged = {
            **self._common,
            **{name: value for name, value in fields.items() if value is not None},
        }
        merged["tags"] = {**self.options.tags, **(fields.get("tags") or {})}
        if "record_id" not in merged:
            merged["record_id"] = row_id(self._salt, content, number)
        try:
            return UsageRecord.model_validate(merged)
        except ValidationError as error:
            return RejectedRow(number, refusal(error))

    def provider(self, told: str | None, model: str) -> str:
        """The provider as the price catalogue calls it: as told, by option, or by the model."""
        if told is not None:
            return known_provider(told)
        return self.options.provider or provider_of_model(model) or "(not told)"

    def model(self, told: str | None) -> str:
        """The model as told, or by option."""
        return told or self.options.model or NO_MODEL


def source_id(source: str, own: str) -> str:
    """The id of a row that its source numbers itself, so that reading it again changes nothing."""
    named = f"{source}:{own}"
    if len(named) <= MAX_NAME_CHARS and own.isprintable():
        return named
    return f"{source}:{blake2b(own.encode(errors='surrogateescape'), digest_size=_ID_BYTES).hexdigest()}"


def bucket_id(source: str, start: datetime, dimensions: Mapping[str, object]) -> str:
    """The id of a provider's bucket: the same whenever it is pulled, whatever its value by then.

    Args:
        source: the kind of source.
        start: of the bucket.
        dimensions: all that the source groups by; those that are None or empty don't count.
    """
    told = {
        name: str(value) for name, value in dimensions.items() if value is not None and value != ""
    }
    named = json.dumps(told, sort_keys=True, ensure_ascii=False)
    digest = blake2b(named.encode(errors="surrogateescape"), digest_size=_ID_BYTES)
    return f"{source}:{start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}:{digest.hexdigest()}"
