"""Messages that nobody will handle, as a stream: nothing is lost silently."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apex_actors.actors.ref import ActorRef

logger = logging.getLogger("apex_actors.actors")


class DeadLetterReason(Enum):
    """Why a message was not handled."""

    STOPPED = "stopped"
    """It lay behind a stop or in a stash, or came in the moment when the actor ended."""

    OVERFLOW = "overflow"
    """A bounded mailbox was full, and its policy is to drop."""

    EXPIRED = "expired"
    """Its time limit passed while it waited."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message, whom it was meant for, and why it will not be handled."""

    message: Any
    recipient: "ActorRef[Any] | None"
    reason: DeadLetterReason


Listener = Callable[[DeadLetter], None]


class DeadLetters:
    """The dead letters of one system: listeners, and a count for each reason.

    Published are messages whose ``tell`` had returned, and asks dropped before they were handled.
    A ``tell`` to a dead actor raises ActorDeadError and is no dead letter: its sender knows.
    Listeners are called on the thread where the message died; they must be quick and must not raise
    (what they raise is logged). At level DEBUG each dead letter is logged by its type, never by its
    content.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[tuple[object, Listener], ...] = ()
        self._counts: Counter[DeadLetterReason] = Counter()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for each dead letter from now on; returns how to end that."""
        entry = (object(), listener)
        with self._lock:
            self._listeners = (*self._listeners, entry)

        def unsubscribe() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not entry)

        return unsubscribe

    def counts(self) -> dict[DeadLetterReason, int]:
        """How many there were, by reason."""
        with self._lock:
            return dict(self._counts)

    def publish(self, letter: DeadLetter) -> None:
        """Count ``letter`` and show it to the listeners."""
        with self._lock:
            self._counts[letter.reason] += 1
            listeners = self._listeners
        if logger.isEnabledFor(logging.DEBUG):
            kind = type(letter.message).__qualname__
            logger.debug("Dead letter for %s: %s (%s)", letter.recipient, kind, letter.reason.value)
        for _, listener in listeners:
            try:
                listener(letter)
            except BaseException:  # a listener is anybody's code
                logger.exception("A listener of dead letters raised")
