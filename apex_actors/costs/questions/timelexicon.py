"""The words of which times are made."""

from typing import Final

from apex_actors.costs.questions.periods import Unit
from apex_actors.costs.questions.tokens import word_set

MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar", "february feb februar", "march mar", "april apr", "may mai",
            "june jun juni", "july jul juli", "august aug", "september sep sept",
            "october oct oktober okt", "november nov", "december dec dezember dez",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
WEEKDAYS: Final = {
    name: number
    for number, names in enumerate(
        (
            "monday mon", "tuesday tue tues", "wednesday wed",
            "thursday thu thur thurs", "friday fri",
            "saturday sat", "sunday sun",
        )
    )
    for name in names.split()
}  # fmt: skip
UNITS: Final = {
    name: unit
    for unit, names in {
        Unit.HOUR: "hour hours h",
        Unit.DAY: "day days d",
        Unit.WEEK: "week weeks w",
        Unit.MONTH: "month months",
        Unit.QUARTER: "quarter quarters",
        Unit.YEAR: "year years y",
    }.items()
    for name in names.split()
}
NUMBERS: Final = {
    word: number
    for number, word in enumerate(
        (
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
            "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
            "eighteen", "nineteen", "twenty",
        )
    )
} | {"thirty": 30, "fifty": 50, "sixty": 60, "ninety": 90, "hundred": 100, "couple": 2, "few": 3}  # fmt: skip
"""Words for numbers; "a few" is three."""

ORDINALS: Final = {"first": 1, "second": 2, "third": 3, "fourth": 4}
MOST_UNITS: Final = 10_000
AMBIGUOUS: Final = frozenset({"may", "march", "mar", "sat", "sun", "mon", "dec", "wed", "second"})
"""Months and weekdays that are other words too: they need a word before them that asks for a time."""
BEFORE_A_TIME: Final = word_set(
    "in since of during for from until till to through and between before after on by last this "
    "next vs versus with than"
)
LAST: Final = frozenset({"last", "previous", "prior", "preceding"})
PAST: Final = frozenset({"past", "trailing", "rolling"})
THIS: Final = frozenset({"this", "current", "running", "ongoing"})
NEXT: Final = frozenset({"next", "coming", "upcoming", "following"})
SMALL: Final = frozenset({"the", "of", "full", "whole", "entire"})
TO: Final = frozenset(
    {"to", "until", "till", "through", "thru", "and", "-", "\u2013", "\u2014", "up"}
)
