"""The command that imports usage records."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from apex_actors.cli.errors import fail
from apex_actors.cli.operating import database_url
from apex_actors.costs.formatting import percent, plural, tokens, usd
from apex_actors.costs.importers import ImportOptions
from apex_actors.costs.importers.errors import UsageFileError
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.server.settings import Settings, load_settings
from apex_actors.storage import migrate as migrations
from apex_actors.storage.database import Database
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_import import ImportSummary


def run_import(
    files: list[Path],
    *,
    org: str,
    trace: dict[str, Any],
    dry_run: bool,
    as_json: bool,
    mode: str | None,
    data_dir: Path | None,
) -> int:
    """Import each file; 1 when one of them could not be imported.

    ``trace`` says what traffic traces do not: fields of ImportOptions. With ``dry_run`` it is only
    said what would come of it.
    """
    settings = load_settings(mode=mode, data_dir=data_dir)
    try:
        options = ImportOptions(**{name: value for name, value in trace.items() if value})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        fail("; ".join(f"--{problem['loc'][0]}: {problem['msg']}" for problem in problems))
        return 1
    return asyncio.run(_import_all(settings, files, org, options, dry_run=dry_run, as_json=as_json))


async def _import_all(
    settings: Settings,
    files: list[Path],
    org: str,
    options: ImportOptions,
    *,
    dry_run: bool,
    as_json: bool,
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
                    with progress_of(path) as file:
                        summary = await usage.import_file(
                            org,
                            file,
                            name=path.name,
                            catalogue=catalogue,
                            options=options,
                            dry_run=dry_run,
                        )
                except (OSError, UsageFileError) as error:
                    sys.stderr.write(f"apex: {path.name}: {error}\n")
                    code = 1
                    continue
                line = summary.model_dump_json() if as_json else describe(summary)
                if dry_run and not as_json:
                    line += "\n  nothing was kept: this was a dry run"
                sys.stdout.write(line + "\n")
        finally:
            await database.close()
    return code


@contextmanager
def progress_of(path: Path) -> Iterator[BinaryIO]:
    """The file, open for reading; on a terminal with a bar of what is read, its rate and time left.

    What the bar shows is the file as it is: of a gzip file, its compressed bytes.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar, bar.open(path, "rb", description=path.name) as file:
        yield file


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
