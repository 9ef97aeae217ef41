"""Processes that do long computation beside the event loop, so that its clients never wait for it."""

import asyncio
import contextlib
import io
import os
import pickle
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from importlib.resources import as_file, files
from typing import Any, BinaryIO, Final, TypeVar

from apex_actors.execution import work_process as wire
from apex_actors.storage.work import WorkerDiedError, WorkError

T = TypeVar("T")

#: Behind whatever serves people on the same machine: some tenth of a core's share against it.
NICENESS: Final = 10

#: How long a process without work is kept: it takes some 80 MB, and half a second to start.
IDLE_S: Final = 60.0

#: What a stream may have ready before it is taken: two batches of an import.
READ_AHEAD_BYTES: Final = 256 * 1024

#: How often a call is made when the processes that do it die.
MAX_ATTEMPTS: Final = 2


#: Those of which the descriptor gives the same bytes; of others, a gzip file say, it does not.
_PLAIN_FILES: Final = (io.BufferedReader, io.BufferedRandom, io.FileIO)


class WorkPool:
    """Runs functions in processes of lower priority; a ``WorkRunner``.

    A process is started when a call finds none free, does one call at a time, and is ended when
    it had nothing to do for a while. More calls than processes wait in their order. Whoever is
    cancelled while its call is done has its process killed, so that the work ends at once. A
    process that dies takes its call with it, which is made once more; a stream is not. All of them
    end with this process, however that ends.

    :param size: how many processes there are at most.
    :param idle_s: how long a process without work is kept.
    :param niceness: added to that of this process, 0 to 19.
    """

    def __init__(self, *, size: int, idle_s: float = IDLE_S, niceness: int = NICENESS) -> None:
        if size < 1:
            raise ValueError("size: a pool needs at least one process")
        if idle_s <= 0:
            raise ValueError("idle_s: must be above 0")
        self._idle_s = idle_s
        self._niceness = niceness
        self._turns = asyncio.Semaphore(size)
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def call(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """What ``function`` returns, which must be quick to pickle.

        Raises what it raises; WorkerDiedError when the processes that do it die; WorkError when
        the pool is closed.
        """
        call = pickle.dumps((function, arguments))
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                async with self._worker() as worker:
                    await worker.send(wire.CALL, call)
                    result: T = (await worker.receive())[1]
                    return result
            except WorkerDiedError:
                if attempt == MAX_ATTEMPTS or self._closed:
                    raise
        raise AssertionError("unreachable")

    async def stream(
        self,
        function: Callable[..., Iterable[Any]],
        /,
        *arguments: Any,
        file: BinaryIO | None = None,
    ) -> AsyncGenerator[Any, None]:
        """What ``function`` yields; it runs ahead by some hundred kilobytes.

        Raises what it raises; WorkerDiedError when its process dies, with what has come by then
        not to be relied on; WorkError when the pool is closed.

        :param file: a real file is read by the process itself, any other is copied into one.
        """
        call = pickle.dumps((function, arguments))
        async with _real(file) as descriptor, self._worker() as worker:
            await worker.send(wire.STREAM, call, descriptor)
            while True:
                is_last, item = await worker.receive()
                if is_last:
                    return
                yield item

    async def close(self) -> None:
        """End all processes; idempotent. What is being done fails with WorkerDiedError."""
        self._closed = True
        await asyncio.gather(*(self._end(worker) for worker in self._all), *self._ending)
        self._idle.clear()

    @property
    def process_ids(self) -> frozenset[int]:
        """Of the processes that live now."""
        return frozenset(worker.process_id for worker in self._all)

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator["_Worker"]:
        async with self._turns:
            worker = await self._ready_worker()
            try:
                yield worker
            finally:
                # Left in the middle of a call, it would give its answer to the next one.
                if worker.is_between_calls and not self._closed:
                    self._idle.append(worker)
                    worker.start_idle_timer(self._idle_s, self._let_go)
                else:
                    await self._end(worker)

    async def _ready_worker(self) -> "_Worker":
        while self._idle:
            # The one used last is warm; the others may come to their end.
            worker = self._idle.pop()
            worker.stop_idle_timer()
            if worker.is_alive:
                return worker
            await self._end(worker)
        if self._closed:
            raise WorkError("the server stops: nothing more is worked out")
        worker = await _Worker.start(self._niceness)
        if self._closed:  # while it was started
            await worker.end()
            raise WorkError("the server stops: nothing more is worked out")
        self._all.add(worker)
        return worker

    def _let_go(self, worker: "_Worker") -> None:
        self._idle.remove(worker)
        task = asyncio.ensure_future(self._end(worker))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, worker: "_Worker") -> None:
        worker.kill()
        await worker.end()
        self._all.discard(worker)


class _Worker:
    """One process, and the socket to it."""

    def __init__(
        self,
        process: Process,
        ours: socket.socket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._ours = ours
        self._reader = reader
        self._writer = writer
        self._timer: asyncio.TimerHandle | None = None
        self.is_between_calls = True

    @classmethod
    async def start(cls, niceness: int) -> "_Worker":
        ours, theirs = socket.socketpair()
        with ours, theirs:
            with as_file(files("apex_actors.execution") / "work_process.py") as program:
                process = await asyncio.create_subprocess_exec(
                    # Isolated: what is imported is what this process would import.
                    sys.executable, "-I", str(program), str(theirs.fileno()),
                    pass_fds=(theirs.fileno(),), stdin=DEVNULL, start_new_session=True,
                )  # fmt: skip
            try:
                ours.setblocking(False)  # noqa: FBT003 - positional only
                reader, writer = await asyncio.open_unix_connection(
                    sock=ours.dup(), limit=READ_AHEAD_BYTES
                )
            except BaseException:
                process.kill()
                await process.wait()
                raise
            worker = cls(process, ours.dup(), reader, writer)
        worker._write(wire.SETUP, pickle.dumps((niceness, sys.path)))
        return worker

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None and not self._reader.at_eof()

    async def send(self, kind: bytes, call: bytes, descriptor: int | None = None) -> None:
        """Hand over a call; raises WorkerDiedError."""
        self.is_between_calls = False
        try:
            if descriptor is None:
                self._write(kind, call)
            else:
                # All before it must have gone: the descriptor goes with this byte.
                await self._flushed()
                socket.send_fds(self._ours, [kind], [descriptor])
                self._writer.write(wire.HEAD.pack(kind, len(call))[1:] + call)
            await self._writer.drain()
        except OSError as error:
            raise _died() from error

    async def receive(self) -> tuple[bool, Any]:
        """What comes next, and whether it is the last of the call.

        Raises what the function raised, and WorkerDiedError.
        """
        try:
            head = await self._reader.readexactly(wire.HEAD.size)
            kind, length = wire.HEAD.unpack(head)
            value = await self._reader.readexactly(length)
        except (OSError, EOFError) as error:
            raise _died() from error
        if kind == wire.BYTES:
            return False, value
        item = pickle.loads(value)  # noqa: S301 - from a process of ours
        if kind == wire.ITEM:
            return False, item
        self.is_between_calls = True
        if kind == wire.ERROR:
            raised, told = item
            raise raised from _WorkerTraceback(f"\n{told}")
        return True, item

    def start_idle_timer(self, after_s: float, let_go: Callable[["_Worker"], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(after_s, let_go, self)

    def stop_idle_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def kill(self) -> None:
        """End the process now, whatever it does; idempotent."""
        self.stop_idle_timer()
        self._writer.transport.abort()
        self._ours.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """Kill it and wait until it is gone."""
        self.kill()
        await self._process.wait()
        transport: Any = self._process._transport  # type: ignore[attr-defined]  # noqa: SLF001 - else it warns when collected
        transport.close()

    def _write(self, kind: bytes, value: bytes) -> None:
        self._writer.write(wire.HEAD.pack(kind, len(value)) + value)

    async def _flushed(self) -> None:
        while self._writer.transport.get_write_buffer_size():  # noqa: ASYNC110 - asyncio tells nobody
            await asyncio.sleep(0.001)


class _WorkerTraceback(Exception):  # noqa: N818 - no error, but where one was
    """Where in the other process it was raised."""


def _died() -> WorkerDiedError:
    return WorkerDiedError("a worker process has died in the middle of its work: try again")


@asynccontextmanager
async def _real(file: BinaryIO | None) -> AsyncIterator[int | None]:
    """A descriptor of the file, at its present position."""
    if file is None:
        yield None
        return
    if isinstance(file, _PLAIN_FILES) and file.seekable():
        # A buffered reader has read ahead: the descriptor goes back to where the reader stands.
        file.flush()
        os.lseek(file.fileno(), file.tell(), os.SEEK_SET)
        yield file.fileno()
    else:
        with await asyncio.to_thread(_copy, file) as copied:
            yield copied.fileno()


def _copy(file: BinaryIO) -> Any:
    copied = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever asked for it
    while piece := file.read(io.DEFAULT_BUFFER_SIZE * 16):
        copied.write(piece)
    copied.seek(0)
    return copied
