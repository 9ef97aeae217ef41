"""Chaos: what it does to the system, what it finds, and that the promises hold."""

import asyncio
import contextlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from apex_actors.protocol import Event, EventType, MessageAccepted
from apex_actors.protocol.payloads import AgentName

SCRIPTS = Path(__file__).parents[2] / "scripts"
MUTANTS = [
    "no-fence",
    "split-transaction",
    "sequence-cursor",
    "send-before-commit",
    "no-idempotency",
]
FIELDS = {
    "seed",
    "seconds",
    "process_faults",
    "other_faults",
    "faults_by_kind",
    "acknowledged",
    "events",
    "reconnects",
    "recovered_true",
    "takeovers",
    "takeover_s",
    "postgres_back_s",
    "violations",
}


def seeded(seed):
    return Random(seed)  # noqa: S311 - repeatable, not secret


def promises(report):
    return {found["promise"] for found in report["violations"]}


# -- the script --------------------------------------------------------------------------------


def test_a_few_seconds_of_chaos_break_no_promise(chaos):
    code, report = chaos("--seconds", "8", "--seed", "1", "--users", "12")

    assert (report["violations"], report["errors"], code) == ([], [], 0)
    assert report.keys() >= FIELDS
    assert report["process_faults"] >= 4
    assert report["acknowledged"] >= 20
    assert report["recovered_true"] >= 1
    assert report["takeovers"] >= 1
    assert report["effects"] >= 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_minute_of_chaos_breaks_no_promise(chaos, seed):
    code, report = chaos("--seconds", "60", "--seed", str(seed))

    assert (report["violations"], report["errors"], code) == ([], [], 0)
    assert report["process_faults"] >= 40
    kinds = report["faults_by_kind"].keys() - report["skipped"].keys()
    assert {kind: n for kind in kinds if (n := report["faults_by_kind"][kind]) < 3} == {}
    assert report["acknowledged"] >= 300
    assert report["takeovers"] >= 20
    assert report["recovered_true"] >= 50


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_caught_by_a_promise_that_it_breaks(chaos, chaos_part, mutant):
    caught = 0
    for seed in range(1, 6):
        _, report = chaos("--seconds", "60", "--seed", str(seed), "--mutant", mutant)
        caught += bool(promises(report) & chaos_part("mutants").MUTANTS[mutant].breaks)

    assert caught >= 4


def test_every_mutant_finds_the_text_that_it_changes():
    # Each in a process of its own: it stays what it has become.
    code = """
import os
from chaos_parts.mutants import MUTANTS
for name, mutant in MUTANTS.items():
    child = os.fork()
    if not child:
        mutant.apply()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(name, status)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
    )

    assert ran.stdout.splitlines() == [f"{name} 0" for name in MUTANTS], ran.stderr


def test_a_mutant_of_a_text_that_has_changed_fails(chaos_part):
    mutants = chaos_part("mutants")

    with pytest.raises(mutants.StaleMutantError):
        mutants.replace_once("a b a", "a", "c")
    with pytest.raises(mutants.StaleMutantError):
        mutants.replace_once("a b", "d", "c")


# -- the plan ----------------------------------------------------------------------------------


def test_a_minute_has_every_kind_three_times_and_forty_faults_of_processes(chaos_part):
    faults = chaos_part("faults")

    kinds = [fault.kind for fault in faults.plan(60, seeded(1))]

    every = {**faults.PROCESS_FAULTS, **faults.OTHER_FAULTS}
    assert {kind for kind in every if kinds.count(kind) < 3} == set()
    assert sum(kind in faults.PROCESS_FAULTS for kind in kinds) >= 40


def test_every_kind_can_be_done(chaos_part):
    faults = chaos_part("faults")

    every = {**faults.PROCESS_FAULTS, **faults.OTHER_FAULTS}
    assert [kind for kind in every if not hasattr(faults.Hand, f"_{kind}")] == []


def test_a_plan_is_its_seeds(chaos_part):
    plan = chaos_part("faults").plan

    assert plan(20, seeded(1)) == plan(20, seeded(1)) != plan(20, seeded(2))


def test_faults_come_in_order_and_leave_time_before_and_behind(chaos_part):
    moments = [fault.at_s for fault in chaos_part("faults").plan(20, seeded(1))]

    assert moments == sorted(moments)
    assert moments[0] >= 1.5
    assert moments[-1] <= 19


# -- a line ------------------------------------------------------------------------------------


@pytest.fixture
async def echo():
    """A server that says what it hears; gives its port."""

    async def serve(reader, writer):
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.fixture
async def line(chaos_part, echo):
    lines = chaos_part("lines")
    line = lines.Line(lambda: lines.Address("127.0.0.1", echo))
    await line.up()
    yield line
    await line.down()


async def say(stream, text):
    reader, writer = stream
    writer.write(text)
    async with asyncio.timeout(5):
        return await reader.read(100)


async def test_a_line_carries_both_ways(line):
    stream = await asyncio.open_connection("127.0.0.1", line.port)

    assert await say(stream, b"hello") == b"hello"
    stream[1].close()


async def test_a_cut_connection_is_reset_and_a_new_one_is_carried(line, eventually):
    cut = await asyncio.open_connection("127.0.0.1", line.port)
    assert await say(cut, b"hello") == b"hello"

    assert line.cut(5) == 1
    with contextlib.suppress(ConnectionResetError):
        assert await say(cut, b"again") == b""
    await eventually(lambda: line.connections == 0)

    stream = await asyncio.open_connection("127.0.0.1", line.port)
    assert await say(stream, b"hello") == b"hello"
    stream[1].close()
    cut[1].close()


async def test_a_line_that_is_down_refuses_and_comes_back_on_its_port(line):
    port = line.port
    await line.down()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)

    await line.up()

    stream = await asyncio.open_connection("127.0.0.1", port)
    assert await say(stream, b"hello") == b"hello"
    stream[1].close()


@pytest.mark.parametrize("direction", ["to server", "to client"])
async def test_a_half_open_connection_is_silent_until_it_is_reset(chaos_part, line, direction):
    reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
    assert await say((reader, writer), b"hello") == b"hello"

    assert line.half_open(1, chaos_part("lines").Direction(direction), for_s=0.2) == 1
    writer.write(b"is anybody there?")

    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read(100) == b""
    writer.close()


# -- the judge ---------------------------------------------------------------------------------


class Case:
    """One user with one message whose run was cancelled while it waited: all is well."""

    def __init__(self, chaos_part):
        self.verdict = chaos_part("verdict")
        record = chaos_part("record")
        self.effects = chaos_part("effects").EffectLedger()
        self.record = record.Record()
        self.diary = record.Diary("org", "user", mark="mark" + 16 * "0", start_seq=0)
        self.record.diaries.append(self.diary)
        self.message_id, self.run_id, self.thread_id = uuid4(), uuid4(), uuid4()
        text = f"of {self.diary.mark}"
        sent = record.Sent("first", text, 0.0)
        sent.answer = MessageAccepted(
            client_message_id="first",
            message_id=self.message_id,
            thread_id=self.thread_id,
            run_id=self.run_id,
            queue_position=1,
            duplicate=False,
        )
        self.diary.sent.append(sent)
        self.log = self.verdict.UserLog("org/user", {"seq": 2, "trimmed_seq": 0})
        moment = datetime(2026, 11, 22, tzinfo=UTC)
        message = {
            "id": str(self.message_id),
            "role": "user",
            "content": text,
            "created_at": "2026-11-22T00:00:00.000Z",
        }
        self.log.events += [
            self.event(1, EventType.MESSAGE_CREATED, {"message": message}),
            self.event(2, EventType.RUN_FINISHED, {"status": "cancelled", "partial": False}),
        ]
        self.row = {
            "id": self.run_id,
            "thread_id": self.thread_id,
            "status": "cancelled",
            "partial": False,
            "priority": 1,
            "accept_no": 1,
            "started_at": None,
            "finished_at": moment,
        }
        self.log.runs[self.run_id] = self.row
        self.log.messages.append(
            {
                "id": self.message_id,
                "run_id": self.run_id,
                "role": "user",
                "content": text,
                "client_message_id": "first",
            }
        )
        self.steps = []

    def event(self, seq, kind, payload, *, run_id=None, agent=None):
        return Event(
            type=kind,
            seq=seq,
            event_id=uuid4(),
            ts=datetime(2026, 11, 22, tzinfo=UTC),
            thread_id=self.thread_id,
            run_id=run_id or self.run_id,
            agent=agent,
            attempt=0 if agent is None else 1,
            payload=payload,
        )

    def run(self, *, accepted, started, ended, priority, accept_no):
        """One more of the thread, with the positions of its events; None: there was none."""
        run_id = uuid4()
        self.log.runs[run_id] = {
            **self.row,
            "id": run_id,
            "priority": priority,
            "accept_no": accept_no,
        }
        finished = {"status": "cancelled", "partial": False}
        begun = {"status": "running", "message": "", "step": 0, "total_steps": 3, "try": 1}
        self.log.events += [
            self.event(seq, kind, payload, run_id=run_id, agent=agent)
            for seq, kind, payload, agent in (
                (accepted, EventType.RUN_QUEUED, {"position": 1}, None),
                (started, EventType.AGENT_STARTED, begun, AgentName.SUPERVISOR),
                (ended, EventType.RUN_FINISHED, finished, None),
            )
            if seq is not None
        ]
        self.log.events.sort(key=lambda event: event.seq)
        return run_id

    def receive_all(self):
        self.diary.events = [event.to_wire() for event in self.log.events]

    def promises(self):
        stored = self.verdict.Stored({"org/user": self.log}, self.steps, frozenset(), [])
        judge = self.verdict.Judge(self.record, stored, self.effects)
        return {violation.promise for violation in judge.judge()}


@pytest.fixture
def case(chaos_part):
    case = Case(chaos_part)
    case.receive_all()
    return case


def test_where_all_is_well_nothing_is_found(case):
    assert case.promises() == set()


def test_an_acknowledged_message_that_is_lost_is_found(case):
    case.log.messages.clear()

    assert 1 in case.promises()


def test_a_message_that_nobody_sent_is_found(case):
    case.diary.sent.clear()

    assert case.promises() == {1}


def test_a_run_whose_row_says_another_end_is_found(case):
    case.row["status"] = "failed"

    assert case.promises() == {2}


def test_a_gap_in_the_log_is_found(case):
    case.log.row["seq"] = 3
    case.log.events[1] = case.event(3, EventType.RUN_FINISHED, case.log.events[1].payload)
    case.receive_all()

    assert case.promises() == {3}


def test_an_event_that_was_not_received_is_found(case):
    case.diary.events.pop()

    assert case.promises() == {4}


def test_an_event_that_is_not_in_the_log_is_found(case):
    case.diary.events.append(case.event(3, EventType.RUN_FINISHED, {}).to_wire())

    assert case.promises() == {4}


def test_a_step_that_was_not_told_of_is_found(case):
    case.steps.append({"run_id": case.run_id, "agent": "data", "step": 1, "status": "degraded"})

    assert case.promises() == {6}


def test_a_text_of_somebody_else_is_found(case):
    case.log.messages[0]["content"] = "of mark" + 16 * "1"

    assert 8 in case.promises()


def test_a_run_that_overtakes_an_earlier_one_is_found(case):
    case.run(accepted=3, started=4, ended=6, priority=1, accept_no=3)
    case.run(accepted=2, started=7, ended=8, priority=1, accept_no=2)

    assert 5 in case.promises()


def test_a_run_that_goes_before_others_by_its_priority_is_none(case):
    case.run(accepted=3, started=4, ended=6, priority=0, accept_no=3)
    case.run(accepted=2, started=7, ended=8, priority=1, accept_no=2)

    assert 5 not in case.promises()


def test_a_run_tried_again_in_an_idle_thread_may_begin_before_what_came_later(case):
    run_id = case.run(accepted=None, started=4, ended=6, priority=1, accept_no=2)
    answer = {"message": {"id": str(uuid4()), "role": "assistant", "content": ""}}
    case.log.events.insert(4, case.event(5, EventType.MESSAGE_CREATED, answer, run_id=run_id))
    case.run(accepted=3, started=7, ended=8, priority=0, accept_no=3)

    assert 5 not in case.promises()


def test_an_effect_that_happened_twice_is_found(case):
    for key in ("one", "two"):
        case.effects.take(key=key, what=f"{case.run_id}/1/1", user="org/user")

    assert case.promises() == {9}


def test_an_effect_that_happened_once_for_two_requests_is_none(case):
    for _ in range(2):
        case.effects.take(key="one", what=f"{case.run_id}/1/1", user="org/user")

    assert case.promises() == set()


def test_an_effect_that_did_not_happen_is_found(case):
    case.steps.append({"run_id": case.run_id, "agent": "data", "step": 1, "status": "ok"})

    assert 9 in case.promises()


def test_a_run_that_does_not_end_is_found(case):
    case.row["finished_at"] = None

    assert 10 in case.promises()
