"""Which tokens are revoked: the last known list, and whether it is of now."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from apex_actors.gateway.auth.claims import VerifiedToken
from apex_actors.gateway.auth.errors import InvalidTokenError
from apex_actors.storage.revocations import Revoked, RevokedToken, RevokedUser

#: A list that could not be confirmed for so many polls is not current any more.
STALE_AFTER_POLLS: Final = 5


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What is revoked, for one look-up a token; never changed once made."""

    token_ids: frozenset[str]
    users: Mapping[tuple[str, str], datetime]
    """By (org, sub): tokens issued before are no good."""

    @classmethod
    def of(cls, revoked: Iterable[Revoked]) -> "RevocationList":
        """The list of all these; of several moments for one user the latest counts."""
        token_ids: set[str] = set()
        users: dict[tuple[str, str], datetime] = {}
        for one in revoked:
            match one:
                case RevokedToken(token_id):
                    token_ids.add(token_id)
                case RevokedUser(org, sub, issued_before):
                    earlier = users.get((org, sub), issued_before)
                    users[org, sub] = max(earlier, issued_before)
        return cls(frozenset(token_ids), MappingProxyType(users))

    def is_revoked(self, token: VerifiedToken) -> bool:
        """Whether ``token`` is on the list; one that does not say when it was issued is older."""
        if token.token_id is not None and token.token_id in self.token_ids:
            return True
        if not self.users:
            return False
        before = self.users.get((token.identity.org, token.identity.sub))
        return before is not None and (token.issued_at is None or token.issued_at < before)

    def exceeds(self, other: "RevocationList") -> bool:
        """Whether this one revokes anything that ``other`` does not."""
        return not self.token_ids <= other.token_ids or any(
            user not in other.users or before > other.users[user]
            for user, before in self.users.items()
        )


NOTHING_REVOKED: Final = RevocationList(frozenset(), MappingProxyType({}))


class Revocations:
    """The list in use. RevocationWatch renews it, everybody who lets a token in asks it.

    Before the first list, and when the latest look is too old, the last known one counts on, but
    nobody is an administrator: a lost token must not have that power while nobody can take it away.

    :param poll_interval_s: how often the list is confirmed when all is well.
    """

    def __init__(
        self, *, poll_interval_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if poll_interval_s <= 0:
            raise ValueError("poll_interval_s must be more than 0")
        self._stale_after_s = STALE_AFTER_POLLS * poll_interval_s
        self._clock = clock
        self._list = NOTHING_REVOKED
        self._confirmed_at: float | None = None

    @property
    def is_current(self) -> bool:
        """Whether the list was seen to be complete within the last few polls."""
        return (
            self._confirmed_at is not None
            and self._clock() - self._confirmed_at <= self._stale_after_s
        )

    def check(self, token: VerifiedToken) -> None:
        """Raise InvalidTokenError for a revoked token, and for a privileged one while not current."""
        if self._list.is_revoked(token):
            raise InvalidTokenError("revoked")
        if token.identity.roles and not self.is_current:
            raise InvalidTokenError("privileged, while revocations cannot be looked up")

    # For the watch.

    @property
    def known(self) -> RevocationList:
        """The list in use."""
        return self._list

    def now(self) -> float:
        """The moment to hand to ``renew`` or ``confirm``: taken before a look, not after it."""
        return self._clock()

    def renew(self, known: RevocationList, at: float) -> None:
        """Put ``known`` in use, which was complete at the moment ``at``."""
        self._list = known
        self._confirmed_at = at

    def confirm(self, at: float) -> None:
        """Nothing had changed at the moment ``at``."""
        self._confirmed_at = at
