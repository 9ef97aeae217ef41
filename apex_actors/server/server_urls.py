"""Where the two servers are that all nodes share."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """Both with their passwords: never logged, and not shown."""

    database: str = field(repr=False)
    redis: str = field(repr=False)
