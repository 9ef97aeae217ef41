"""Who speaks: the pair (org, sub), fixed for a connection, a thread and a run."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a token may allow beyond a user's own data."""

    ADMIN = "admin"
    DATA_ADMIN = "data_admin"


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated user: ``sub`` is the person, ``org`` the tenant that owns the cost data."""

    org: str
    sub: str
    roles: frozenset[Role] = frozenset()

    def __post_init__(self) -> None:
        if not self.org or not self.sub:
            raise ValueError("an identity needs both org and sub")

    @property
    def key(self) -> str:
        """The pair as one text; no two pairs have the same."""
        return f"{len(self.org)}:{self.org}:{self.sub}"

    def may_change_data(self) -> bool:
        """Whether usage data may be imported or deleted: in one's own org, or as its data admin."""
        return self.org == self.sub or Role.DATA_ADMIN in self.roles
