"""The worker of a node: claims runs, keeps their leases, starts and stops engines."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from apex_actors.actors import ActorRef, ChildFailed, LoopActor
from apex_actors.execution.engine import Abandon, Cancel, Execute, UserExecutionEngine
from apex_actors.execution.factory import ExecutionEngineFactory
from apex_actors.execution.pipeline import RunEnded
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.storage.errors import StorageError
from apex_actors.storage.runs import Claim, Run, RunStore

logger = logging.getLogger(__name__)

#: A lease is extended this many times before it would end.
HEARTBEATS_PER_LEASE: Final = 3


@dataclass(frozen=True, slots=True)
class WorkAvailable:
    """Look for work now: somebody knows of some, or wants a run stopped."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Claim nothing more; answered with the number of runs still under way."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Stop what is under way and give it back; answered with the number of runs given back."""


@dataclass(frozen=True, slots=True)
class _TryAgain:
    """To make the engine of a run that was claimed."""

    run_id: UUID
    fence_id: UUID


@dataclass(frozen=True, slots=True)
class _Poll:
    pass


@dataclass(frozen=True, slots=True)
class _ExtendLeases:
    pass


@dataclass(slots=True)
class _Engine:
    ref: ActorRef[UserExecutionEngine]
    runs: set[UUID] = field(default_factory=set)


@dataclass(slots=True)
class _Unbegun:
    """A run without an engine: none could be made so far, or it shall get none."""

    run: Run
    claim: Claim
    failures: int = 0


class Worker(LoopActor):
    """Claims runs in batches and hands each to the engine of its user.

    Receives WorkAvailable, Drain, HandOver, RunEnded and ChildFailed of engines. Owns the leases
    and the engines: an engine lives while its user has a run here. When this actor is told to hand
    over, or stops, its engines stop first and the runs are given back, so that another worker goes
    on at once, and the attempt does not count. When it dies of an error it gives nothing back: what
    kills workers must use up its attempts, and the leases end by themselves. Each look for
    work is also a look for marks on the runs that are held: it tells their engines Cancel, once.
    A run whose engine cannot be made is tried again; then a RunEnder ends it, as it ends a run of
    which as many leases have ended by themselves as it has attempts: it may be what kills workers.
    Neither that nor whatever else befalls one run or one engine ends this actor.
    """

    def __init__(
        self,
        *,
        name: str,
        runs: RunStore,
        factory: ExecutionEngineFactory,
        settings: ExecutionSettings,
    ) -> None:
        super().__init__()
        self._name = name
        self._runs = runs
        self._factory = factory
        self._settings = settings
        self._engines: dict[int, _Engine] = {}
        self._claims: dict[UUID, tuple[Claim, int]] = {}
        self._unbegun: dict[UUID, _Unbegun] = {}
        self._cancelling: set[UUID] = set()
        self._claiming: asyncio.Task[list[Claim]] | None = None
        """A claim whose runs are not in ``_claims`` yet."""
        self._draining = False
        self._poll_due = False
        self._cannot_claim = False

    def on_start(self) -> None:
        self.ref.tell(_Poll())
        self.tell_later(self._heartbeat_s, _ExtendLeases())

    def on_receive(self, message: object) -> object:
        match message:
            case WorkAvailable():
                # Many announcements, one look: those that come before it are all served by it.
                if not self._poll_due:
                    self._poll_due = True
                    self.ref.tell(_Poll())
            case _Poll():
                return self._poll()
            case _ExtendLeases():
                return self._extend()
            case _TryAgain(run_id, fence_id):
                self._try_again(run_id, fence_id)
            case RunEnded(user_id, run_id, fence_id):
                self._run_ended(user_id, run_id, fence_id)
            case Drain():
                self._draining = True
                return len(self._claims)
            case HandOver():
                self._draining = True
                return self._hand_over()
            case ChildFailed(child, _):
                self._engine_failed(child)
            case _:
                return super().on_receive(message)
        return None

    async def on_stop(self) -> None:  # type: ignore[override]  # hooks of the loop may be async
        await self._give_back(
            [claim for claim, _ in self._claims.values()] + await self._claims_in_flight()
        )

    async def _hand_over(self) -> int:
        for child in self.children:
            child.kill()
            await child.stopped()
        self._engines.clear()
        self._unbegun.clear()
        claims, self._claims = [claim for claim, _ in self._claims.values()], {}
        return await self._give_back(claims)

    async def _give_back(self, claims: Sequence[Claim]) -> int:
        """The engines have stopped: nothing of ours writes any more."""
        if not claims:
            return 0
        try:
            return len(await self._runs.release(claims))
        except StorageError as error:
            logger.warning("runs were not given back, their leases must end: %s", error)
            return 0

    async def _claims_in_flight(self) -> list[Claim]:
        if self._claiming is None:
            return []
        try:
            return await self._claiming
        except Exception:  # noqa: BLE001 - nothing was claimed, or nobody knows of it
            return []

    @property
    def _heartbeat_s(self) -> float:
        return self._settings.lease_s / HEARTBEATS_PER_LEASE

    async def _poll(self) -> None:
        if not self._poll_due:
            self.tell_later(self._settings.poll_interval_s, _Poll())
        self._poll_due = False
        await self._cancel_marked()
        await self._claim()

    async def _cancel_marked(self) -> None:
        unmarked = self._claims.keys() - self._cancelling
        if not unmarked:
            return
        try:
            marked = await self._runs.marked(unmarked)
        except StorageError as error:
            logger.warning("whether runs are to be stopped is not known: %s", error)
            return
        except Exception:
            logger.exception("whether runs are to be stopped is not known")
            return
        for run_id in marked:
            self._cancelling.add(run_id)
            if run_id in self._unbegun:
                self._end_unbegun(run_id, None)
            else:
                self._tell_engine(run_id, Cancel(run_id))

    async def _claim(self) -> None:
        free = self._settings.runs_per_worker - len(self._claims)
        if self._draining or free <= 0:
            return
        claims: list[Claim] = []
        # A worker that is stopped meanwhile waits for it, so as to give back what it has got.
        self._claiming = asyncio.ensure_future(
            self._runs.claim(self._name, quantity=free, lease_s=self._settings.lease_s)
        )
        try:
            claims = await asyncio.shield(self._claiming)
            runs = await self._runs.load([claim.run_id for claim in claims]) if claims else {}
        except Exception as error:
            if isinstance(error, StorageError):
                # Said once: a database that is away may be so for hours of polls.
                if not self._cannot_claim:
                    self._cannot_claim = True
                    logger.warning("no work can be claimed: %s", error)
            else:
                # A server in a state that nobody foresaw (read-only after a failover, say): without
                # its worker a node would be none, so it looks again.
                logger.exception("no work can be claimed")
            await self._give_back(claims)
            self._claiming = None
            return
        self._claiming = None
        if self._cannot_claim:
            self._cannot_claim = False
            logger.warning("work can be claimed again")
        for claim in claims:
            run = runs.get(claim.run_id)
            if run is not None:
                self._execute(run, claim)
        if claims and len(claims) == free:
            self.ref.tell(WorkAvailable())

    def _execute(self, run: Run, claim: Claim) -> None:
        # Before the run is noted: what a dead engine had is held no longer.
        self._living_engine(run.user_id)
        self._claims[run.run_id] = (claim, run.user_id)
        # What an older attempt was told, this one was not; a mark that is there already is loaded
        # with the run.
        self._cancelling.discard(run.run_id)
        unbegun = _Unbegun(run, claim)
        if claim.lost < self._settings.max_attempts:
            self._begin(unbegun)
            return
        self._unbegun[run.run_id] = unbegun
        tried = None if run.cancel_requested else RuntimeError("the run was tried too often")
        self._end_unbegun(run.run_id, tried)

    def _begin(self, unbegun: _Unbegun) -> None:
        run = unbegun.run
        try:
            engine = self._engine_of(run.user_id)
        except Exception as error:  # noqa: BLE001 - noted, and in the run's report at last
            unbegun.failures += 1
            self._unbegun[run.run_id] = unbegun
            pause_s = self._factory.making.failed("engines", error, failures=unbegun.failures)
            if run.cancel_requested:
                self._end_unbegun(run.run_id, None)
            elif pause_s is None:
                self._end_unbegun(run.run_id, error)
            else:
                self.tell_later(pause_s, _TryAgain(run.run_id, unbegun.claim.fence_id))
            return
        self._unbegun.pop(run.run_id, None)
        engine.runs.add(run.run_id)
        engine.ref.tell(Execute(run, unbegun.claim))

    def _engine_of(self, user_id: int) -> _Engine:
        engine = self._living_engine(user_id)
        if engine is None:
            ref = self._factory.start_engine(self, user_id)
            self._factory.making.worked("engines")
            engine = self._engines[user_id] = _Engine(ref)
        return engine

    def _living_engine(self, user_id: int) -> _Engine | None:
        engine = self._engines.get(user_id)
        if engine is not None and _is_dead(engine):
            # Its ChildFailed is still behind us in the mailbox.
            self._forget(user_id)
            return None
        return engine

    def _try_again(self, run_id: UUID, fence_id: UUID) -> None:
        unbegun = self._unbegun.get(run_id)
        if unbegun is not None and unbegun.claim.fence_id == fence_id:
            self._begin(unbegun)

    def _end_unbegun(self, run_id: UUID, error: Exception | None) -> None:
        unbegun = self._unbegun.pop(run_id)
        try:
            self._factory.start_ender(self, unbegun.run, unbegun.claim, error)
        except Exception:
            # Its lease is kept no longer: it is claimed again, here or by a worker that fares better.
            logger.exception("run %s could not be ended", run_id)
            del self._claims[run_id]

    def _run_ended(self, user_id: int, run_id: UUID, fence_id: UUID | None) -> None:
        held = self._claims.get(run_id)
        if held is None or fence_id not in {None, held[0].fence_id}:
            return  # an older attempt has ended, and a new one is under way
        del self._claims[run_id]
        self._cancelling.discard(run_id)
        engine = self._engines.get(user_id)
        if engine is None:
            return
        engine.runs.discard(run_id)
        if not engine.runs:
            del self._engines[user_id]
            engine.ref.kill()

    def _engine_failed(self, child: ActorRef[Any]) -> None:
        for user_id, engine in list(self._engines.items()):
            if engine.ref is child:
                self._forget(user_id)

    def _forget(self, user_id: int) -> None:
        """An engine is dead: its leases are kept no longer, so that its runs are claimed again."""
        for run_id in self._engines.pop(user_id).runs:
            self._claims.pop(run_id, None)
            self._cancelling.discard(run_id)

    def _tell_engine(self, run_id: UUID, message: Cancel | Abandon) -> None:
        held = self._claims.get(run_id)
        engine = None if held is None else self._engines.get(held[1])
        if engine is not None and not _is_dead(engine):
            engine.ref.tell(message)

    async def _extend(self) -> None:
        self.tell_later(self._heartbeat_s, _ExtendLeases())
        for user_id in [user for user, engine in self._engines.items() if _is_dead(engine)]:
            self._forget(user_id)
        if not self._claims:
            return
        fences = {claim.fence_id: run_id for run_id, (claim, _) in self._claims.items()}
        try:
            held = await self._runs.extend(fences, lease_s=self._settings.lease_s)
        except StorageError as error:
            logger.warning("leases were not extended: %s", error)
            return
        except Exception:
            logger.exception("leases were not extended")
            return
        for fence_id, run_id in fences.items():
            if fence_id in held:
                continue
            if self._unbegun.pop(run_id, None) is not None:
                del self._claims[run_id]
            else:
                self._tell_engine(run_id, Abandon(run_id))


def _is_dead(engine: _Engine) -> bool:
    return not engine.ref.is_alive()
