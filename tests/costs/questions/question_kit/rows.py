"""How an example question is written down: what is asked, and what has to be understood."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Row:
    """A question with the intents and slots that are expected.

    A slot that is not named is expected to be empty, and the time range to be the last 90 days that
    have records. Days are written from the first to the last, both included.
    """

    text: str
    intents: tuple[str, ...]
    slots: Mapping[str, str]


@dataclass(frozen=True)
class Refusal:
    """A question that must not be understood."""

    text: str


@dataclass(frozen=True)
class Talk:
    """Questions of one thread, each read with the one before it as its context."""

    rows: tuple[Row | Refusal, ...]


Example = Row | Refusal | Talk


def q(text: str, intents: str, **slots: object) -> Row:
    """A question that is understood; several intents are parted by spaces."""
    shown = {name: str(value) for name, value in slots.items()}
    return Row(text, tuple(intents.split()), MappingProxyType(shown))


def no(text: str) -> Refusal:
    """A question that gets three others for an answer."""
    return Refusal(text)


def talk(*rows: Row | Refusal) -> Talk:
    """A thread."""
    return Talk(rows)
