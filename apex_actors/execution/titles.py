"""Titles: one line of text that stands for a thread."""

import re
import unicodedata
from typing import Final

#: Characters of a first message that make a thread's title.
TITLE_LENGTH: Final = 80

#: Characters of a message that show what it is about.
PREVIEW_LENGTH: Final = 120

ELLIPSIS: Final = "…"

_ZERO_WIDTH_JOINER: Final = "\u200d"

# A cut that would throw away more than this part of the line is made inside the word instead.
_LEAST_KEPT: Final = 0.5

# Marks of Markdown at the beginning of a line: headings, quotes, lists, fences, rules.
_LINE_MARKS: Final = re.compile(r"^(?:#{1,6}(?: +|$)|> +|[-*+] +(?:\[[ xX]\] +)?|\d{1,3}[.)] +)+")
_FENCE: Final = re.compile(r"^\s*(?:`{3,}|~{3,})")
_LINK: Final = re.compile(r"!?\[([^\[\]]+)\]\([^()\s]*\)")
_EMPHASIS: Final = re.compile(
    r"(?<![\w*_~`])(\*{1,3}|_{1,3}|~~|`+)(?=\S)(.+?)(?<=\S)\1(?![\w*_~`])"
)

# More of a line than this is not looked at: longer ones are cut anyway, and the time that the
# search for pairs of marks takes grows with the square.
_LOOK: Final = 4 * TITLE_LENGTH

# Regional indicators make a flag in pairs; these change the look of what stands before them.
_REGIONAL: Final = range(0x1F1E6, 0x1F200)
_SKIN_TONES: Final = range(0x1F3FB, 0x1F400)
_TAGS: Final = range(0xE0020, 0xE0080)


def title_of(text: str) -> str:
    """A thread's title: the first line of its first message that says something, cut at a word.

    Markdown's marks go, as far as they are only marks. A text without a letter, a digit or a
    symbol gives its first line as it is.
    """
    first = ""
    for raw in text.splitlines():
        if _FENCE.match(raw):
            continue
        line = clean_line(raw[:_LOOK])
        first = first or line
        plain = _without_marks(line)
        if any(unicodedata.category(char)[0] in "LNS" for char in plain):
            return cut(plain, TITLE_LENGTH)
    return cut(first or clean_line(text[:_LOOK]), TITLE_LENGTH) or ELLIPSIS


def preview_of(text: str) -> str:
    """The beginning of a message in one line, without the marks of Markdown; empty for nothing."""
    lines = (
        _without_marks(clean_line(raw))
        for raw in text[: 4 * PREVIEW_LENGTH].splitlines()
        if not _FENCE.match(raw)
    )
    return cut(" ".join(line for line in lines if line), PREVIEW_LENGTH)


def clean_line(text: str) -> str:
    """``text`` in one line: runs of white space are a blank, what cannot be seen is left out.

    Empty where nothing of it can be seen.
    """
    line = " ".join("".join(map(_visible, unicodedata.normalize("NFC", text))).split())
    return line if any(unicodedata.category(char)[0] not in "CZM" for char in line) else ""


def cut(line: str, length: int) -> str:
    """At most ``length`` characters of ``line`` and an ellipsis: at a word, else at a character.

    A character is what a person takes for one: a letter stays with its accents, an emoji with
    its skin, its family and its flag. Cut parts count as the code points that they are made of.
    """
    if len(line) <= length:
        return line
    end = length
    while end > 0 and _joined(line, end):
        end -= 1
    if end == 0:
        # One character of more code points than a title has: as much of it as fits.
        return line[:length] + ELLIPSIS
    blank = end if line[end] == " " else line.rfind(" ", 0, end)
    if blank >= length * _LEAST_KEPT:
        end = blank
    return line[:end].rstrip() + ELLIPSIS


def _visible(char: str) -> str:
    if char.isspace():
        return " "
    category = unicodedata.category(char)
    # Format characters go as well (they can turn the direction of what follows), but those that
    # make one emoji of several, or shape letters, stay.
    if category in {"Cc", "Cs", "Cn"}:
        return ""
    if category == "Cf" and char not in {_ZERO_WIDTH_JOINER, "\u200c"} and ord(char) not in _TAGS:
        return ""
    return char


def _without_marks(line: str) -> str:
    line = _LINE_MARKS.sub("", line)
    line = _LINK.sub(r"\1", line)
    # Twice: bold in which there is code.
    return _EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", line)).strip()


def _joined(line: str, at: int) -> bool:
    """Whether the code points before and behind ``at`` belong to one character."""
    before, behind = line[at - 1], line[at]
    if _ZERO_WIDTH_JOINER in {before, behind}:
        return True
    if unicodedata.category(behind)[0] == "M" or ord(behind) in _SKIN_TONES or ord(behind) in _TAGS:
        return True
    if ord(behind) in _REGIONAL and ord(before) in _REGIONAL:
        # Flags are pairs: within one where an odd number of halves stands before.
        start = at
        while start > 0 and ord(line[start - 1]) in _REGIONAL:
            start -= 1
        return (at - start) % 2 == 1
    return False
