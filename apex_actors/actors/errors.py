"""Errors of the actor runtime.

ActorError
├── ActorStartError       ``on_start`` or the constructor raised, and the actor never came up
├── AskerGoneError        the message was dropped before it was handled; told to who asked
├── AsyncHandlerError     a handler of a pool or thread actor returned a coroutine
├── BlockingCallError     a blocking call on the event loop's own thread would deadlock it
├── ChildEscalatedError   a child failed, and its parent's supervision passes the failure up
├── MailboxFullError      a bounded mailbox takes no more
├── MessageExpiredError   the time limit of a message passed before its turn came
├── NameTakenError        another living actor of the system has that name
├── NoEventLoopError      the event loop of the actor is closed
├── NoRouteeError         a router has nobody to send to
├── StashFullError        the stash takes no more
└── StopTimeoutError      actors were still alive when the time for stopping them was up

Pykka's own ``ActorDeadError`` and ``Timeout`` keep their meaning and are re-exported by the package.
"""


class ActorError(Exception):
    """Something of the actor runtime failed."""


class ActorStartError(ActorError):
    """The actor never came up: ``on_start`` or its constructor raised, and it was not restarted."""


class AskerGoneError(ActorError):
    """The handler was cancelled by ``cancel()`` before it replied: ask again if it still matters."""


class AsyncHandlerError(ActorError):
    """Handlers and hooks of pool and thread actors are plain functions: use LoopActor for ``async``."""


class BlockingCallError(ActorError):
    """A blocking call on the event loop's own thread would wait for itself for ever.

    Use ``await ref.ask_async(...)`` or ``await future`` instead.
    """


class ChildEscalatedError(ActorError):
    """A child failed and the supervision of its parent says escalate; the cause is the failure."""


class MailboxFullError(ActorError):
    """The bounded mailbox is full: slow down, or ``await ref.tell_async(...)`` for room."""


class MessageExpiredError(ActorError):
    """The message's time limit passed before it was handled: it was dropped, never half done."""


class NameTakenError(ActorError):
    """Names are unique among the living of a system: stop the other actor first, or rename this one."""


class NoEventLoopError(ActorError):
    """The event loop of this actor is closed: it can neither run nor be told anything."""


class NoRouteeError(ActorError):
    """The router has no living routee: add one before sending."""


class StashFullError(ActorError):
    """The stash is full: handle or refuse messages instead of putting more of them off."""


class StopTimeoutError(ActorError):
    """Actors were still alive when the time for stopping them was up; the message names them."""
