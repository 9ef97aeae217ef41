"""``apex doctor``: is everything there, does it answer, and if not, what to do."""

import asyncio
import json
import platform
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import psycopg
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apex_actors.cli.operating import database_url
from apex_actors.server.settings import Settings, SettingsError, load_settings
from apex_actors.storage import migrate as migrations
from apex_actors.storage.cache import Cache
from apex_actors.storage.embedded import EmbeddedServerError, EmbeddedServers, default_data_dir
from apex_actors.storage.errors import StorageError

LEAST_POSTGRES: Final = 150_000
LEAST_REDIS: Final = (6, 2)

PACKAGES: Final = ("pykka", "websockets", "pydantic", "psycopg", "redis", "pyjwt")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def run_doctor(*, as_json: bool, **flags: Any) -> int:
    """Look at everything; 0 when all is well."""
    findings = [_python(), *_packages()]
    try:
        settings = load_settings(**flags)
    except SettingsError as error:
        advice = "Set what is named, or use --mode development."
        findings.append(Finding("settings", ok=False, detail=str(error), advice=advice))
    else:
        findings.append(Finding("settings", ok=True, detail=f"{settings.mode} mode"))
        findings += asyncio.run(_servers(settings))
    _print(findings, as_json=as_json)
    return 0 if all(finding.ok for finding in findings) else 1


def _python() -> Finding:
    return Finding("python", ok=sys.version_info >= (3, 11), detail=platform.python_version())


def _packages() -> list[Finding]:
    found = []
    for name in PACKAGES:
        try:
            found.append(Finding(name, ok=True, detail=version(name)))
        except PackageNotFoundError:
            advice = "Install the project again: pip install apex-actors."
            found.append(Finding(name, ok=False, detail="missing", advice=advice))
    return found


async def _servers(settings: Settings) -> list[Finding]:
    return [
        await _guarded("database", lambda: _database(settings), "Set APEX_DATABASE_URL"),
        await _guarded("cache", lambda: _cache(settings), "Set APEX_REDIS_URL"),
    ]


async def _guarded(name: str, check: Callable[[], Awaitable[Finding]], setting: str) -> Finding:
    try:
        return await check()
    except (EmbeddedServerError, StorageError, psycopg.Error, OSError) as error:
        return Finding(
            name, ok=False, detail=str(error), advice=f"{setting}, or mend what is named here."
        )


async def _database(settings: Settings) -> Finding:
    kind = "given" if settings.database_url else "embedded"
    async with (
        database_url(settings) as url,
        await psycopg.AsyncConnection.connect(url, connect_timeout=5) as connection,
    ):
        number = connection.info.server_version
        steps = (await migrations.plan(url)).steps
    detail = f"{kind}, PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < LEAST_POSTGRES:
        return Finding(
            "database", ok=False, detail=detail, advice="PostgreSQL 15 or later is needed."
        )
    if steps:
        return Finding(
            "database", ok=True, detail=f"{detail}, {len(steps)} migrations to be applied"
        )
    return Finding("database", ok=True, detail=f"{detail}, schema up to date")


async def _cache(settings: Settings) -> Finding:
    if settings.redis_url is not None:
        return await _look_at_cache(settings.redis_url.get_secret_value(), "given")
    servers = EmbeddedServers(data_dir=settings.data_dir or default_data_dir(), postgres=False)
    await asyncio.to_thread(servers.start)
    try:
        return await _look_at_cache(servers.redis_url, "embedded")
    finally:
        await asyncio.to_thread(servers.stop)


async def _look_at_cache(url: str, kind: str) -> Finding:
    cache = Cache(url)
    try:
        async with cache.guarded() as client:
            info = await client.info("server")
    finally:
        await cache.close()
    name = "Valkey" if "valkey_version" in info else "Redis"
    number = str(info.get("valkey_version") or info["redis_version"])
    parts = tuple(int(part) for part in number.split(".")[:2])
    ok = parts >= LEAST_REDIS
    advice = "" if ok else "Redis 6.2 or later, or Valkey, is needed."
    return Finding("cache", ok=ok, detail=f"{kind}, {name} {number}", advice=advice)


def _print(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        ok = all(finding.ok for finding in findings)
        body = {"ok": ok, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(body) + "\n")
        return
    table = Table(box=None, show_header=False)
    for finding in findings:
        mark = Text("ok", "green") if finding.ok else Text("no", "bold red")
        table.add_row(mark, finding.name, Text(finding.detail), Text(finding.advice, "yellow"))
    Console().print(table)
