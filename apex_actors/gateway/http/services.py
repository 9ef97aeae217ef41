"""What the routes are given."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import Depends, Request
from prometheus_client import Metric

from apex_actors.costs.prices import PriceCatalogue
from apex_actors.execution.publishing import Announcer
from apex_actors.gateway.auth import VerifiedToken
from apex_actors.gateway.chart_renderer import ChartRenderer
from apex_actors.gateway.connection_info import ConnectionInfo
from apex_actors.gateway.health import Health
from apex_actors.gateway.metrics import GatewayMetrics
from apex_actors.gateway.registry_messages import RegistryStatistics
from apex_actors.gateway.settings import HttpSettings
from apex_actors.protocol.notices import RunReply, ThreadHistory, Threads
from apex_actors.storage.cache import ResultCache
from apex_actors.storage.currencies import CurrencyStore
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.prices import PriceStore
from apex_actors.storage.reports import ReportStore
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_imports import UsageImports
from apex_actors.storage.usage_sources import UsageSources

#: Who a bearer token speaks for. Raises InvalidTokenError (401), or Refused with its own answer.
Verify = Callable[[str], VerifiedToken | Awaitable[VerifiedToken]]


class ThreadReader(Protocol):
    """Threads and runs of a user, as they go over the wire.

    Raises ProtocolViolation for what is not the user's and for a ``before`` that is no cursor.
    """

    async def threads(self, user: VerifiedToken, *, limit: int, before: str | None) -> Threads:
        """A page of threads, latest first."""

    async def history(
        self, user: VerifiedToken, thread_id: UUID, *, limit: int, before: str | None
    ) -> ThreadHistory:
        """A page of a thread."""

    async def run(self, user: VerifiedToken, run_id: UUID) -> RunReply:
        """The state of a run."""


class NodeGroup(Protocol):
    """The other processes that serve the same port; one that does not answer is left out."""

    @property
    def processes(self) -> int:
        """How many there are together with this one."""

    async def metrics(self) -> Sequence[Sequence[Metric]]:
        """What each of the others counts."""

    async def connections(self, org: str | None, sub: str | None) -> Sequence[ConnectionInfo]:
        """Their live connections."""


class Alone:
    """The group of a node that has its port for itself."""

    processes = 1

    async def metrics(self) -> Sequence[Sequence[Metric]]:
        """Nothing."""
        return ()

    async def connections(self, _org: str | None, _sub: str | None) -> Sequence[ConnectionInfo]:
        """Nobody."""
        return ()


class IssueToken(Protocol):
    """Makes a token and says when it expires."""

    def __call__(self, *, sub: str, org: str | None, lifetime_s: int) -> tuple[str, datetime]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServices:
    """What the routes need.

    :ivar verify: the check of a bearer token; it may be awaitable.
    :ivar verify_link: whether a signed link (path, expires, signature) is good now.
    :ivar sign_link: the path with a fresh signature, as a URL of this server.
    :ivar issue_token: for the development sign-in; None switches it off.
    :ivar development_org: the tenant of whoever signs in there without one.
    :ivar connections: the live connections of this node, of an org and a sub where these are named.
    :ivar statistics: how many those are.
    :ivar pool_statistics: of the database pool, as psycopg_pool names them.
    :ivar announcer: told of committed events.
    :ivar allowed_origins: scheme, host and port of each page that may ask, besides our own.
    :ivar max_message_bytes: a message on the wire must be shorter than this.
    :ivar group: the other processes that serve the same port.
    """

    verify: Verify
    verify_link: Callable[[str, str, str], bool]
    sign_link: Callable[[str], str]
    issue_token: IssueToken | None
    development_org: str | None
    health: Health
    metrics: GatewayMetrics
    connections: Callable[[str | None, str | None], Awaitable[Sequence[ConnectionInfo]]]
    statistics: Callable[[], Awaitable[RegistryStatistics]]
    pool_statistics: Callable[[], Mapping[str, int]]
    log: EventLog
    threads: ThreadReader
    reports: ReportStore
    charts: ChartRenderer
    cache: ResultCache
    usage: UsageRepository
    imports: UsageImports
    prices: PriceStore
    sources: UsageSources
    currencies: CurrencyStore
    catalogue: PriceCatalogue
    announcer: Announcer
    settings: HttpSettings
    allowed_origins: Sequence[str]
    max_message_bytes: int
    group: NodeGroup = field(default_factory=Alone)


def _services(request: Request) -> HttpServices:
    services: HttpServices = request.app.state.services
    return services


Services = Annotated[HttpServices, Depends(_services)]
