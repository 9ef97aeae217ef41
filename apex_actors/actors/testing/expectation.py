"""What a test expects of a message: a value, a type, or whatever a function says yes to."""

from collections.abc import Callable, Sequence
from typing import Any

from apex_actors.actors.testing.labels import callback_label


class Expectation:
    """One expected message.

    A type expects an instance of it, a function expects what it returns something true for,
    anything else expects an equal message. ``text`` names in reports what a function accepts.
    """

    def __init__(self, expected: Any, text: str | None = None) -> None:
        self._matches: Callable[[Any], object]
        self._text: str
        if isinstance(expected, type):
            self._text = f"a {expected.__qualname__}"
            self._matches = lambda message: isinstance(message, expected)
        elif callable(expected):
            self._text = text or f"what {callback_label(expected)} accepts"
            self._matches = expected
        else:
            self._text = repr(expected)
            self._matches = lambda message: message == expected

    def __str__(self) -> str:
        return self._text

    def matches(self, message: Any) -> bool:
        """Whether ``message`` is expected."""
        return bool(self._matches(message))


class Assignment:
    """Which message fulfils which of several expectations, one each, in any order.

    A message may fulfil several of them; which one it takes is decided anew as others arrive.
    """

    def __init__(self, expectations: Sequence[Expectation]) -> None:
        self._expectations = expectations
        self._taken_by: dict[int, Any] = {}

    def take(self, message: Any) -> bool:
        """Assign ``message``; False when that is impossible whatever the others take."""
        return self._assign(message, set())

    def missing(self) -> list[Expectation]:
        """What no message has fulfilled yet."""
        return [one for at, one in enumerate(self._expectations) if at not in self._taken_by]

    def messages(self) -> list[Any]:
        """The messages, in the order of the expectations; only when none is missing."""
        return [self._taken_by[at] for at in range(len(self._expectations))]

    def _assign(self, message: Any, tried: set[int]) -> bool:
        for at, expectation in enumerate(self._expectations):
            if at in tried or not expectation.matches(message):
                continue
            tried.add(at)
            if at not in self._taken_by or self._assign(self._taken_by[at], tried):
                self._taken_by[at] = message
                return True
        return False
