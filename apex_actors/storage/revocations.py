"""Tokens that are no longer good: one by its id, or all of a user's issued before a moment."""

from dataclasses import dataclass
from datetime import datetime

from apex_actors.storage.database import Database, Row
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("revocations")


@dataclass(frozen=True, slots=True)
class RevokedToken:
    """One token, known by its claim jti."""

    token_id: str


@dataclass(frozen=True, slots=True)
class RevokedUser:
    """All tokens of a user that were issued before a moment, or do not say when they were."""

    org: str
    sub: str
    issued_before: datetime


Revoked = RevokedToken | RevokedUser


@dataclass(frozen=True, slots=True)
class RevocationRecord:
    """A stored revocation; ``expires_at`` is when nothing that it speaks of can be valid any more."""

    id: int
    revoked: Revoked
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RevocationSnapshot:
    """All live revocations in the order they were made, as of one ``version`` of the table."""

    version: int
    records: tuple[RevocationRecord, ...]


class RevocationStore:
    """The table of revocations; each change of it counts its version up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, revoked: Revoked, *, expires_at: datetime) -> int:
        """Store a revocation until ``expires_at``; returns its id. Once more is harmless.

        Raises StorageUnavailableError: then it may be stored or not, so try again.
        """
        query, values = _insertion(revoked)
        async with self._database.connection() as connection:
            cursor = await connection.execute(query, values | {"expires_at": expires_at})
            row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - an insert returns its row
        return int(row["id"])

    async def live(self, *, known: int | None = None) -> RevocationSnapshot | None:
        """All live revocations; None where the table's version is still ``known``."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["live_revocations_unless_known"], {"known": known}
            )
            rows = await cursor.fetchall()
        if not rows:
            return None
        records = tuple(_record(row) for row in rows if row["id"] is not None)
        return RevocationSnapshot(rows[0]["version"], records)

    async def remove_expired(self) -> int:
        """Remove what speaks only of tokens that have expired; returns how many that were."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(QUERIES["remove_expired_revocations"])
            return cursor.rowcount


def _insertion(revoked: Revoked) -> tuple[bytes, dict[str, object]]:
    match revoked:
        case RevokedToken(token_id):
            return QUERIES["revoke_token"], {"token_id": token_id}
        case RevokedUser(org, sub, issued_before):
            values: dict[str, object] = {"org": org, "sub": sub, "issued_before": issued_before}
            return QUERIES["revoke_user"], values


def _record(row: Row) -> RevocationRecord:
    revoked: Revoked
    if row["jti"] is not None:
        revoked = RevokedToken(row["jti"])
    else:
        revoked = RevokedUser(row["org"], row["sub"], row["issued_before"])
    return RevocationRecord(row["id"], revoked, row["expires_at"])
