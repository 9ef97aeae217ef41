"""The command that revokes tokens."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from apex_actors.cli.errors import fail
from apex_actors.cli.operating import current_database
from apex_actors.gateway.auth.claims import MAX_ID_CHARS, is_id
from apex_actors.gateway.settings import AuthSettings
from apex_actors.protocol.scalars import format_timestamp
from apex_actors.server.settings import Settings, load_settings
from apex_actors.storage.revocations import (
    RevocationStore,
    Revoked,
    RevokedToken,
    RevokedUser,
)


def run_revoke(
    *,
    user: str | None,
    org: str | None,
    issued_before: datetime | None,
    jti: str | None,
    expires: datetime | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Revoke the tokens of ``user``, or the one called ``jti``, and say so."""
    if not all(is_id(one) for one in (user, org, jti) if one is not None):
        fail(
            f"a user, an organisation and a token id have 1 to {MAX_ID_CHARS} printable characters"
        )
    settings = load_settings(**flags)
    now = datetime.now(UTC)
    revoked: Revoked
    if user is not None:
        before = issued_before or now
        if before > now:
            # It would shut the user out until then, and nothing takes it back.
            fail("--issued-before must not lie in the future")
        revoked = RevokedUser(org if org is not None else user, user, before)
        expires_at = _end_of_tokens(before, settings.auth)
    else:
        revoked = RevokedToken(jti or "")
        leeway = timedelta(seconds=settings.auth.leeway_s)
        # What is accepted now was issued, by a clock that may be ahead, no later than now + leeway.
        longest = _end_of_tokens(now + leeway, settings.auth)
        expires_at = longest if expires is None else expires + leeway
    if expires_at <= now:
        fail("nothing to do: such tokens have expired")
    record_id = asyncio.run(_store(settings, revoked, expires_at))
    shown = {"id": record_id, **_described(revoked), "expires_at": format_timestamp(expires_at)}
    if as_json:
        sys.stdout.write(json.dumps(shown) + "\n")
    else:
        sys.stdout.write(f"{_sentence(revoked)} Every server knows it within seconds.\n")


def _end_of_tokens(issued_before: datetime, auth: AuthSettings) -> datetime:
    """When the last token issued before that moment is certainly refused for its age."""
    return issued_before + timedelta(seconds=auth.max_lifetime_s + auth.leeway_s)


async def _store(settings: Settings, revoked: Revoked, expires_at: datetime) -> int:
    async with current_database(settings) as database:
        return await RevocationStore(database).add(revoked, expires_at=expires_at)


def _described(revoked: Revoked) -> dict[str, str]:
    match revoked:
        case RevokedToken(token_id):
            return {"jti": token_id}
        case RevokedUser(org, sub, issued_before):
            return {"org": org, "sub": sub, "issued_before": format_timestamp(issued_before)}


def _sentence(revoked: Revoked) -> str:
    match revoked:
        case RevokedToken(token_id):
            return f"The token {token_id} is revoked."
        case RevokedUser(org, sub, issued_before):
            moment = format_timestamp(issued_before)
            return f"The tokens of {sub} (of {org}) issued before {moment} are revoked."
