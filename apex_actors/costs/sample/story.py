"""The made-up company of the sample: which feature sends what to which model for whom."""

from dataclasses import dataclass
from enum import StrEnum


class Rhythm(StrEnum):
    """When a feature is used."""

    OFFICE = "office"
    """Working hours, little at weekends."""
    NIGHTLY = "nightly"
    """Every night between one and four."""


class CacheUse(StrEnum):
    """What the feature does about prompt caching."""

    NONE = "none"
    AUTOMATIC = "automatic"
    """The provider caches by itself and finds two thirds of what it could."""
    WRITES = "writes"
    """Every prompt is written to the cache and none is read again: a mistake to be found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A use of a model by the made-up company."""

    name: str
    trace: str
    share: int
    """Parts of its trace out of all features' parts."""
    provider: str
    model: str
    teams: tuple[str, ...]
    rhythm: Rhythm = Rhythm.OFFICE
    deferrable: bool = False
    staging_percent: int = 0
    cache: CacheUse = CacheUse.NONE
    least_cached_tokens: int = 0


FEATURES = (
    Feature(
        name="support-chat",
        trace="azure_conv",
        share=12,
        provider="openai",
        model="gpt-5-mini",
        teams=("support",),
    ),
    Feature(
        name="sales-assistant",
        trace="azure_conv",
        share=8,
        provider="google",
        model="gemini-2.5-flash",
        teams=("sales", "marketing"),
    ),
    Feature(
        name="code-completion",
        trace="azure_code",
        share=12,
        provider="openai",
        model="gpt-4.1-mini",
        teams=("engineering",),
        staging_percent=10,
    ),
    Feature(
        name="code-review",
        trace="azure_code",
        share=5,
        provider="anthropic",
        model="claude-sonnet-4-6",
        teams=("engineering",),
        cache=CacheUse.WRITES,
        least_cached_tokens=2048,
    ),
    Feature(
        name="evaluations",
        trace="azure_code",
        share=3,
        provider="openai",
        model="gpt-5.1",
        teams=("platform",),
        rhythm=Rhythm.NIGHTLY,
        deferrable=True,
        staging_percent=100,
    ),
    Feature(
        name="knowledge-assistant",
        trace="mooncake",
        share=10,
        provider="anthropic",
        model="claude-sonnet-4-5",
        teams=("support", "sales", "operations"),
    ),
    Feature(
        name="document-qa",
        trace="mooncake",
        share=5,
        provider="google",
        model="gemini-2.5-pro",
        teams=("legal",),
        cache=CacheUse.AUTOMATIC,
        least_cached_tokens=2048,
    ),
    Feature(
        name="nightly-summaries",
        trace="mooncake",
        share=4,
        provider="anthropic",
        model="claude-opus-4-5",
        teams=("automation",),
        rhythm=Rhythm.NIGHTLY,
        deferrable=True,
    ),
    Feature(
        name="research-lab",
        trace="mooncake",
        share=1,
        provider="in-house",
        model="orion-7b",
        teams=("research",),
    ),
)

USERS = {
    "support": ("amara", "benedikt", "chiara", "dmitri", "elif", "farid", "grace"),
    "sales": ("hana", "ivo", "jasmin", "kofi", "lena"),
    "marketing": ("mateo", "nadia", "oskar"),
    "engineering": ("priya", "quentin", "rosa", "sven", "tomoko", "umar", "vera", "wiktor"),
    "platform": ("evaluation-service",),
    "legal": ("xenia", "yusuf", "zoe"),
    "operations": ("anton", "petra", "selma"),
    "automation": ("summary-service",),
    "research": ("bruna", "cyril"),
}
"""Who works in which team. The names are invented."""

ERROR_EVERY = 89
"""About one request in this many failed, though it was billed."""

AUTOMATIC_MISS_EVERY = 3
"""An automatic cache misses about one in this many of the prefixes it could have had."""
