"""The commands that show error reports: list, show."""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from apex_actors.cli.errors import fail
from apex_actors.cli.operating import current_database
from apex_actors.protocol.scalars import format_timestamp
from apex_actors.server.settings import Settings, load_settings
from apex_actors.storage.error_reports import ErrorReport, ErrorReports

#: So much of an id is listed: enough to name one of some thousands.
_SHORT_ID_CHARS: Final = 8

#: So much of a message fits in its line.
_SHORT_MESSAGE_CHARS: Final = 80

#: So many reports are named where the beginning of an id fits several.
_CANDIDATES: Final = 5


def run_list(
    *,
    limit: int,
    org: str | None,
    user: str | None,
    since: datetime | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """List reports, the latest first."""
    settings = load_settings(**flags)

    async def read() -> list[ErrorReport]:
        async with current_database(settings) as database:
            reports = ErrorReports(database)
            return await reports.latest(limit=limit, org=org, sub=user, since=since)

    reports = asyncio.run(read())
    if as_json:
        listed = [_described(report) for report in reports]
        sys.stdout.write(json.dumps({"reports": listed}) + "\n")
    else:
        lines = [_line(report) for report in reports]
        sys.stdout.write("\n".join(lines or ["There are no such reports."]) + "\n")


def run_show(prefix: str, *, as_json: bool, **flags: Any) -> None:
    """Show the one report whose id begins with ``prefix``."""
    settings = load_settings(**flags)
    found = asyncio.run(_find(settings, prefix))
    if not found:
        days = settings.retention.error_reports_days
        fail(
            f"no report has an id that begins with {prefix}: `apex errors list` shows those that "
            f"there are, each is kept for {days:g} days"
        )
    if len(found) > 1:
        named = ", ".join(str(report.id) for report in found[:_CANDIDATES])
        more = " and more" if len(found) > _CANDIDATES else ""
        fail(f"{prefix} begins the ids of several reports: {named}{more}; give more of it")
    [report] = found
    if as_json:
        shown = _described(report) | {"stack": report.stack, "context": dict(report.context)}
        sys.stdout.write(json.dumps(shown) + "\n")
    else:
        sys.stdout.write(_whole(report))


async def _find(settings: Settings, prefix: str) -> Sequence[ErrorReport]:
    async with current_database(settings) as database:
        try:
            return await ErrorReports(database).beginning_with(prefix, limit=_CANDIDATES + 1)
        except ValueError as error:
            fail(str(error))
            return ()


def _described(report: ErrorReport) -> dict[str, Any]:
    return {
        "id": str(report.id),
        "created_at": format_timestamp(report.created_at),
        "kind": report.kind,
        "message": report.message,
        "run_id": None if report.run_id is None else str(report.run_id),
        "org": report.org,
        "sub": report.sub,
    }


def _line(report: ErrorReport) -> str:
    short_id = str(report.id)[:_SHORT_ID_CHARS]
    first_line = report.message.split("\n", 1)[0][:_SHORT_MESSAGE_CHARS]
    moment = format_timestamp(report.created_at)
    return _printable(f"{short_id}  {moment}  {_owner(report)}  {report.kind}: {first_line}")


def _whole(report: ErrorReport) -> str:
    facts = {
        "report": report.id,
        "time": format_timestamp(report.created_at),
        "user": _owner(report),
        "run": report.run_id or "-",
        **report.context,
    }
    width = max(map(len, facts))
    lines = [f"{name.ljust(width)}  {value}" for name, value in facts.items()]
    return _printable("\n".join([*lines, "", report.stack.rstrip("\n"), ""]))


def _owner(report: ErrorReport) -> str:
    return "-" if report.sub is None else f"{report.sub} (of {report.org})"


def _printable(text: str) -> str:
    """Without what a terminal would obey: errors quote what strangers have sent."""
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()
        for one in text
    )
