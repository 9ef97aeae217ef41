"""Commands for operators: token, import, migrate."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from apex_actors.cli.errors import fail
from apex_actors.costs.formatting import percent, plural, tokens, usd
from apex_actors.costs.importers import ImportOptions
from apex_actors.costs.importers.errors import UsageFileError
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.gateway.auth import TokenAuthority
from apex_actors.gateway.settings import Algorithm
from apex_actors.protocol.identity import Role
from apex_actors.protocol.scalars import format_timestamp
from apex_actors.server.secrets import development_secret
from apex_actors.server.settings import Settings, load_settings
from apex_actors.storage import migrate as migrations
from apex_actors.storage.database import Database
from apex_actors.storage.embedded import EmbeddedServers, default_data_dir
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_import import ImportSummary


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


def run_import(
    files: list[Path],
    *,
    org: str,
    trace: dict[str, Any],
    as_json: bool,
    mode: str | None,
    data_dir: Path | None,
) -> int:
    """Import each file; 1 when one of them could not be imported.

    ``trace`` says what traffic traces do not: fields of ImportOptions.
    """
    settings = load_settings(mode=mode, data_dir=data_dir)
    try:
        options = ImportOptions(**{name: value for name, value in trace.items() if value})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        fail("; ".join(f"--{problem['loc'][0]}: {problem['msg']}" for problem in problems))
        return 1
    return asyncio.run(_import_all(settings, files, org, options, as_json=as_json))


async def _import_all(
    settings: Settings, files: list[Path], org: str, options: ImportOptions, *, as_json: bool
) -> int:
    catalogue = PriceCatalogue()
    code = 0
    async with database_url(settings) as url:
        await migrations.migrate(url)
        database = Database(url)
        await database.open()
        try:
            usage = UsageRepository(database)
            for path in files:
                try:
                    with path.open("rb") as file:
                        summary = await usage.import_file(
                            org, file, name=path.name, catalogue=catalogue, options=options
                        )
                except (OSError, UsageFileError) as error:
                    sys.stderr.write(f"apex: {path.name}: {error}\n")
                    code = 1
                    continue
                line = summary.model_dump_json() if as_json else describe(summary)
                sys.stdout.write(line + "\n")
        finally:
            await database.close()
    return code


def describe(summary: ImportSummary) -> str:
    """What an import did, in a few lines."""
    lines = [
        f"{summary.name}: {summary.format} ({summary.reason})",
        (
            f"  {summary.rows:,} rows: {summary.inserted:,} new, "
            f"{summary.duplicates:,} known already, {summary.rejected:,} refused"
        ),
    ]
    if summary.inserted:
        lines.append(
            f"  computed cost of the new ones {usd(summary.computed_cost)}, "
            f"{percent(summary.priced_token_share)} of their tokens have a price"
        )
    if summary.reported_requests:
        lines.append(
            f"  reported {usd(summary.reported_cost)} where the catalogue computes "
            f"{usd(summary.reported_computed_cost)}"
        )
    if summary.replaced:
        lines.append(f"  {plural(summary.replaced, 'bucket')} took the place of an older value")
    lines += [
        f"  no price for {each.provider}/{each.model}: {each.reason} "
        f"({plural(each.requests, 'request')}, {tokens(each.tokens)} tokens)"
        for each in summary.unpriced
    ]
    lines += [
        f"  only to reconcile: {plural(each.records, 'record')} of {plural(each.days, 'day')}, which "
        f"{each.source_kind.said} of {each.provider} cover already"
        for each in summary.covered
    ]
    lines += [f"  line {line}: {reason}" for line, reason in summary.first_rejects]
    return "\n".join(lines)


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
