"""Our side: a whole node with its databases, and what the benchmarks make it do from inside."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import AgentThinking
from apex_actors.server.logs import configure_logging
from apex_actors.server.node import Node
from apex_actors.server.settings import load_settings
from apex_actors.server.tuning import responsive
from apex_actors.storage import event_log
from benchmarks.gateway.clients import HOST
from benchmarks.gateway.sides import Options, Running

#: What is fanned out: an event as long as most of them.
STEP: Final = AgentThinking(
    reasoning="Compares what each model costs for the same work, hour by hour. " * 2, progress=0.5
)

GRACE_PERIOD_S: Final = 2.0
"""Runs that go on when all is measured are nobody's loss."""


@asynccontextmanager
async def serve_node(options: Options) -> AsyncIterator[Running]:
    """Run a node with embedded databases, as ``apex serve`` would."""
    for name in [name for name in os.environ if name.startswith("APEX_")]:
        # What a person has set for a server of their own must not change what is measured.
        del os.environ[name]
    settings = load_settings(
        mode="production",
        host=HOST,
        port=0,
        data_dir=options.data_dir,
        grace_period_s=GRACE_PERIOD_S,
        log_level="warning",
        log_format="console",
        auth={"secret": options.secret},
        gateway=options.gateway(),
    )
    configure_logging(level=settings.log_level, style=settings.log_format)
    async with Node(settings) as node:
        with responsive():
            inside = _Inside(node)
            yield Running(
                node.port,
                {
                    "fan_out": inside.fan_out,
                    "load_sample": inside.load_sample,
                    "import_file": inside.import_file,
                },
            )


class _Inside:
    """Commands that need the parts of the node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._user_ids: dict[str, int] = {}

    async def fan_out(self, user: str) -> None:
        """Append an event to the user's log as the journal of a run does, and announce it."""
        node = self._node
        if user not in self._user_ids:
            position = await node.stores.log.open(Identity(org=user, sub=user))
            self._user_ids[user] = position.user_id
        user_id = self._user_ids[user]
        async with node.stores.database.transaction() as connection:
            appending = await event_log.append(connection, user_id, [event_log.Draft(STEP)])
            events = await appending.events()
        node._announcer.events_committed(user_id, events)  # noqa: SLF001 - nobody else needs it

    async def load_sample(self, org: str) -> None:
        """Give the tenant the sample data."""
        today = datetime.now(UTC).date()
        await self._node.stores.usage.import_sample(org, today, catalogue=self._node.catalogue)

    async def import_file(self, org: str, path: Path) -> int:
        """Import a file of usage records; returns how many were new."""
        with path.open("rb") as file:
            summary = await self._node.stores.usage.import_file(
                org, file, name=path.name, catalogue=self._node.catalogue
            )
        return summary.inserted
