"""Draws charts in a process of its own, started when one is asked for and ended when none is."""

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from importlib.resources import as_file, files
from typing import Any, Final

from apex_actors.costs.charts import Spec

#: A picture takes some 20 ms, the first one of a process half a second.
TIMEOUT_S: Final = 20.0

#: A process that has nothing to draw for so long is ended: it takes some 100 MB.
IDLE_S: Final = 60.0

#: Charts that may wait to be drawn; more are refused.
MAX_WAITING: Final = 32


class ChartError(Exception):
    """The chart can't be drawn; the message says why."""


class ChartsBusyError(ChartError):
    """Too many charts wait to be drawn, or drawing takes too long: try again."""


class ChartRenderer:
    """Specifications in, SVG out, one at a time.

    :param timeout_s: how long one picture may take; then the process is ended, and the next one
        starts another.
    :param idle_s: how long a process without work is kept.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S, idle_s: float = IDLE_S) -> None:
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._process: Process | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def render(self, spec: Spec) -> str:
        """The picture as SVG; raises ChartError."""
        if self._closed or self._waiting >= MAX_WAITING:
            raise ChartsBusyError("too many charts are being drawn: try again")
        self._waiting += 1
        try:
            async with self._turn:
                self._stop_idle_timer()
                try:
                    return await self._draw(json.dumps(spec).encode() + b"\n")
                finally:
                    self._start_idle_timer()
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End the process; idempotent. What is being drawn fails."""
        self._closed = True
        self._stop_idle_timer()
        await self._end_process()

    async def _draw(self, line: bytes) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                svg = await _ask(await self._ready_process(), line)
        except TimeoutError:
            await self._end_process()
            raise ChartsBusyError("drawing the chart took too long: try again") from None
        except (OSError, EOFError) as error:
            await self._end_process()
            raise ChartError("the process that draws charts has died: try again") from error
        except BaseException:
            # Cancelled between question and answer: the answer would be the next one's.
            await self._end_process()
            raise
        if svg is None:
            raise ChartError("the figures can't be drawn")
        return svg

    async def _ready_process(self) -> Process:
        process = self._process
        if process is None or not _is_listening(process):
            await self._end_process()
            if self._closed:
                raise ChartsBusyError("the server stops")
            with as_file(files("apex_actors.costs") / "chart_process.py") as program:
                process = await asyncio.create_subprocess_exec(
                    # Isolated: neither the current folder nor variables decide what is imported.
                    sys.executable, "-I", str(program), stdin=PIPE, stdout=PIPE,
                    start_new_session=True,
                )  # fmt: skip
            self._process = process
        return process

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            transport: Any = process._transport  # type: ignore[attr-defined]  # noqa: SLF001 - else it warns when collected
            transport.close()

    def _start_idle_timer(self) -> None:
        if not self._closed:
            self._idle_timer = asyncio.get_running_loop().call_later(self._idle_s, self._idle)

    def _stop_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _idle(self) -> None:
        # The end of its input ends it; whoever draws next starts another.
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()


def _is_listening(process: Process) -> bool:
    return (
        process.returncode is None and process.stdin is not None and not process.stdin.is_closing()
    )


async def _ask(process: Process, line: bytes) -> str | None:
    """The answer to one line; None where it can't be drawn. Raises OSError or EOFError."""
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None  # noqa: S101 - it was started with pipes
    assert stdout is not None  # noqa: S101
    stdin.write(line)
    await stdin.drain()
    head = await stdout.readline()
    if not head:
        raise EOFError
    size_bytes = int(head)
    return None if size_bytes < 0 else (await stdout.readexactly(size_bytes)).decode()
