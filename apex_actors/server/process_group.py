"""Several processes on one port: the parent that starts them, starts them again, and ends them."""

import asyncio
import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Final

from apex_actors.server.data_servers import DataServers
from apex_actors.server.group_member import END_MARGIN_S
from apex_actors.server.group_messages import RedisMoved, StartMember
from apex_actors.server.member_keeper import GroupFailedError, MemberKeeper
from apex_actors.server.member_process import MemberProcess
from apex_actors.server.node import Part
from apex_actors.server.server_urls import ServerUrls
from apex_actors.server.settings import Mode, Settings
from apex_actors.server.siblings import Place
from apex_actors.server.uvicorn_server import browser_url, listen
from apex_actors.storage.embedded import default_data_dir

logger = logging.getLogger(__name__)

#: A longer folder leaves no room for a socket's name, in bytes: the whole may have 103.
LONGEST_FOLDER_BYTES: Final = 90

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class ProcessGroup:
    """A parent and the nodes in its processes, all on one listening socket.

    The parent opens the socket, owns the embedded servers and serves nobody itself. A process that
    dies takes its connections with it, whose clients come back to another one, and its runs, which
    others take over; it is started again. The processes end with their parent, however that ends.
    """

    def __init__(self, settings: Settings, *, part: Part, processes: int) -> None:
        if processes < 1:
            raise ValueError("a group needs at least one process")
        self._settings = settings
        self._part = part
        self._urls: ServerUrls
        self._folder: Path
        self._listener: socket.socket | None = None
        self._stopping = asyncio.Event()
        self._ready = asyncio.Event()
        self._members = [
            MemberKeeper(
                number,
                spawn=self._spawn,
                stopping=self._stopping,
                group_ready=self._ready,
                on_ready=self._member_ready,
                end_within_s=settings.grace_period_s + END_MARGIN_S,
            )
            for number in range(1, processes + 1)
        ]
        self.url: str | None = None
        """Where browsers go, once it listens; None for workers."""

    async def run_until_signal(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Start, call ``on_ready`` once all processes are ready, stop at SIGTERM or SIGINT.

        Raises PortTakenError and EmbeddedServerError at the start; GroupFailedError, after all the
        others have ended, when a process cannot be kept or does not end well.
        """
        with self._signals():
            async with AsyncExitStack() as stack:
                if self._part.serves:
                    self._listener = self._listen()
                    stack.callback(self._listener.close)
                self._folder = _socket_folder()
                stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
                self._urls = await self._start_servers(stack)
                try:
                    await self._keep_members(on_ready)
                except* GroupFailedError as failed:
                    # The first one is why the others were ended.
                    raise failed.exceptions[0] from None

    async def _keep_members(self, on_ready: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for member in self._members:
                tasks.create_task(member.keep())
            announcing = tasks.create_task(self._announce(on_ready))
            await self._stopping.wait()
            announcing.cancel()
            # Once the processes listen no more, nobody may wait here for an answer.
            if self._listener is not None:
                self._listener.close()

    async def _announce(self, on_ready: Callable[[], None]) -> None:
        await self._ready.wait()
        on_ready()

    def _listen(self) -> socket.socket:
        settings = self._settings
        listener = listen(settings.host, settings.port, any_free=settings.mode is Mode.DEVELOPMENT)
        self.url = browser_url(settings.host, listener.getsockname()[1])
        return listener

    # Its processes.

    async def _spawn(self, number: int, on_ready: Callable[[], None]) -> MemberProcess:
        place = Place(self._folder, number, len(self._members))
        return await MemberProcess.start(
            lambda listener: StartMember(self._settings, self._part, self._urls, listener, place),
            listener=self._listener,
            on_ready=on_ready,
        )

    def _member_ready(self) -> None:
        if all(member.was_ready for member in self._members):
            self._ready.set()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            return
        # A second signal ends at once: what was acknowledged is in the database.
        for member in self._members:
            member.kill()

    # The embedded servers.

    async def _start_servers(self, stack: AsyncExitStack) -> ServerUrls:
        servers = DataServers(
            self._settings, data_dir=self._settings.data_dir or default_data_dir()
        )
        await servers.start()
        stack.push_async_callback(servers.stop)
        servers.watch(self._move_redis)
        return ServerUrls(servers.database_url, servers.redis_url)

    async def _move_redis(self, url: str) -> None:
        if url == self._urls.redis:
            return
        self._urls = ServerUrls(self._urls.database, url)
        for member in self._members:
            member.tell(RedisMoved(url))


def _socket_folder() -> Path:
    """A folder that only we can enter."""
    folder = Path(tempfile.mkdtemp(prefix="apex-"))
    if len(os.fsencode(folder)) > LONGEST_FOLDER_BYTES:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="apex-", dir="/tmp"))
    return folder
