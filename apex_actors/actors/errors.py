"""Errors of the actor runtime.

ActorError
├── BlockingCallError   a blocking call on the event loop's own thread would deadlock it
└── NoEventLoopError    an actor was started where no event loop runs

Pykka's own ``ActorDeadError`` and ``Timeout`` keep their meaning and are re-exported by the package.
"""


class ActorError(Exception):
    """Something of the actor runtime failed."""


class BlockingCallError(ActorError):
    """A blocking ``get`` or ``ask`` on the event loop's own thread would wait for itself for ever.

    Use ``await ref.ask_async(...)`` or ``await future`` instead.
    """


class NoEventLoopError(ActorError):
    """No event loop runs in this thread: start actors of the loop from a coroutine or callback."""
