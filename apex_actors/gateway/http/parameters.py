"""Ids and page sizes as they stand in paths and queries."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Query

from apex_actors.gateway.http.errors import ApiError, not_found
from apex_actors.protocol.messages import MAX_PAGE

#: Length of a UUID with its hyphens.
_UUID_CHARS: Final = 36

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="At most so many are answered.")]
Before = Annotated[
    str | None,
    Query(min_length=1, max_length=128, description="`next` of the page before, or an id."),
]


def parse_id(text: str, what: str) -> UUID:
    """The id in a path; for what is none the same answer as for one that does not exist."""
    try:
        # Braces, urn: and missing hyphens would give a thing more than one address.
        if len(text) == _UUID_CHARS:
            return UUID(text)
    except ValueError:
        pass
    raise not_found(what)


def parse_cursor(text: str | None) -> UUID | None:
    """The id behind which a page begins."""
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise ApiError(422, "before: must be an id from an earlier page.") from None
