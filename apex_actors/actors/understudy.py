"""Async handlers without a task for each: a task only for those that really wait."""

import asyncio
import contextvars
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine
from typing import Any, Final

_NOTHING: Final = object()

Outcome = Callable[[Any, BaseException | None], None]
"""Gets the result of a coroutine, or what it raised."""


class Understudy(Coroutine[Any, None, None]):
    """A task that stands ready to go on with a coroutine, should that turn out to wait.

    The first step of a handler runs at once and already as this task: ``asyncio.current_task()``,
    timeouts and context variables are those of the task. A handler that ends within its first
    step leaves the understudy to the next one, so it costs no task; one that waits takes it along.
    Its context is a copy of the dispatcher's: what a handler sets there is not seen by others.

    For the task this object is the coroutine, so that nothing lies between a task that is cancelled
    before it ever ran and the handler that it belongs to.
    """

    __slots__ = (
        "__weakref__",
        "_coroutine",
        "_loop",
        "_outcome",
        "_park",
        "_pristine",
        "_yielded",
        "context",
        "task",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> None:
        self._loop: asyncio.AbstractEventLoop | None = loop
        self._pristine = context
        self.context = context.copy()
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._yielded: Any = _NOTHING
        self._outcome: Outcome | None = None
        self._park: asyncio.Future[None] | None = None
        # The task refers to its coroutine, and that is this: the way back is cut when it ends.
        self.task: asyncio.Task[None] | None = loop.create_task(self, context=self.context)

    @property
    def is_taken(self) -> bool:
        """Whether a coroutine has taken the task, or something ended it."""
        task = self.task
        return self._coroutine is not None or task is None or task.cancelling() > 0

    @property
    def is_soiled(self) -> bool:
        """Whether a first step left its context other than it found it."""
        return bool(self.context != self._pristine)

    def begin(self, coroutine: Coroutine[Any, Any, Any], outcome: Outcome) -> bool:
        """Run ``coroutine`` up to its first wait; False: it waits, and goes on as the task.

        ``outcome`` is called with the result or the error, before this returns or later, in the
        task.
        """
        loop, task = self._loop, self.task
        assert task is not None and loop is not None  # noqa: S101, PT018 - not taken
        # Usually none: turns come from the loop. A test kit may take them within a task of its own.
        other = asyncio.current_task(loop)
        if other is not None:
            _leave_task(loop, other)
        _enter_task(loop, task)
        try:
            self._yielded = self.context.run(coroutine.send, None)
        except StopIteration as stop:
            result, error = stop.value, None
        except BaseException as raised:  # noqa: BLE001 - outcome decides
            result, error = None, without_frame(raised)
        else:
            self._coroutine, self._outcome = coroutine, outcome
            if self._park is not None and not self._park.done():
                self._park.set_result(None)
            return False
        finally:
            _leave_task(loop, task)
            if other is not None:
                _enter_task(loop, other)
        outcome(result, error)
        return True

    def retire(self) -> None:
        """End the task: nobody will take it."""
        if self.task is not None:
            self.task.cancel()

    # What the task calls.

    def send(self, value: None) -> Any:
        """Go on: wait to be taken, then for what the first step waits for, then for the rest."""
        coroutine = self._coroutine
        if coroutine is None:
            assert self._loop is not None  # noqa: S101 - not ended
            self._park = self._loop.create_future()
            self._park._asyncio_future_blocking = True  # noqa: SLF001 - as its __await__ does
            return self._park
        if self._yielded is not _NOTHING:
            yielded, self._yielded = self._yielded, _NOTHING
            return yielded
        return self._resume(coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        """Go on with an exception: the task was cancelled, or what it waited for failed."""
        coroutine = self._coroutine
        yielded, self._yielded = self._yielded, _NOTHING
        if coroutine is None:
            self.task = self._loop = None
            raise error[0] if len(error) == 1 else error[1] or error[0]
        # Cancelled before the task could wait for it: do as Task.cancel would, which tells what the
        # coroutine waits for, and goes on with its answer.
        cancelled = isinstance(error[0], asyncio.CancelledError)
        if cancelled and isinstance(yielded, asyncio.Future) and yielded.cancel():
            return yielded
        return self._resume(coroutine.throw, *error)

    def close(self) -> None:
        """End the coroutine: the task is being destroyed."""
        if self._coroutine is not None:
            self._coroutine.close()

    def __await__(self) -> Any:
        raise TypeError("an understudy is run by its task alone")

    def __getattr__(self, name: str) -> Any:
        # Debuggers and Task.get_stack look at the handler behind the task.
        if name.startswith("cr_") and self._coroutine is not None:
            return getattr(self._coroutine, name)
        raise AttributeError(name)

    def _resume(self, step: Callable[..., Any], *args: Any) -> Any:
        try:
            return step(*args)
        except StopIteration as stop:
            self._end(stop.value, None)
        except BaseException as error:  # noqa: BLE001 - outcome decides
            self._end(None, without_frame(error))
        raise StopIteration

    def _end(self, result: Any, error: BaseException | None) -> None:
        outcome = self._outcome
        assert outcome is not None  # noqa: S101 - set together with the coroutine
        # The task may be remembered for long; what its coroutine knew need not be.
        self._coroutine = self._outcome = self.task = self._loop = None
        outcome(result, error)


def without_frame(error: BaseException) -> BaseException:
    """Drop our own frame from the traceback: its locals would tie error and asker into a cycle."""
    traceback = error.__traceback__
    if traceback is not None and traceback.tb_next is not None:
        error.__traceback__ = traceback.tb_next
    return error


def inner_cancellation(cancelled: asyncio.CancelledError) -> RuntimeError:
    """Not the coroutine was cancelled but something that it awaited: an error like others."""
    error = RuntimeError("what the actor awaited was cancelled")
    error.__cause__ = cancelled
    return error
