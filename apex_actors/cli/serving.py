"""Commands that keep a server running: up, serve, worker."""

import asyncio
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from rich.console import Console

from apex_actors.cli.asking import ask
from apex_actors.server.logs import configure_logging
from apex_actors.server.node import DEVELOPMENT_ORG, Node, Part
from apex_actors.server.process_group import ProcessGroup
from apex_actors.server.settings import Mode, Settings, load_settings

T = TypeVar("T")

#: The user of `--once`, and the one that the printed link signs in as.
DEVELOPMENT_USER = "demo"

#: The link's token lives as long as a working day.
LINK_LIFE_S = 12 * 3600


def run_node(role: str, **flags: Any) -> None:
    """Serve until a signal comes."""
    settings = load_settings(**flags)
    configure_logging(level=settings.log_level, style=settings.log_format)
    if settings.processes > 1:
        # It waits for its processes and does nothing else: Python's own loop does.
        asyncio.run(_run_group(settings, Part(role)))
        return
    node = Node(settings, part=Part(role))

    def ready() -> None:
        where = f" at {node.url}" if node.port else ""
        lack = "" if node.foundation.is_laid else ", without its database, which it looks for"
        sys.stderr.write(f"apex: {role} ready{where}{lack}\n")

    _run(node.run_until_signal(on_ready=ready))


async def _run_group(settings: Settings, part: Part) -> None:
    group = ProcessGroup(settings, part=part, processes=settings.processes)

    def ready() -> None:
        where = f" at {group.url}" if group.url else ""
        sys.stderr.write(f"apex: {part} ready{where}, {settings.processes} processes\n")

    await group.run_until_signal(on_ready=ready)


def run_up(*, once: str | None, as_json: bool, **flags: Any) -> int:
    """Start for development; with ``once`` ask, answer and stop. Returns the exit code."""
    settings = load_settings(mode=Mode.DEVELOPMENT, **flags)
    configure_logging(level=settings.log_level, style=settings.log_format)
    node = Node(settings)
    if once is None:
        _run(_stay_up(node))
        return 0
    return _run(_ask_once(node, once, as_json=as_json))


async def _ask_once(node: Node, question: str, *, as_json: bool) -> int:
    console = Console(stderr=True)
    console.print("Starting the server …", style="dim")
    async with node:
        await _load_sample(node, console)
        token, _ = node.authority.issue(
            sub=DEVELOPMENT_USER, org=DEVELOPMENT_ORG, lifetime_s=LINK_LIFE_S
        )
        code = await ask(question, url=node.url, token=token, as_json=as_json)
        console.print("Stopping the server …", style="dim")
    return code


async def _stay_up(node: Node) -> None:
    console = Console(stderr=True)
    loading: list[asyncio.Task[None]] = []

    def ready() -> None:
        loading.append(asyncio.create_task(_announce(node, console)))

    await node.run_until_signal(on_ready=ready)
    for task in loading:
        task.cancel()


async def _announce(node: Node, console: Console) -> None:
    is_late = not node.foundation.is_laid
    if is_late:
        console.print("The database is away: the chat opens without it.", style="dim")
    else:
        await _load_sample(node, console)
    token, _ = node.authority.issue(
        sub=DEVELOPMENT_USER, org=DEVELOPMENT_ORG, lifetime_s=LINK_LIFE_S
    )
    console.print("The chat is open at")
    # On standard output and alone on its line: for people to click and for scripts to read.
    sys.stdout.write(f"{node.url}/#token={token}\n")
    sys.stdout.flush()
    console.print("Press Ctrl-C to stop.", style="dim")
    if is_late:
        await node.foundation.laid()
        await _load_sample(node, console)


async def _load_sample(node: Node, console: Console) -> None:
    today = datetime.now(UTC).date()
    summary = await node.stores.usage.import_sample(
        DEVELOPMENT_ORG, today, catalogue=node.catalogue
    )
    if summary is not None:
        console.print(
            f"Loaded {summary.inserted:,} sample records (made-up names on real traffic).",
            style="dim",
        )


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    import uvloop  # noqa: PLC0415 - not there on every platform

    return uvloop.run(coroutine)
