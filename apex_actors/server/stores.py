"""All that a node stores and reads, over two pools and one cache."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from apex_actors.execution import WorkPool
from apex_actors.server.settings import Settings
from apex_actors.storage.cache import Cache
from apex_actors.storage.currencies import CurrencyStore
from apex_actors.storage.database import Database
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.preferences import PreferenceStore
from apex_actors.storage.prices import PriceStore
from apex_actors.storage.revocations import RevocationStore
from apex_actors.storage.run_records import RunRecords
from apex_actors.storage.runs import RunStore
from apex_actors.storage.savings import SavingsStore
from apex_actors.storage.sessions import SessionStore
from apex_actors.storage.threads import ThreadStore
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_imports import UsageImports
from apex_actors.storage.usage_sources import UsageSources
from apex_actors.storage.work import WorkRunner

#: By how much the processes of an embedded PostgreSQL that import and analyse yield to others.
BULK_NICENESS: Final = 5


@dataclass(slots=True)
class Stores:
    """The repositories of a node; none of them has a state of its own.

    :param database: for the short transactions that keep runs, leases and clients alive.
    :param bulk: for what holds a connection for long, imports and analyses: it waits its turn.
    :param importing: does the parsing and pricing of imports.
    """

    database: Database
    bulk: Database
    cache: Cache
    importing: WorkRunner
    log: EventLog = field(init=False)
    runs: RunStore = field(init=False)
    run_records: RunRecords = field(init=False)
    threads: ThreadStore = field(init=False)
    sessions: SessionStore = field(init=False)
    preferences: PreferenceStore = field(init=False)
    revocations: RevocationStore = field(init=False)
    usage: UsageRepository = field(init=False)
    savings: SavingsStore = field(init=False)
    imports: UsageImports = field(init=False)
    prices: PriceStore = field(init=False)
    sources: UsageSources = field(init=False)
    currencies: CurrencyStore = field(init=False)

    def __post_init__(self) -> None:
        self.log = EventLog(self.database)
        self.runs = RunStore(self.database)
        self.run_records = RunRecords(self.database)
        self.threads = ThreadStore(self.database)
        self.sessions = SessionStore(self.database, self.cache)
        self.preferences = PreferenceStore(self.database)
        self.revocations = RevocationStore(self.database)
        self.usage = UsageRepository(self.database, bulk=self.bulk, work=self.importing)
        self.savings = SavingsStore(self.bulk)
        self.imports = UsageImports(self.database, bulk=self.bulk, work=self.importing)
        self.prices = PriceStore(self.database, bulk=self.bulk)
        self.sources = UsageSources(self.database, bulk=self.bulk)
        self.currencies = CurrencyStore(self.database, bulk=self.bulk)


def build_stores(
    settings: Settings, *, database_url: str, redis_url: str, node: str, stack: AsyncExitStack
) -> Stores:
    """The stores of a node, closed by ``stack``; both pools are still to be opened."""
    database = Database(
        database_url,
        max_size=settings.database_connections,
        application_name=f"apex-{node}",
        # A node that freezes in a transaction must not keep its users longer than its runs.
        transaction_limit_s=settings.execution.lease_s / 2,
    )
    stack.push_async_callback(database.close)
    bulk = Database(
        database_url,
        max_size=settings.bulk_connections,
        application_name=f"apex-bulk-{node}",
        patient=True,
        # The embedded server shares these cores with people's pings.
        niceness=0 if settings.database_url else BULK_NICENESS,
    )
    stack.push_async_callback(bulk.close)
    cache = Cache(redis_url, cluster=settings.redis_cluster)
    stack.push_async_callback(cache.close)
    # Apart from the processes of analyses, which must not wait for minutes behind two files.
    importing = WorkPool(size=settings.gateway.http.uploads_at_once)
    stack.push_async_callback(importing.close)
    return Stores(database, bulk, cache, importing)
