"""Names of the user's own data in a text: written exactly, loosely, in part, or for a whole family."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from apex_actors.costs.questions.lexicon import WORDS
from apex_actors.costs.questions.question import Facet
from apex_actors.costs.questions.tokens import Kind, Token, compact, word_set
from apex_actors.costs.questions.vocabulary import Vocabulary

_MOST_TOKENS: Final = 24
"""The longest name is read from at most this many tokens."""

_INNER: Final = frozenset("-_./:@+#")
_PART = re.compile(r"[^\W\d_]+|\d+")
_RELEASE = re.compile(r"(?:[-@_](?:20\d{2}-?\d{2}-?\d{2}|\d{4}|latest))?(?:-v\d+(?::\d+)?)?$")
"""The end of a model's name that says which release it is; people leave it out."""

GENERIC: Final = word_set(
    "mini pro flash nano turbo preview latest large small medium lite chat code exp instruct "
    "embedding text image audio tts live v b o a x thinking reasoning instant fast max plus "
    "base search vision r research deep high low experimental online free"
)
"""Parts of models' names that are words for more than a model: alone they name none."""

_ALIASES: Final = {
    (Facet.STATUS, "error"): ("errors", "failures", "failed"),
    (Facet.PROCESSING, "batch"): ("batches", "batched"),
}
"""Other words for the values of dimensions that are no names of the user's."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a name may stand for."""

    facet: Facet
    name: str
    tag_key: str | None = None
    is_used: bool = True
    """False: a model of the price catalogue that the records don't have."""


@dataclass(frozen=True, slots=True)
class Match:
    """Tokens that name something."""

    start: int
    end: int
    meanings: tuple[Named, ...]
    """Of one facet: a family of models. Of several facets: the name is ambiguous."""
    is_exact: bool

    @property
    def facets(self) -> tuple[Facet, ...]:
        """The facets that it may be, without repetition."""
        return tuple(dict.fromkeys(named.facet for named in self.meanings))


class NameIndex:
    """The names of a vocabulary, ready to be found."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._exact: dict[str, list[Named]] = defaultdict(list)
        self._parts: dict[str, list[tuple[Named, tuple[str, ...]]]] = defaultdict(list)
        self._keys = {compact(key): key for key in vocabulary.tags}
        self._budgets = {compact(name): name for name in vocabulary.budgets}
        own = [Named(facet, name, key) for facet, key, name in vocabulary.names()]
        used = set(vocabulary.models)
        listed = [
            Named(Facet.MODEL, name, is_used=False)
            for name in vocabulary.catalogue
            if name not in used
        ]
        for named in own:
            for spelling in (named.name, *_ALIASES.get((named.facet, named.name), ())):
                self._add(compact(spelling), named)
        for named in own:
            if named.facet is Facet.MODEL:
                short = short_name(named.name)
                self._add(compact(short), named)
                self._add_parts(named, short)
        # What the records have comes first: the catalogue adds only names that they don't have.
        taken = set(self._exact)
        for named in listed:
            for spelling in (named.name, short_name(named.name)):
                if compact(spelling) not in taken:
                    self._add(compact(spelling), named)
            self._add_parts(named, short_name(named.name))

    def _add(self, key: str, named: Named) -> None:
        if key and named not in self._exact[key]:
            self._exact[key].append(named)

    def _add_parts(self, named: Named, short: str) -> None:
        parts = _parts(short)
        for part in dict.fromkeys(parts):
            self._parts[part].append((named, parts))

    def words(self) -> Iterable[str]:
        """The words that names are made of, for the correction of misspelt ones."""
        yield from self._parts
        yield from (key for key in self._exact if key.isalpha())
        for named_list in self._exact.values():
            for named in named_list:
                yield from (part for part in _parts(named.name) if part.isalpha())
        for key in (*self.vocabulary.tags, *self.vocabulary.budgets):
            yield from _parts(key)

    def exact(self, tokens: Sequence[Token], start: int) -> Match | None:
        """The longest name that is written out from `start` on, however it is cut into words."""
        found = None
        for key, end in _spans(tokens, start):
            meanings = self._exact.get(key)
            if meanings:
                found = Match(start, end, tuple(meanings), is_exact=True)
        return found

    def key(self, tokens: Sequence[Token], start: int) -> tuple[str, int] | None:
        """The tag key that is written out from `start` on, and where it ends."""
        return self._spelt(tokens, start, self._keys)

    def budget(self, tokens: Sequence[Token], start: int) -> tuple[str, int] | None:
        """The budget that is written out from `start` on, and where it ends."""
        return self._spelt(tokens, start, self._budgets)

    def _spelt(
        self, tokens: Sequence[Token], start: int, names: dict[str, str]
    ) -> tuple[str, int] | None:
        found = None
        for key, end in _spans(tokens, start):
            for written in (key, key.removesuffix("s")):
                if written in names:
                    found = (names[written], end)
        return found

    def family(self, tokens: Sequence[Token], start: int, *, used: bool) -> Match | None:
        """The models whose names have the parts that are written from `start` on, in their order.

        :param used: only models that the records have; otherwise the others.
        """
        if not _begins_a_name(tokens, start):
            return None
        first = tokens[start].word
        left = [
            (named, parts, parts.index(first) + 1)
            for named, parts in self._parts.get(first, ())
            if named.is_used is used
        ]
        if not left:
            return None
        written, end = [first], start + 1
        at = end
        while at < len(tokens):
            if tokens[at].word in _INNER:
                at += 1
                continue
            part = tokens[at].word
            fitting = [
                (named, parts, parts.index(part, begin) + 1)
                for named, parts, begin in left
                if part in parts[begin:]
            ]
            if not fitting:
                break
            left = fitting
            written.append(part)
            at += 1
            end = at
        if not _is_boundary(tokens, end) or not _says_enough(written):
            return None
        if _goes_on_with_a_version(tokens, end):
            return None
        return Match(start, end, _nearest(left, first, written), is_exact=False)


def short_name(model: str) -> str:
    """A model's name without the provider before it and the release behind it."""
    name = model.rsplit("/", 1)[-1]
    name = re.sub(r"^(?:\w{2,6}\.)?(?:anthropic|amazon|meta|mistral|cohere|google)\.", "", name)
    return _RELEASE.sub("", name, count=1) or name


def _parts(name: str) -> tuple[str, ...]:
    return tuple(_PART.findall(name.casefold()))


def _nearest(
    left: list[tuple[Named, tuple[str, ...], int]], first: str, written: list[str]
) -> tuple[Named, ...]:
    """Without the variants that are not asked for, where one has none."""

    def extra(parts: tuple[str, ...]) -> int:
        after = parts[parts.index(first) :]
        return sum(part.isalpha() and part not in written for part in after)

    if len(written) > 1:
        least = min(extra(parts) for _, parts, _ in left)
        if least == 0:
            left = [one for one in left if extra(one[1]) == 0]
    return tuple(dict.fromkeys(named for named, _, _ in left))


def _begins_a_name(tokens: Sequence[Token], start: int) -> bool:
    token = tokens[start]
    if start and token.is_glued and tokens[start - 1].word not in {"/", "(", '"', "'", "$"}:
        return False
    if token.kind is Kind.WORD:
        return True
    following = tokens[start + 1] if start + 1 < len(tokens) else None
    return (
        token.kind is Kind.NUMBER
        and following is not None
        and following.is_glued
        and following.kind is Kind.WORD
        and len(following.text) == 1
    )


def _says_enough(written: Sequence[str]) -> bool:
    if any(part.isalpha() and part not in GENERIC and part not in WORDS for part in written):
        return True
    return written[0].isdigit() and len(written) > 1


def _goes_on_with_a_version(tokens: Sequence[Token], end: int) -> bool:
    """`claude 3` where there is only a 4: another model, not the family."""
    at = end
    while at < len(tokens) and tokens[at].word in {"-", "."} and tokens[at].is_glued:
        at += 1
    if at >= len(tokens) or tokens[at].kind is not Kind.NUMBER:
        return False
    after = tokens[at + 1].word if at + 1 < len(tokens) else ""
    return after not in WORDS


def _is_boundary(tokens: Sequence[Token], end: int) -> bool:
    """Whether what was read is not the beginning of a longer name."""
    if end >= len(tokens):
        return True
    after = tokens[end]
    if not after.is_glued:
        return True
    if after.kind is not Kind.SIGN:
        return False
    if after.word not in "-_.:@":
        return True
    beyond = tokens[end + 1] if end + 1 < len(tokens) else None
    return beyond is None or not beyond.is_glued or beyond.kind is Kind.SIGN or beyond.word in WORDS


def _spans(tokens: Sequence[Token], start: int) -> Iterable[tuple[str, int]]:
    """Compact texts from `start` on, each with the end of its tokens, shortest first."""
    token = tokens[start]
    if token.kind is Kind.SIGN or (
        token.is_glued and start and tokens[start - 1].kind is not Kind.SIGN
    ):
        return
    key = ""
    for at in range(start, min(start + _MOST_TOKENS, len(tokens))):
        token = tokens[at]
        if token.kind is Kind.SIGN:
            if token.word not in _INNER:
                return
            continue
        key += token.word
        if _is_boundary(tokens, at + 1):
            yield key, at + 1
