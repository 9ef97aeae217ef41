"""The eleven promises, held against the database, the users' diaries and the world outside."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from apex_actors.protocol import Event, LogCheck, Violation
from apex_actors.protocol.payloads import SUB_AGENTS, AgentName, EventType
from apex_actors.storage.event_log import event_from_row
from chaos_parts.effects import EffectLedger
from chaos_parts.node import EXECUTION
from chaos_parts.pipeline import CALLS
from chaos_parts.record import Diary, Kill, Record

Row = dict[str, Any]

MARK: Final = re.compile(r"mark[0-9a-f]{16}")

RUN: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

END_SLACK_S: Final = 5.0
"""Beside the bound of promise 10: two claims, and a machine that does other things too."""

DETAILS_OF_ONE_KIND: Final = 20
"""More of a promise are only counted."""


@dataclass(slots=True)
class UserLog:
    """What the database has of one user."""

    user: str
    row: Row
    events: list[Event] = field(default_factory=list)
    runs: dict[UUID, Row] = field(default_factory=dict)
    messages: list[Row] = field(default_factory=list)


class Stored(NamedTuple):
    """What the database has."""

    users: dict[str, UserLog]
    steps: list[Row]
    results: frozenset[UUID]
    claims: list[Row]


def read(database_url: str) -> Stored:
    """Read all of it."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("set time zone 'UTC'")
        users = {
            row["id"]: UserLog(f"{row['org']}/{row['sub']}", row)
            for row in connection.execute("select * from apex.users")
        }
        for row in connection.execute("select * from apex.events order by user_id, seq"):
            users[row["user_id"]].events.append(event_from_row(row))
        for row in connection.execute("select * from apex.runs order by accept_no"):
            users[row["user_id"]].runs[row["id"]] = row
        for row in connection.execute("select * from apex.messages"):
            users[row["user_id"]].messages.append(row)
        steps = connection.execute("select * from apex.step_results").fetchall()
        results = connection.execute("select run_id from apex.results").fetchall()
        claims = connection.execute(
            "select r.claimed_by, r.started_at, r.state, (t.params ->> 'run_id')::uuid as run_id"
            " from absurd.r_runs r join absurd.t_runs t on t.task_id = r.task_id"
            " order by r.started_at"
        ).fetchall()
    return Stored(
        {log.user: log for log in users.values()},
        steps,
        frozenset(row["run_id"] for row in results),
        claims,
    )


class Judge:
    """Collects what breaks the promises."""

    def __init__(self, record: Record, stored: Stored, effects: EffectLedger) -> None:
        self._record = record
        self._stored = stored
        self._effects = effects
        self.violations: list[Violation] = []

    def judge(self) -> list[Violation]:
        """All violations, those of one promise together."""
        for diary in self._record.diaries:
            self.violations += diary.violations
            log = self._stored.users.get(diary.user)
            if log is None:
                if diary.sent:
                    self._break(1, f"{diary.user} is not in the database")
                continue
            self._judge_messages(diary, log)
            self._judge_log(diary, log)
            self._judge_delivery(diary, log)
            self._judge_ends(log)
            self._judge_order(log)
            self._judge_marks(diary, log)
        self._judge_steps()
        self._judge_effects()
        return sorted(self.violations, key=lambda violation: violation.promise)

    def _break(self, promise: int, detail: str) -> None:
        self.violations.append(Violation(promise, detail))

    def _judge_messages(self, diary: Diary, log: UserLog) -> None:
        sent = {sent.client_message_id: sent for sent in diary.sent}
        rows = {row["id"]: row for row in log.messages if row["role"] == "user"}
        told = Counter(_messages_of_user(log.events))
        for row in rows.values():
            known = sent.get(row["client_message_id"])
            if known is None or known.text != row["content"]:
                self._break(1, f"{log.user}: message {row['id']} was never sent")
        for message_id in told.keys() - rows.keys():
            self._break(1, f"{log.user}: message {message_id} is in the log and nowhere else")
        for known in diary.sent:
            if known.answer is None:
                continue
            stored = rows.get(known.answer.message_id)
            if stored is None or stored["run_id"] != known.answer.run_id:
                self._break(1, f"{log.user}: acknowledged {known.answer.message_id} is not stored")
            if told[known.answer.message_id] != 1:
                times = told[known.answer.message_id]
                self._break(
                    1,
                    f"{log.user}: acknowledged {known.answer.message_id} is in the log {times} times",
                )
        for answer in diary.retried:
            if answer.run_id not in log.runs:
                self._break(1, f"{log.user}: retried run {answer.run_id} is not stored")

    def _judge_log(self, diary: Diary, log: UserLog) -> None:
        """Promises 2, 3, 5, 6, 7 by the log itself, from its first event."""
        check = LogCheck(log.row["trimmed_seq"])
        for sent in diary.sent:
            if sent.answer is not None:
                check.accepted(sent.answer.message_id, sent.answer.run_id)
        for answer in diary.retried:
            check.accepted(answer.message_id, answer.run_id, retried=True)
        for event in log.events:
            check.feed(event)
        for found in check.close():
            self._break(found.promise, f"{log.user}: {found.detail}")
        if check.seq != log.row["seq"]:
            self._break(3, f"{log.user}: seq is {log.row['seq']}, the log ends at {check.seq}")

    def _judge_delivery(self, diary: Diary, log: UserLog) -> None:
        if diary.start_seq is None:
            return
        expected = [
            json.loads(event.encode()) for event in log.events if event.seq > diary.start_seq
        ]
        if diary.events == expected:
            return
        for number, (received, stored) in enumerate(zip(diary.events, expected, strict=False)):
            if received != stored:
                self._break(
                    4,
                    f"{log.user}: event {number} was received as {_name(received)}, "
                    f"the log has {_name(stored)}",
                )
                return
        self._break(
            4, f"{log.user}: received {len(diary.events)} events, the log has {len(expected)}"
        )

    def _judge_ends(self, log: UserLog) -> None:
        ends: dict[UUID, list[Event]] = defaultdict(list)
        for event in log.events:
            if event.type is EventType.RUN_FINISHED and event.run_id is not None:
                ends[event.run_id].append(event)
        bound_s = EXECUTION.lease_s * EXECUTION.max_attempts + EXECUTION.run_limit_s + END_SLACK_S
        for run_id, row in log.runs.items():
            if row["finished_at"] is None:
                self._break(10, f"{log.user}: run {run_id} is {row['status']} and does not end")
                continue
            if row["started_at"] is not None:
                began_s = max(row["started_at"].timestamp(), self._record.calm_s)
                took_s = row["finished_at"].timestamp() - began_s
                if took_s > bound_s:
                    self._break(10, f"{log.user}: run {run_id} ended after {took_s:.1f} s")
            said = ends.pop(run_id, [])
            if len(said) != 1:
                self._break(2, f"{log.user}: run {run_id} has {len(said)} run_finished")
                continue
            payload = said[0].payload
            stands = (row["status"], row["partial"])
            if (payload["status"], payload["partial"]) != stands:
                self._break(2, f"{log.user}: run {run_id} is {stands}, said {payload['status']}")
            answered = any(
                event.run_id == run_id and event.type is EventType.FINAL_RESPONSE
                for event in log.events
            )
            if answered != (run_id in self._stored.results):
                self._break(2, f"{log.user}: run {run_id} has an answer or its result, not both")
        for run_id in ends:
            self._break(2, f"{log.user}: run {run_id} has ended and is not stored")

    def _judge_order(self, log: UserLog) -> None:
        """The second half of promise 5, and the user's cap."""
        seen: dict[UUID, int] = {}
        accepted: dict[UUID, int] = {}
        started: dict[UUID, int] = {}
        ended: dict[UUID, int] = {}
        working: set[UUID] = set()
        for event in log.events:
            run_id = event.run_id
            if run_id is None:
                continue
            seen.setdefault(run_id, event.seq)
            if event.type is EventType.RUN_QUEUED or _is_users_message(event):
                accepted.setdefault(run_id, event.seq)
            elif event.type is EventType.AGENT_STARTED and event.agent is AgentName.SUPERVISOR:
                started.setdefault(run_id, event.seq)
                working.add(run_id)
                if len(working) > EXECUTION.runs_per_user:
                    self._break(5, f"{log.user}: {len(working)} runs at once at {event.seq}")
            elif event.type is EventType.RUN_FINISHED:
                ended.setdefault(run_id, event.seq)
                working.discard(run_id)
        threads: dict[UUID, list[Row]] = defaultdict(list)
        for run_id, row in log.runs.items():
            if run_id in seen:
                threads[row["thread_id"]].append(row)
        for rows in threads.values():
            begun = sorted((row for row in rows if row["id"] in started), key=_at(started))
            before = 0
            for row in begun:
                # Chosen when the one before it had ended, or when it came to an idle thread; of a
                # run that is tried again there, nothing tells when that was.
                chosen = max(before, accepted.get(row["id"], 0))
                before = ended.get(row["id"], before)
                for other in rows:
                    passed = (
                        other["id"] != row["id"]
                        and seen[other["id"]] < chosen
                        and started.get(other["id"], math.inf) > started[row["id"]]
                        and ended.get(other["id"], math.inf) > started[row["id"]]
                    )
                    if passed and _rank(other) < _rank(row):
                        self._break(5, f"{log.user}: run {row['id']} started before {other['id']}")

    def _judge_marks(self, diary: Diary, log: UserLog) -> None:
        for where, frames in (
            ("received", map(json.dumps, diary.events)),
            ("log", (json.dumps(event.payload, default=str) for event in log.events)),
            ("messages", (row["content"] for row in log.messages)),
        ):
            found = {mark for frame in frames for mark in MARK.findall(frame)} - {diary.mark}
            if found:
                self._break(8, f"{log.user}: {where} with texts of {len(found)} others")
        for event in diary.events:
            row = None if event["run_id"] is None else log.runs.get(UUID(event["run_id"]))
            if event["run_id"] is not None and row is None:
                self._break(8, f"{log.user}: received an event of run {event['run_id']}")

    def _judge_steps(self) -> None:
        """What is stored of a step and what was said of it are one."""
        said: Counter[tuple[UUID, str]] = Counter()
        for log in self._stored.users.values():
            for event in log.events:
                if (
                    event.type is EventType.AGENT_COMPLETED
                    and event.agent in SUB_AGENTS
                    and event.run_id is not None
                    and event.payload["status"] != "failed"
                ):
                    said[event.run_id, str(event.agent)] += 1
        stored = Counter(
            (row["run_id"], row["agent"]) for row in self._stored.steps if row["status"] != "failed"
        )
        for key in said.keys() | stored.keys():
            if (said[key], stored[key]) != (1, 1):
                self._break(
                    6,
                    f"run {key[0]}: the result of {key[1]} is stored {stored[key]} times "
                    f"and was told {said[key]} times",
                )

    def _judge_effects(self) -> None:
        for what, times in self._effects.happened.items():
            if times > 1:
                self._break(9, f"effect {what} happened {times} times")
        owners = {
            str(run_id): log.user for log in self._stored.users.values() for run_id in log.runs
        }
        for what, users in self._effects.askers.items():
            owner = owners.get(what.partition("/")[0])
            if users != {owner}:
                self._break(8, f"effect {what} was asked for as {len(users)} users")
        for row in self._stored.steps:
            if row["status"] != "ok":
                continue
            for number in range(1, CALLS[AgentName(row["agent"])] + 1):
                what = f"{row['run_id']}/{row['step']}/{number}"
                if what not in self._effects.happened:
                    self._break(9, f"effect {what} did not happen, and its step is ok")


def takeovers(stored: Stored) -> int:
    """Attempts at runs after the first."""
    return sum(
        event.type is EventType.RUN_RESUMED for log in stored.users.values() for event in log.events
    )


def takeover_times(stored: Stored, kills: Sequence[Kill]) -> list[float]:
    """Seconds from the kill of a run's owner to the first event of its next attempt."""
    resumed: dict[UUID, list[float]] = defaultdict(list)
    for log in stored.users.values():
        for event in log.events:
            if event.type is EventType.RUN_RESUMED and event.run_id is not None:
                resumed[event.run_id].append(event.ts.timestamp())
    claims: dict[str, list[Row]] = defaultdict(list)
    for row in stored.claims:
        if row["claimed_by"] is not None and row["state"] == "failed":
            claims[row["claimed_by"]].append(row)
    times = []
    for kill in kills:
        if kill.node is None:
            continue
        for row in claims[kill.node]:
            later = [at_s for at_s in resumed[row["run_id"]] if at_s > kill.at_s]
            if later:
                times.append(min(later) - kill.at_s)
    return times


def return_times(record: Record, stored: Stored) -> list[float]:
    """Seconds from each kill of PostgreSQL to the next message that came after and was told."""
    created = {
        row["id"]: row["created_at"].timestamp()
        for log in stored.users.values()
        for row in log.messages
    }
    answers = [
        (created.get(sent.answer.message_id, 0.0), sent.answered_s)
        for sent in record.acknowledged()
        if sent.answer is not None and sent.answered_s is not None
    ]
    times = []
    for kill in record.kills:
        if kill.node is None:
            later = [answered_s for created_s, answered_s in answers if created_s > kill.at_s]
            if later:
                times.append(min(later) - kill.at_s)
    return times


def shortened(violations: Iterable[Violation]) -> list[dict[str, Any]]:
    """For the report: the first of each promise, and how many more there are."""
    kept: list[dict[str, Any]] = []
    counts: Counter[int] = Counter()
    for violation in violations:
        counts[violation.promise] += 1
        if counts[violation.promise] <= DETAILS_OF_ONE_KIND:
            kept.append({"promise": violation.promise, "detail": violation.detail})
    for promise, count in counts.items():
        if count > DETAILS_OF_ONE_KIND:
            kept.append(
                {"promise": promise, "detail": f"and {count - DETAILS_OF_ONE_KIND} more like these"}
            )
    return kept


def write_evidence(path: Path, stored: Stored, violations: Iterable[Violation]) -> None:
    """The events of all runs that the violations name, for whoever looks for the cause."""
    named = {run_id for found in violations for run_id in RUN.findall(found.detail)}
    with path.open("w", encoding="utf-8") as file:
        for log in stored.users.values():
            for event in log.events:
                if str(event.run_id) in named:
                    file.write(f"{log.user} {event.encode().decode()}\n")


def _is_users_message(event: Event) -> bool:
    return event.type is EventType.MESSAGE_CREATED and event.payload["message"]["role"] == "user"


def _messages_of_user(events: Iterable[Event]) -> Iterable[UUID]:
    for event in events:
        if _is_users_message(event):
            yield UUID(event.payload["message"]["id"])


def _at(places: dict[UUID, int]) -> Any:
    return lambda row: places[row["id"]]


def _rank(row: Row) -> tuple[int, int]:
    return row["priority"], row["accept_no"]


def _name(frame: dict[str, Any]) -> str:
    return f"{frame['type']} {frame['seq']} of run {frame['run_id']}"
