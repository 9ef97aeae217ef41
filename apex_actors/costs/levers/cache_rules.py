"""What providers say about their prompt caches and the price catalogue doesn't hold."""

from typing import NamedTuple

FIVE_MINUTES_S = 300
ONE_HOUR_S = 3600

ASSUMED_MINIMUM_TOKENS = 4096
"""For models that no rule names: the largest of the published minimums, so that a saving is rather
missed than invented."""


class Minimum(NamedTuple):
    """The shortest prefix a model caches."""

    tokens: int
    assumed: bool


# Sources: for Gemini the provider's page on context caching; for Claude the documentation of
# gateways that cache on its behalf; for OpenAI its general rule for all models. The first part
# that stands in the model's name decides.
_MINIMUMS: tuple[tuple[str, int], ...] = (
    ("claude-opus-4-5", 4096),
    ("claude-opus-4-6", 4096),
    ("claude-haiku-4-5", 4096),
    ("claude-sonnet-4-6", 2048),
    ("claude-sonnet-4", 1024),
    ("claude-opus-4", 1024),
    ("claude-3-5-haiku", 2048),
    ("claude-3-haiku", 2048),
    ("claude-3", 1024),
    ("gemini-2.5", 2048),
    ("gpt-", 1024),
)


def minimum_prefix(model: str) -> Minimum:
    """The least number of tokens that the model caches."""
    name = model.lower().replace(".", "-") if "claude" in model.lower() else model.lower()
    for part, tokens in _MINIMUMS:
        if part in name:
            return Minimum(tokens, assumed=False)
    return Minimum(ASSUMED_MINIMUM_TOKENS, assumed=True)
