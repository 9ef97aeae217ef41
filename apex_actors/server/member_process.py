"""A process of a group as its parent sees it: started, told, ended."""

import asyncio
import contextlib
import multiprocessing
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final, Self

from apex_actors.server.group_messages import MemberReady, StartMember, StopMember

PROGRAM: Final = "apex_actors.server.group_member"


class MemberProcess:
    """A running process of the group; ``start`` makes one.

    It is a new program, not a fork: a fork would inherit the locks of the parent's threads in
    whatever state they were, and open connections. It inherits the listening socket and its end
    of the socket to us, and learns all else over that one, because command lines and
    environments are no place for passwords.
    """

    def __init__(
        self, process: Process, connection: "Connection[Any, Any]", on_ready: Callable[[], None]
    ) -> None:
        self._process = process
        self._connection = connection
        self._on_ready = on_ready
        self.was_ready = False
        asyncio.get_running_loop().add_reader(connection.fileno(), self._receive)

    @classmethod
    async def start(
        cls,
        describe: Callable[[int | None], StartMember],
        *,
        listener: socket.socket | None,
        on_ready: Callable[[], None],
    ) -> Self:
        """Start a process; ``on_ready`` is called once, when its node has started.

        ``describe`` is given the number of the listening socket and asked when the process is
        there, so that it says how things are then. Raises OSError when none can be started.
        """
        # The caller's may be closed while the process is being made, and its number be reused.
        own_listener = None if listener is None else listener.dup()
        number = None if own_listener is None else own_listener.fileno()
        here, there = multiprocessing.Pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                PROGRAM,
                str(there.fileno()),
                stdin=DEVNULL,
                pass_fds=[there.fileno()] if number is None else [there.fileno(), number],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                # Ctrl-C on a terminal is for the parent, which ends its processes in order.
                start_new_session=True,
            )
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
            if own_listener is not None:
                own_listener.close()
        member = cls(process, here, on_ready)
        member.tell(describe(number))
        return member

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def tell(self, message: object) -> None:
        """Send a message; a process that has died is told nothing."""
        with contextlib.suppress(OSError):
            self._connection.send(message)

    async def ended(self) -> int:
        """Wait for its end: the exit code, negative for a signal."""
        return await self._process.wait()

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def end(self, *, within_s: float) -> int:
        """Have it drain and end, by force after ``within_s``; idempotent. Its exit code."""
        self.tell(StopMember())
        try:
            async with asyncio.timeout(within_s):
                await self.ended()
        except TimeoutError:
            self.kill()
        code = await self.ended()
        if not self._connection.closed:
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            self._connection.close()
        return code

    def _receive(self) -> None:
        try:
            message = self._connection.recv()
        except (EOFError, OSError):
            # It has closed its end or died: the exit code says more.
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            return
        if isinstance(message, MemberReady):
            self.was_ready = True
            self._on_ready()
