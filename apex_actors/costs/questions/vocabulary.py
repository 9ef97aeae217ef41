"""The names in a user's own data, and the parts of them that people write."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from apex_actors.costs.questions.question import Facet
from apex_actors.costs.records import Processing, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Names that occur in the records of one tenant, by dimension."""

    models: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Values by key; a key may come without its values."""
    budgets: tuple[str, ...] = ()
    catalogue: tuple[str, ...] = ()
    """Models that have a price, used or not: one can be switched to, and its price be asked."""

    def names(self) -> list[tuple[Facet, str | None, str]]:
        """Facet, tag key and name of everything that can be filtered by, in a fixed order."""
        by_facet = (
            (Facet.MODEL, self.models),
            (Facet.PROVIDER, self.providers),
            (Facet.FEATURE, self.features),
            (Facet.TEAM, self.teams),
            (Facet.USER, self.users),
            (Facet.ENVIRONMENT, self.environments),
            (Facet.PROCESSING, tuple(Processing)),
            (Facet.STATUS, tuple(Status)),
        )
        found = [(facet, None, str(name)) for facet, names in by_facet for name in names]
        tags = [(Facet.TAG, key, value) for key, values in self.tags.items() for value in values]
        return [*found, *tags]
