"""The order in which a user's runs start, against a model of it: by priority, then as accepted."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apex_actors.execution import MessageToAccept, Priority
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.log_check import LogCheck
from apex_actors.protocol.messages import IfBusy
from apex_actors.protocol.payloads import RunStatus

CAP = 2  # as the fixture of ``acceptance`` has it
WAITING = 3


@dataclass
class Entry:
    run_id: UUID
    thread: int
    priority: int
    number: int

    @property
    def rank(self):
        return (self.priority, self.number)


@dataclass
class Model:
    """What the user has under way, in plain lists."""

    waiting: list = field(default_factory=list)
    at_work: list = field(default_factory=list)
    marked: set = field(default_factory=set)
    ended: list = field(default_factory=list)

    def start(self):
        """Start what may start: heads of idle threads, the smallest rank first, up to the cap."""
        for entry in sorted(self.waiting, key=lambda entry: entry.rank):
            busy = {working.thread for working in self.at_work}
            if len(self.at_work) < CAP and entry.thread not in busy:
                self.waiting.remove(entry)
                self.at_work.append(entry)

    def place(self, entry):
        if entry in self.waiting:
            return sum(other.rank <= entry.rank for other in self.waiting)
        return 0

    def end_waiting(self, entry):
        self.waiting.remove(entry)
        self.ended.append(entry)


ACCEPT = st.tuples(
    st.just("accept"),
    st.integers(0, 9),
    st.sampled_from(["user_message", "start_agent", "interrupt"]),
)
FINISH = st.tuples(st.just("finish"), st.integers(0, 9), st.sampled_from(["failed", "completed"]))
CANCEL = st.tuples(st.just("cancel"), st.integers(0, 9))
STOP = st.tuples(st.just("stop"), st.integers(0, 9))
RETRY = st.tuples(st.just("retry"), st.integers(0, 9))
STEPS = st.lists(
    st.one_of(ACCEPT, ACCEPT, ACCEPT, FINISH, FINISH, CANCEL, STOP, RETRY), min_size=8, max_size=25
)


class Scene:
    """A fresh user, whose requests go to the database and to the model."""

    def __init__(self, user_id, threads, acceptance, cancellation, finish, rows):
        self.user_id = user_id
        self.thread_count = threads
        self.acceptance = acceptance
        self.cancellation = cancellation
        self.finish_run = finish
        self.rows = rows
        self.model = Model()
        self.threads = {}
        self.number = 0

    async def accept(self, which, kind):
        thread = which % self.thread_count
        model = self.model
        gone = []
        if kind == "interrupt":
            gone = [w for w in model.waiting if w.thread == thread and w.priority == -1]
        busy = [w for w in [*model.waiting, *model.at_work] if w.thread == thread]
        busy = [entry for entry in busy if entry not in gone]
        starts = not busy and len(model.at_work) < CAP
        if not starts and len(model.waiting) - len(gone) >= WAITING:
            return  # refused: tested elsewhere
        accepted = await self.acceptance.accept(
            MessageToAccept(
                user_id=self.user_id,
                text="How much?",
                pipeline="p",
                thread_id=self.threads.get(thread),
                priority=Priority.START_AGENT if kind == "start_agent" else Priority.USER_MESSAGE,
                if_busy=IfBusy.INTERRUPT if kind == "interrupt" else IfBusy.ENQUEUE,
            )
        )
        self.threads[thread] = accepted.thread_id
        if kind == "interrupt":
            model.marked |= {w.run_id for w in model.at_work if w.thread == thread}
        for entry in gone:
            model.end_waiting(entry)
        priority = {"interrupt": -1, "start_agent": 0, "user_message": 1}[kind]
        self.enter(accepted, thread, priority)

    def enter(self, accepted, thread, priority):
        self.number += 1
        entry = Entry(accepted.run_id, thread, priority, self.number)
        self.model.waiting.append(entry)
        self.model.start()
        assert accepted.queue_position == self.model.place(entry)

    async def finish(self, which, status):
        model = self.model
        if model.at_work:
            entry = model.at_work[which % len(model.at_work)]
            status = "cancelled" if entry.run_id in model.marked else status
            await self.finish_run(entry.run_id, RunStatus(status))
            model.at_work.remove(entry)
            if status != "completed":
                model.ended.append(entry)
            model.start()

    async def cancel(self, which):
        model = self.model
        unfinished = [*model.waiting, *model.at_work]
        if unfinished:
            entry = unfinished[which % len(unfinished)]
            outcome = await self.cancellation.cancel_run(self.user_id, entry.run_id)
            assert outcome.cancelling
            self.stopped(entry)

    async def stop(self, which):
        thread = which % self.thread_count
        if thread in self.threads:
            await self.cancellation.cancel_thread(self.user_id, self.threads[thread])
            for entry in [*self.model.waiting, *self.model.at_work]:
                if entry.thread == thread:
                    self.stopped(entry)

    def stopped(self, entry):
        if entry in self.model.waiting:
            self.model.end_waiting(entry)
        else:
            self.model.marked.add(entry.run_id)

    async def retry(self, which):
        model = self.model
        if not model.ended or len(model.waiting) >= WAITING:
            return
        entry = model.ended[which % len(model.ended)]
        accepted = await self.acceptance.retry(self.user_id, entry.run_id)
        if not accepted.duplicate:
            self.enter(accepted, entry.thread, 1 if entry.priority == -1 else entry.priority)

    async def check(self):
        found = await self.rows(
            "select id, status, cancel_requested_at from apex.runs where user_id = %s",
            self.user_id,
        )
        by_status = {}
        for row in found:
            by_status.setdefault(row["status"], set()).add(row["id"])
        assert by_status.get("waiting", set()) == {e.run_id for e in self.model.waiting}
        assert by_status.get("queued", set()) == {e.run_id for e in self.model.at_work}
        marked = {row["id"] for row in found if row["cancel_requested_at"]}
        assert {e.run_id for e in self.model.at_work} & marked == {
            e.run_id for e in self.model.at_work if e.run_id in self.model.marked
        }


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(  # heads of several threads wait for one place
    threads=5,
    steps=[
        *(("accept", thread, "user_message") for thread in range(3)),
        ("accept", 3, "start_agent"),
        ("accept", 4, "interrupt"),
        *[("finish", 0, "completed")] * 3,
    ],
)
@given(steps=STEPS, threads=st.sampled_from([1, 2, 5]))
async def test_promise_5_runs_start_by_priority_then_as_accepted(
    steps, threads, acceptance, cancellation, finish, rows, log
):
    position = await log.open(Identity(org="acme", sub=uuid4().hex))
    scene = Scene(position.user_id, threads, acceptance, cancellation, finish, rows)
    for name, *arguments in steps:
        await getattr(scene, name)(*arguments)
        await scene.check()
    # Whatever was asked for, all of it ends.
    async with asyncio.timeout(30):
        while scene.model.at_work:
            await scene.finish(0, "failed")
            await scene.check()
    assert scene.model.waiting == []
    checking = LogCheck(0)
    for event in await log.read(position.user_id, after=0, limit=1000):
        checking.feed(event)
    # The worker of this scene says nothing but the end, which the grammar forbids to a run that
    # completed; all else must hold.
    assert [v for v in checking.close() if "run_finished(completed)" not in v.detail] == []
