"""A text cut into words, numbers and signs: what the recognisers read."""

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum

MAX_TOKENS = 300
"""Longer texts are not questions; the limit bounds the work that a text can ask for."""

_PIECE = re.compile(
    r"(?P<word>[^\W\d_]+(?:['\u2019\u0060][^\W\d_]+)*)|(?P<number>\d+)|(?P<sign>\S)"
)
_SHORT_WITHOUT = re.compile(r"\bw/o\b", re.IGNORECASE)
_APOSTROPHE = re.compile(r"['\u2019\u0060]")


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    NUMBER = "number"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Token:
    """A run of letters, a run of digits, or one other character."""

    kind: Kind
    text: str
    """As it was written."""
    word: str
    """In lower case, without apostrophes and the `'s` of a genitive; a misspelt word as it was meant."""
    is_glued: bool
    """No space stands before it."""

    @property
    def number(self) -> int | None:
        """Its value, if it is a number that a person would write."""
        is_short = self.kind is Kind.NUMBER and len(self.text) <= 12  # noqa: PLR2004 - a trillion
        return int(self.text) if is_short else None


def tokenize(text: str) -> list[Token]:
    """The tokens of a text, at most `MAX_TOKENS + 1` of them."""
    normal = _SHORT_WITHOUT.sub("without", unicodedata.normalize("NFKC", text))
    tokens: list[Token] = []
    end = 0
    for match in _PIECE.finditer(normal):
        kind = Kind(match.lastgroup)
        glued = bool(tokens) and match.start() == end
        end = match.end()
        tokens.append(Token(kind, match.group(), _plain(match.group()), glued))
        if len(tokens) > MAX_TOKENS:
            break
    return tokens


def _plain(text: str) -> str:
    low = text.casefold()
    parts = _APOSTROPHE.split(low)
    if len(parts) > 1 and parts[-1] in {"s", "re", "ve", "ll", "d", "m"}:
        parts.pop()
    return "".join(parts)


def compact(text: str) -> str:
    """Letters and digits of a name in lower case: what two spellings of it have in common."""
    normal = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in normal if char.isalnum())


def word_set(text: str) -> frozenset[str]:
    """The words of a text, for tables that a person reads."""
    return frozenset(text.split())
