"""Steps by which lengths of answers are counted: at most a quarter longer than the one before."""

from bisect import bisect_left

from apex_actors.costs.records import MAX_TOKENS

OUTPUT_STEPS = (
    0,
    1,
    2,
    3,
    *(
        part << power
        for power in range(MAX_TOKENS.bit_length())
        for part in (4, 5, 6, 7)
        if part << power < 2 * MAX_TOKENS
    ),
)
"""Upper ends, included: 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20 and so on."""


def output_step(tokens: int) -> int:
    """The step that an answer of that many tokens falls into."""
    return bisect_left(OUTPUT_STEPS, tokens)
