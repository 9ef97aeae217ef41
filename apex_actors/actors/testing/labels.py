"""What things are called in reports: actors, messages, tasks and calls, so that a reader finds them."""

import asyncio
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from apex_actors.actors import ActorRef
from apex_actors.actors.messages import Stop, TimerFired


def actor_label(ref: ActorRef[Any]) -> str:
    """Its name where it has one, else its class and URN."""
    return f"{ref.actor_class.__name__} {ref.name!r}" if ref.name is not None else str(ref)


def message_label(message: Any) -> str:
    """The type of the message; what a timer brings is named as such."""
    if isinstance(message, TimerFired):
        return f"{message_label(message.message)} (timer)"
    if type(message) is Stop:
        return "stop"
    return type(message).__qualname__


def task_label(task: "asyncio.Task[Any]") -> str:
    """Its name, and the function and line of its user's code in which it waits."""
    frames = list(_frames(task.get_coro()))
    own = [frame for frame in frames if not _is_machinery(frame)]
    if not frames:
        return task.get_name()
    frame = own[-1] if own else frames[0]
    code = frame.f_code
    return f"{task.get_name()}: {code.co_qualname} at {code.co_filename}:{frame.f_lineno}"


def callback_label(callback: Callable[..., object]) -> str:
    """The function that would be called."""
    name: str = getattr(callback, "__qualname__", repr(callback))
    return name


def _frames(coroutine: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine and of those that it awaits, outermost first."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None)


def _is_machinery(frame: FrameType) -> bool:
    module: str = frame.f_globals.get("__name__", "")
    return module.startswith(("asyncio.", "apex_actors.actors."))
