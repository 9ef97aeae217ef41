"""The node that is measured, from inside."""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from apex_actors.server.logs import configure_logging
from apex_actors.server.node import Node
from apex_actors.server.settings import load_settings
from benchmarks.settings import Settings


@dataclass(frozen=True, slots=True)
class Stage:
    """A running node, and a folder for files."""

    settings: Settings
    node: Node
    folder: Path
    database_url: str


@asynccontextmanager
async def staged(settings: Settings) -> AsyncIterator[Stage]:
    """Run a node with embedded databases in a temporary folder, as ``apex serve`` would."""
    for name in [name for name in os.environ if name.startswith("APEX_")]:
        # What a person has set for a server of their own must not change what is measured.
        del os.environ[name]
    with _own_folder() as folder:
        node_settings = load_settings(
            mode="production",
            host="127.0.0.1",
            port=0,
            data_dir=folder / "data",
            log_level="warning",
            log_format="console",
            auth={"secret": secrets.token_urlsafe(48)},
        )
        configure_logging(level=node_settings.log_level, style=node_settings.log_format)
        async with Node(node_settings) as node:
            yield Stage(settings, node, folder, node.stores.database.conninfo)


@contextmanager
def _own_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="apex-bench-"))
    try:
        # The account of the embedded servers must get through.
        folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder)
