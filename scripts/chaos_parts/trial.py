"""One trial: everything is started, used, broken, left in peace, and judged."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from secrets import token_hex
from typing import Any, Final

import psycopg
from load_simulation import percentiles

from apex_actors.server.node import Part
from apex_actors.storage.migrate import migrate
from chaos_parts import verdict
from chaos_parts.effects import EffectLedger
from chaos_parts.faults import OTHER_FAULTS, PROCESS_FAULTS, Hand, plan
from chaos_parts.fleet import Fleet
from chaos_parts.lines import HOST, Line
from chaos_parts.mutants import MUTANTS
from chaos_parts.node import EXECUTION, Orders
from chaos_parts.record import Record
from chaos_parts.servers import Servers, limited_folder
from chaos_parts.users import User

logger = logging.getLogger(__name__)

PARTS: Final = (Part.ALL, Part.GATEWAY, Part.ALL, Part.WORKER)

FREEZE_S: Final = EXECUTION.lease_s + 1.0

ANSWER_TIMEOUT_S: Final = 30.0
"""How long after the faults a request may stay unanswered."""

END_TIMEOUT_S: Final = 2 * (EXECUTION.lease_s * EXECUTION.max_attempts + EXECUTION.run_limit_s)
"""How long after the faults the last run may take; each has its own bound."""

END_TIMEOUT_OF_MUTANT_S: Final = 10.0
"""What is broken on purpose may never end, and need not be waited for."""

CATCH_UP_TIMEOUT_S: Final = 15.0
"""How long after the last run a client may take to have all of it."""

LOOK_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is asked for."""

    seconds: float
    seed: int
    users: int
    mutant: str | None
    keep: Path | None
    """Where the logs of the processes stay; None: nowhere."""

    async def run(self) -> dict[str, Any]:
        """Returns the report."""
        record, effects = Record(), EffectLedger()
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(working_folder())
            data, logs = folder / "servers", self.keep or folder / "logs"
            logs.mkdir(parents=True, exist_ok=True)
            reason = stack.enter_context(limited_folder(data))
            if reason is not None:
                record.skipped["full_disk"] = reason
            servers = Servers(data)
            stack.push_async_callback(servers.stop)
            await servers.start()
            await self._prepare_database(servers)
            await effects.start()
            stack.push_async_callback(effects.stop)
            secret = token_hex(32)
            fleet = Fleet(
                list(PARTS),
                orders=lambda: Orders(
                    part=Part.ALL,
                    database_url=servers.database_url,
                    redis_url=servers.redis_url,
                    secret=secret,
                    data_dir=folder / "node",
                    log_path=logs,
                    effects_port=effects.port,
                    mutant=self.mutant,
                    seed=str(self.seed),
                    freeze_s=FREEZE_S,
                ),
            )
            stack.push_async_callback(fleet.stop)
            await fleet.start()
            balancing = self._random("balancing")
            front = Line(lambda: fleet.gateway(balancing))
            await front.up()
            stack.push_async_callback(front.down)
            await self._use_and_break(record, fleet, servers, front, secret)
            # Whoever is told to end now writes nothing that is judged: all of it has ended.
            await front.down()
            await fleet.stop()
            stored = await asyncio.to_thread(verdict.read, servers.direct_database_url)
        record.errors += fleet.unexpected
        if not effects.happened:
            record.errors.append("nothing happened in the world outside: no tool has worked")
        return self._report(record, stored, effects)

    async def _use_and_break(
        self, record: Record, fleet: Fleet, servers: Servers, front: Line, secret: str
    ) -> None:
        users = [
            User(
                number,
                url=f"http://{HOST}:{front.port}",
                secret=secret,
                random=self._random(f"user {number}"),
                record=record,
            )
            for number in range(self.users)
        ]
        stop = asyncio.Event()
        living = [asyncio.create_task(user.live(stop, users)) for user in users]
        hand = Hand(
            fleet=fleet,
            servers=servers,
            clients=front,
            random=self._random("hand"),
            record=record,
        )
        ends_s = time.monotonic() + self.seconds
        await hand.carry_out(plan(self.seconds, self._random("plan")))
        await asyncio.sleep(max(0.0, ends_s - time.monotonic()))
        fleet.calm = True
        record.calm_s = time.time()
        stop.set()
        _, unanswered = await asyncio.wait(living, timeout=ANSWER_TIMEOUT_S)
        for task in unanswered:
            record.errors.append(f"a user waits for an answer {ANSWER_TIMEOUT_S:g} s after all")
            task.cancel()
        await asyncio.wait(living)
        for task in living:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        await self._wait_for_runs(servers)
        await self._wait_for_clients(servers, record)
        for user in users:
            await user.leave()

    async def _prepare_database(self, servers: Servers) -> None:
        await migrate(servers.direct_database_url)
        if self.mutant is not None and MUTANTS[self.mutant].sql:
            async with await psycopg.AsyncConnection.connect(
                servers.direct_database_url
            ) as connection:
                await connection.execute(MUTANTS[self.mutant].sql.encode())

    async def _wait_for_runs(self, servers: Servers) -> None:
        """Until all have ended, or should have: the judge looks at what is left."""
        timeout_s = END_TIMEOUT_S if self.mutant is None else END_TIMEOUT_OF_MUTANT_S
        ends_s = time.monotonic() + timeout_s
        while time.monotonic() < ends_s:
            rows = await _ask(servers, "select count(*) from apex.runs where finished_at is null")
            if rows == [(0,)]:
                return
            await asyncio.sleep(LOOK_S)

    async def _wait_for_clients(self, servers: Servers, record: Record) -> None:
        """Until each has received all of its log, or should have."""
        ends_s = time.monotonic() + CATCH_UP_TIMEOUT_S
        while time.monotonic() < ends_s:
            rows = await _ask(servers, "select org || '/' || sub, seq from apex.users")
            ends = dict(rows)
            if all(diary.seq >= ends.get(diary.user, 0) for diary in record.diaries):
                return
            await asyncio.sleep(LOOK_S)

    def _random(self, use: str) -> Random:
        """One for each use: what one of them draws changes nothing for the others."""
        return Random(f"{self.seed} {use}")  # noqa: S311 - repeatable, not secret

    def _report(
        self, record: Record, stored: verdict.Stored, effects: EffectLedger
    ) -> dict[str, Any]:
        faults = {kind: record.faults[kind] for kind in (*PROCESS_FAULTS, *OTHER_FAULTS)}
        violations = verdict.Judge(record, stored, effects).judge()
        if self.keep is not None:
            verdict.write_evidence(self.keep / "events.jsonl", stored, violations)
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "mutant": self.mutant,
            "users": self.users,
            "process_faults": sum(faults[kind] for kind in PROCESS_FAULTS),
            "other_faults": sum(faults[kind] for kind in OTHER_FAULTS),
            "faults_by_kind": faults,
            "skipped": record.skipped,
            "acknowledged": len(record.acknowledged()),
            "runs": sum(len(log.runs) for log in stored.users.values()),
            "events": sum(len(diary.events) for diary in record.diaries),
            "effects": effects.requests,
            "reconnects": record.reconnects,
            "recovered_true": record.recovered,
            "refused": dict(sorted(record.refused.items())),
            "takeovers": verdict.takeovers(stored),
            "takeover_s": percentiles(verdict.takeover_times(stored, record.kills)),
            "postgres_back_s": percentiles(verdict.return_times(record, stored)),
            "violations": verdict.shortened(violations),
            "errors": record.errors,
        }


@contextmanager
def working_folder() -> Iterator[Path]:
    """A folder with an empty one for the servers in it, removed in the end."""
    with tempfile.TemporaryDirectory(prefix="apex-chaos-") as name:
        folder = Path(name)
        # The servers run as somebody else when we are root, and must find their way.
        folder.chmod(0o755)
        (folder / "servers").mkdir()
        yield folder


async def _ask(servers: Servers, query: str) -> list[Any]:
    with suppress(psycopg.Error):
        async with await psycopg.AsyncConnection.connect(
            servers.direct_database_url, connect_timeout=2
        ) as connection:
            return await (await connection.execute(query.encode())).fetchall()
    return []
