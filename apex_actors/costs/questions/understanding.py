"""From the text of a question to what it asks, without a language model."""

from datetime import datetime

from apex_actors.costs.questions.answers import put_together
from apex_actors.costs.questions.doubts import doubt
from apex_actors.costs.questions.lexicon import WORDS, Concept
from apex_actors.costs.questions.names import NameIndex
from apex_actors.costs.questions.periods import Calendar
from apex_actors.costs.questions.question import (
    NotUnderstood,
    Question,
)
from apex_actors.costs.questions.reading import Reading, read
from apex_actors.costs.questions.slots import fill
from apex_actors.costs.questions.spelling import Speller
from apex_actors.costs.questions.suggestions import suggestions
from apex_actors.costs.questions.targets import targets
from apex_actors.costs.questions.timelexicon import MONTHS, NUMBERS, UNITS, WEEKDAYS
from apex_actors.costs.questions.tokens import MAX_TOKENS, tokenize
from apex_actors.costs.questions.vocabulary import Vocabulary
from apex_actors.costs.summary import Extent

C = Concept


class QuestionReader:
    """Understands questions about the data of one tenant.

    Making one looks at every name once; it is then read-only and may be shared by threads.
    """

    def __init__(self, vocabulary: Vocabulary, extent: Extent | None = None) -> None:
        self._index = NameIndex(vocabulary)
        self._extent = extent
        known = {*WORDS, *MONTHS, *WEEKDAYS, *UNITS, *NUMBERS, *self._index.words()}
        self._speller = Speller(known)

    def read(
        self,
        text: str,
        *,
        now: datetime,
        time_zone: str = "UTC",
        previous: Question | None = None,
    ) -> Question | NotUnderstood:
        """What a text asks; whatever the text, nothing is raised.

        Args:
            text: as the user wrote it.
            now: the moment of asking, aware.
            time_zone: an IANA name; days begin at its midnights.
            previous: the last question of the thread that was understood.

        Raises:
            ValueError: the time zone is unknown.
        """
        calendar = self._calendar(now, time_zone)
        tokens = tokenize(text)
        reading = read(tokens[:MAX_TOKENS], self._index, self._speller, calendar)
        if len(tokens) > MAX_TOKENS:
            return self._refuse(
                text, reading, "That is too long for a question; ask in a sentence."
            )
        fill(reading)
        found = targets(reading)
        why = doubt(reading)
        if why is not None:
            return self._refuse(text, reading, why)
        return put_together(text, reading, found, previous) or self._refuse(
            text, reading, "I see no question about your AI costs in that."
        )

    def _refuse(self, text: str, reading: Reading, why: str) -> NotUnderstood:
        return NotUnderstood(text=text, reason=why, suggestions=suggestions(reading))

    def _calendar(self, now: datetime, time_zone: str) -> Calendar:
        if self._extent is None:
            return Calendar(now, time_zone)
        days = [
            Calendar(moment, time_zone).today for moment in (self._extent.first, self._extent.last)
        ]
        return Calendar(now, time_zone, days[0], days[1])


def understand(
    text: str,
    *,
    now: datetime,
    time_zone: str,
    vocabulary: Vocabulary,
    extent: Extent | None = None,
    previous: Question | None = None,
) -> Question | NotUnderstood:
    """What one text asks; whoever reads several for a tenant keeps a `QuestionReader`."""
    reader = QuestionReader(vocabulary, extent)
    return reader.read(text, now=now, time_zone=time_zone, previous=previous)
