"""Commands for operators: token, migrate; and the databases of commands."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from apex_actors.cli.errors import fail
from apex_actors.gateway.auth import TokenAuthority
from apex_actors.gateway.settings import Algorithm
from apex_actors.protocol.identity import Role
from apex_actors.protocol.scalars import format_timestamp
from apex_actors.server.secrets import development_secret
from apex_actors.server.settings import Settings, load_settings
from apex_actors.storage import migrate as migrations
from apex_actors.storage.database import Database
from apex_actors.storage.embedded import EmbeddedServers, default_data_dir


def run_token(
    sub: str, *, org: str | None, roles: list[str], lifetime_s: int, as_json: bool, **flags: Any
) -> None:
    """Print a token."""
    settings = load_settings(**flags)
    if settings.auth.algorithm is not Algorithm.HS256:
        fail(
            f"tokens of {settings.auth.algorithm} are made by your issuer, who has the private key"
        )
        return
    secret = settings.auth.secret
    key = (
        secret.get_secret_value()
        if secret is not None
        else development_secret(settings.data_dir or default_data_dir())
    )
    authority = TokenAuthority(secret=key, settings=settings.auth)
    try:
        token, expires_at = authority.issue(
            sub=sub, org=org, roles=[Role(role) for role in roles], lifetime_s=lifetime_s
        )
    except ValueError as error:
        fail(str(error))
        return
    if as_json:
        token = json.dumps({"token": token, "expires_at": format_timestamp(expires_at)})
    sys.stdout.write(f"{token}\n")


def run_migrate(*, check: bool, as_json: bool, **flags: Any) -> int:
    """Migrate, or with ``check`` only look; 1 when a check finds something to do."""
    settings = load_settings(**flags)

    async def work() -> migrations.MigrationPlan:
        async with database_url(settings) as url:
            return await (migrations.plan(url) if check else migrations.migrate(url))

    plan = asyncio.run(work())
    if as_json:
        sys.stdout.write(json.dumps({"check": check, "steps": plan.steps}) + "\n")
    else:
        done = "to be applied" if check else "applied"
        lines = [f"{done}: {step}" for step in plan.steps]
        sys.stdout.write("\n".join(lines or ["The schema is up to date."]) + "\n")
    return 1 if check and plan.steps else 0


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """The database of these settings; the embedded one is started while it is needed."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    servers = EmbeddedServers(data_dir=settings.data_dir or default_data_dir(), valkey=False)
    await asyncio.to_thread(servers.start)
    try:
        yield servers.database_url
    finally:
        await asyncio.to_thread(servers.stop)


@asynccontextmanager
async def current_database(settings: Settings) -> AsyncIterator[Database]:
    """The same, open; ends the command where the schema is not of this version."""
    async with database_url(settings) as url:
        if (await migrations.plan(url)).steps:
            fail("the database is not of this version: run `apex migrate` first")
        database = Database(url)
        await database.open()
        try:
            yield database
        finally:
            await database.close()
