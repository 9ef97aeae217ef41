"""Accepting: durable before it is acknowledged, once, and in its place."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest

from apex_actors.execution import Acceptance, ExecutionSettings, MessageToAccept, Priority
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.grammar import RunGrammar
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.messages import IfBusy
from apex_actors.protocol.payloads import RunStatus
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.database import Database
from apex_actors.storage.errors import StorageUnavailableError

SETTINGS = ExecutionSettings(runs_per_user=2, waiting_per_user=3)


def message(user_id, text="How much?", **fields):
    return MessageToAccept(user_id=user_id, text=text, pipeline="costs", **fields)


async def test_promise_1_an_acknowledged_message_is_in_the_log_once(
    acceptance, announcer, log, user_id, rows
):
    accepted = await acceptance.accept(message(user_id, client_message_id="c1"))
    events = await log.read(user_id, after=0, limit=10)
    assert [event.type for event in events] == ["message_created"]
    assert events[0].payload["message"]["id"] == str(accepted.message_id)
    assert [event.encode() for event in announcer.events] == [event.encode() for event in events]
    assert announcer.work == 1
    stored = await rows("select id, content, run_id from apex.messages")
    assert stored == [
        {"id": accepted.message_id, "content": "How much?", "run_id": accepted.run_id}
    ]


async def test_the_same_client_message_id_returns_the_same_ids(acceptance, user_id, log):
    first = await acceptance.accept(message(user_id, client_message_id="c1"))
    again = await asyncio.gather(
        *(acceptance.accept(message(user_id, client_message_id="c1")) for _ in range(5))
    )
    for duplicate in again:
        assert duplicate.duplicate
        assert (duplicate.message_id, duplicate.run_id) == (first.message_id, first.run_id)
    assert len(await log.read(user_id, after=0, limit=10)) == 1


async def test_the_same_client_message_id_with_another_text_is_a_conflict(acceptance, user_id):
    await acceptance.accept(message(user_id, client_message_id="c1"))
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.accept(message(user_id, "Other", client_message_id="c1"))
    assert refused.value.code is ErrorCode.IDEMPOTENCY_CONFLICT


async def test_concurrent_resends_make_one_run(acceptance, user_id, rows):
    accepted = await asyncio.gather(
        *(acceptance.accept(message(user_id, client_message_id="c1")) for _ in range(6))
    )
    assert len({(item.message_id, item.run_id) for item in accepted}) == 1
    assert sum(not item.duplicate for item in accepted) == 1
    assert await rows("select count(*) as n from apex.runs") == [{"n": 1}]


async def test_runs_of_one_thread_wait_and_those_of_others_run_up_to_the_cap(
    acceptance, user_id, rows, log
):
    first = await acceptance.accept(message(user_id))
    second = await acceptance.accept(message(user_id, thread_id=first.thread_id))
    third = await acceptance.accept(message(user_id))
    over_the_cap = await acceptance.accept(message(user_id))
    assert [item.queue_position for item in (first, second, third, over_the_cap)] == [0, 1, 0, 2]
    statuses = await rows("select status from apex.runs order by accept_no")
    assert [row["status"] for row in statuses] == ["queued", "waiting", "queued", "waiting"]
    queued = [
        event for event in await log.read(user_id, after=0, limit=20) if event.type == "run_queued"
    ]
    assert [event.payload["position"] for event in queued] == [1, 2]


async def test_start_agent_waits_before_user_messages(acceptance, user_id):
    first = await acceptance.accept(message(user_id))
    await acceptance.accept(message(user_id, thread_id=first.thread_id))
    urgent = await acceptance.accept(
        message(user_id, thread_id=first.thread_id, priority=Priority.START_AGENT)
    )
    assert urgent.queue_position == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"thread_id": uuid4()}, ErrorCode.THREAD_NOT_FOUND),
        ({"if_busy": IfBusy.REJECT}, ErrorCode.THREAD_BUSY),
    ],
)
async def test_what_cannot_be_accepted_is_refused_and_leaves_nothing(
    acceptance, user_id, rows, fields, code
):
    first = await acceptance.accept(message(user_id))
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.accept(message(user_id, **{"thread_id": first.thread_id, **fields}))
    assert refused.value.code is code
    assert await rows("select count(*) as n from apex.messages") == [{"n": 1}]


async def test_promise_8_another_users_thread_is_not_found(acceptance, user_id, log):
    first = await acceptance.accept(message(user_id))
    stranger = (await log.open(Identity(org="other", sub="ann"))).user_id
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.accept(message(stranger, thread_id=first.thread_id))
    assert refused.value.code is ErrorCode.THREAD_NOT_FOUND


async def test_a_full_queue_says_when_to_come_back(acceptance, user_id):
    first = await acceptance.accept(message(user_id))
    for _ in range(3):
        await acceptance.accept(message(user_id, thread_id=first.thread_id))
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.accept(message(user_id, thread_id=first.thread_id))
    assert refused.value.code is ErrorCode.QUEUE_FULL
    assert refused.value.retry_after_ms


async def test_all_that_waits_counts_for_a_full_queue(acceptance, user_id):
    first = await acceptance.accept(message(user_id))
    for _ in range(3):
        await acceptance.accept(message(user_id, thread_id=first.thread_id))
    for urgent in ({"priority": Priority.START_AGENT}, {"if_busy": IfBusy.INTERRUPT}):
        with pytest.raises(ProtocolViolation) as refused:
            await acceptance.accept(message(user_id, thread_id=first.thread_id, **urgent))
        assert refused.value.code is ErrorCode.QUEUE_FULL


async def test_reject_at_the_cap_is_told_that_there_are_too_many_runs(acceptance, user_id):
    for _ in range(2):
        await acceptance.accept(message(user_id))
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.accept(message(user_id, if_busy=IfBusy.REJECT))
    assert refused.value.code is ErrorCode.TOO_MANY_RUNS
    assert refused.value.retry_after_ms


async def test_a_duplicate_is_told_its_place_as_it_is_now(acceptance, user_id, finish, rows):
    first = await acceptance.accept(message(user_id))
    resent = message(user_id, thread_id=first.thread_id, client_message_id="c")
    await acceptance.accept(message(user_id, thread_id=first.thread_id))
    places = [(await acceptance.accept(resent)).queue_position]
    # What comes before it later moves it back, what ends moves it on.
    await acceptance.accept(
        message(user_id, thread_id=first.thread_id, priority=Priority.START_AGENT)
    )
    places.append((await acceptance.accept(resent)).queue_position)
    run_id = first.run_id
    for _ in range(3):
        await finish(run_id)
        duplicate = await acceptance.accept(resent)
        assert duplicate.duplicate
        places.append(duplicate.queue_position)
        [queued] = await rows("select id from apex.runs where status = 'queued'")
        run_id = queued["id"]
    assert places == [2, 3, 2, 1, 0]


# Interrupting.


async def test_an_interrupt_marks_the_run_at_work_and_starts_before_all_that_waits(
    acceptance, user_id, announcer, rows, finish
):
    working = await acceptance.accept(message(user_id))
    patient = await acceptance.accept(message(user_id, thread_id=working.thread_id))
    urgent = await acceptance.accept(
        message(user_id, thread_id=working.thread_id, priority=Priority.START_AGENT)
    )
    woken = announcer.work
    interrupt = await acceptance.accept(
        message(user_id, thread_id=working.thread_id, if_busy=IfBusy.INTERRUPT)
    )
    assert interrupt.queue_position == 1
    assert announcer.work == woken + 1
    marked = await rows("select id from apex.runs where cancel_requested_at is not null")
    assert [row["id"] for row in marked] == [working.run_id]
    started = []
    run_id = working.run_id
    for status in (RunStatus.CANCELLED, *[RunStatus.COMPLETED] * 3):
        await finish(run_id, status)
        queued = await rows("select id from apex.runs where status = 'queued'")
        started += [row["id"] for row in queued]
        run_id = started[-1]
    assert started == [interrupt.run_id, urgent.run_id, patient.run_id]


async def test_an_interrupt_ends_an_earlier_one_that_still_waits(
    acceptance, user_id, announcer, rows
):
    working = await acceptance.accept(message(user_id))
    patient = await acceptance.accept(message(user_id, thread_id=working.thread_id))
    earlier, later = [
        await acceptance.accept(
            message(user_id, thread_id=working.thread_id, if_busy=IfBusy.INTERRUPT)
        )
        for _ in range(2)
    ]
    statuses = {row["id"]: row["status"] for row in await rows("select id, status from apex.runs")}
    assert statuses == {
        working.run_id: "queued",
        patient.run_id: "waiting",
        earlier.run_id: "cancelled",
        later.run_id: "waiting",
    }
    of_earlier = [event.type for event in announcer.events if event.run_id == earlier.run_id]
    assert of_earlier == ["message_created", "run_queued", "run_finished"]
    # It was announced in the order of the numbers.
    numbers = [event.seq for event in announcer.events]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_an_interrupt_of_an_idle_thread_starts_at_once(acceptance, user_id, rows):
    accepted = await acceptance.accept(message(user_id, if_busy=IfBusy.INTERRUPT))
    assert accepted.queue_position == 0
    assert await rows("select 1 from apex.runs where cancel_requested_at is not null") == []


async def test_an_interrupt_touches_no_other_thread(acceptance, user_id, rows):
    other = await acceptance.accept(message(user_id))
    working = await acceptance.accept(message(user_id))
    await acceptance.accept(message(user_id, thread_id=working.thread_id, if_busy=IfBusy.INTERRUPT))
    marked = await rows("select id from apex.runs where cancel_requested_at is not null")
    assert other.run_id not in {row["id"] for row in marked}


async def test_an_interrupt_sent_again_interrupts_once(acceptance, user_id, rows, finish):
    working = await acceptance.accept(message(user_id))
    interrupt = message(
        user_id, thread_id=working.thread_id, if_busy=IfBusy.INTERRUPT, client_message_id="c"
    )
    first = await acceptance.accept(interrupt)
    await finish(working.run_id, RunStatus.CANCELLED)
    again = await acceptance.accept(interrupt)
    assert (again.run_id, again.duplicate) == (first.run_id, True)
    assert (
        await rows(
            "select 1 from apex.runs where id = %s and cancel_requested_at is not null",
            first.run_id,
        )
        == []
    )


# Trying again.


@pytest.mark.parametrize("ended", [RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED])
async def test_a_retry_is_a_new_run_on_the_same_message_which_stays_once_in_the_log(
    acceptance, user_id, finish, rows, log, announcer, ended
):
    first = await acceptance.accept(message(user_id, time_zone="Europe/Berlin"))
    await finish(first.run_id, ended)
    woken = announcer.work
    retried = await acceptance.retry(user_id, first.run_id)
    assert (retried.message_id, retried.thread_id) == (first.message_id, first.thread_id)
    assert (retried.queue_position, retried.duplicate) == (0, False)
    assert retried.run_id != first.run_id
    assert announcer.work == woken + 1
    [run] = await rows("select * from apex.runs where id = %s", retried.run_id)
    assert (run["status"], run["message_id"]) == ("queued", first.message_id)
    assert (run["pipeline"], run["time_zone"]) == ("costs", "Europe/Berlin")
    types = [event.type for event in await log.read(user_id, after=0, limit=10)]
    assert types == ["message_created", "run_finished"]


async def test_a_retry_waits_for_its_turn_like_any_other(
    acceptance, user_id, finish, log, announcer
):
    first = await acceptance.accept(message(user_id))
    await acceptance.accept(message(user_id, thread_id=first.thread_id))
    await finish(first.run_id, RunStatus.FAILED)
    retried = await acceptance.retry(user_id, first.run_id)
    assert retried.queue_position == 1
    events = [e for e in await log.read(user_id, after=0, limit=10) if e.run_id == retried.run_id]
    assert [(event.type, event.payload) for event in events] == [("run_queued", {"position": 1})]
    assert announcer.events[-1].event_id == events[0].event_id
    assert RunGrammar(retried=True).check(events) == []


async def test_retries_at_once_make_one_run(acceptance, user_id, finish, rows):
    first = await acceptance.accept(message(user_id))
    await finish(first.run_id, RunStatus.FAILED)
    retries = await asyncio.gather(*(acceptance.retry(user_id, first.run_id) for _ in range(6)))
    assert len({retry.run_id for retry in retries}) == 1
    assert sum(not retry.duplicate for retry in retries) == 1
    assert await rows("select count(*) as n from apex.runs") == [{"n": 2}]


async def test_a_retry_that_was_answered_is_not_made_again_and_one_that_failed_is(
    acceptance, user_id, finish
):
    first = await acceptance.accept(message(user_id))
    await finish(first.run_id, RunStatus.FAILED)
    second = await acceptance.retry(user_id, first.run_id)
    await finish(second.run_id, RunStatus.FAILED)
    third = await acceptance.retry(user_id, first.run_id)
    assert third.run_id not in {first.run_id, second.run_id}
    await finish(third.run_id)
    for run_id in (first.run_id, second.run_id):
        again = await acceptance.retry(user_id, run_id)
        assert (again.run_id, again.duplicate) == (third.run_id, True)


async def test_a_run_that_is_not_finished_or_has_completed_is_not_tried_again(
    acceptance, user_id, finish
):
    first = await acceptance.accept(message(user_id))
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.retry(user_id, first.run_id)
    assert refused.value.code is ErrorCode.THREAD_BUSY
    await finish(first.run_id)
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.retry(user_id, first.run_id)
    assert refused.value.code is ErrorCode.INVALID_MESSAGE
    assert refused.value.details == {"field": "run_id"}


async def test_promise_8_anothers_run_is_not_tried_again_nor_one_of_a_thread_being_deleted(
    acceptance, user_id, finish, log, rows
):
    first = await acceptance.accept(message(user_id))
    await finish(first.run_id, RunStatus.FAILED)
    stranger = (await log.open(Identity(org="other", sub="ann"))).user_id
    await rows("update apex.threads set delete_requested_at = now() returning id")
    for asking, run_id in ((stranger, first.run_id), (user_id, uuid4()), (user_id, first.run_id)):
        with pytest.raises(ProtocolViolation) as refused:
            await acceptance.retry(asking, run_id)
        assert refused.value.code is ErrorCode.RUN_NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "priority"),
    [
        ({"priority": Priority.START_AGENT}, Priority.START_AGENT),
        ({"if_busy": IfBusy.INTERRUPT}, Priority.USER_MESSAGE),
        ({}, Priority.USER_MESSAGE),
    ],
)
async def test_a_retry_has_the_priority_of_the_run_but_interrupts_nothing(
    acceptance, user_id, finish, rows, fields, priority
):
    first = await acceptance.accept(message(user_id, **fields))
    await finish(first.run_id, RunStatus.FAILED)
    retried = await acceptance.retry(user_id, first.run_id)
    [run] = await rows("select priority from apex.runs where id = %s", retried.run_id)
    assert run["priority"] == priority


@dataclass
class Flaky:
    """A database that goes away at the next transactions, before their end or behind it."""

    database: Database
    before: int = 0
    behind: int = 0

    @asynccontextmanager
    async def pipelined(self):
        async with self.database.pipelined() as connection:
            yield connection
            if self.before:
                self.before -= 1
                raise StorageUnavailableError("cut before the commit")
        if self.behind:
            self.behind -= 1
            raise StorageUnavailableError("cut before the answer to the commit")

    def __getattr__(self, name):
        return getattr(self.database, name)


@pytest.fixture
def flaky(database):
    return Flaky(database)


@pytest.fixture
def through_flaky(flaky, announcer):
    return Acceptance(database=flaky, announcer=announcer, settings=SETTINGS)


@pytest.mark.parametrize("where", ["before", "behind"])
@pytest.mark.parametrize("client_message_id", ["c1", None])
async def test_promise_1_a_message_is_stored_once_though_the_database_went_away_for_a_moment(
    where, client_message_id, flaky, through_flaky, user_id, rows, announcer
):
    setattr(flaky, where, 2)
    accepted = await through_flaky.accept(message(user_id, client_message_id=client_message_id))
    assert not accepted.duplicate
    [run] = await rows("select id, message_id, thread_id, status from apex.runs")
    assert (run["id"], run["status"]) == (accepted.run_id, RunStatus.QUEUED)
    assert (run["message_id"], run["thread_id"]) == (accepted.message_id, accepted.thread_id)
    assert [event.type for event in announcer.events] == ["message_created"]
    assert announcer.work == 1


@pytest.mark.parametrize("where", ["before", "behind"])
async def test_a_retry_is_made_once_though_the_database_went_away_for_a_moment(
    where, flaky, through_flaky, user_id, rows, finish
):
    first = await through_flaky.accept(message(user_id))
    await finish(first.run_id, RunStatus.FAILED)
    setattr(flaky, where, 1)
    again = await through_flaky.retry(user_id, first.run_id)
    assert not again.duplicate
    runs = await rows("select id from apex.runs order by accept_no")
    assert [run["id"] for run in runs] == [first.run_id, again.run_id]


async def test_nothing_is_acknowledged_while_the_database_stays_away(
    flaky, through_flaky, user_id, rows, announcer
):
    flaky.before = 10**6
    with pytest.raises(StorageUnavailableError):
        await through_flaky.accept(message(user_id))
    assert await rows("select id from apex.runs") == []
    assert announcer.events == []


async def test_what_was_accepted_is_answered_again_by_a_full_server(
    database, announcer, user_id, rows
):
    settings = ExecutionSettings(unfinished_in_all=1)
    acceptance = Acceptance(database=database, announcer=announcer, settings=settings)
    accepted = await acceptance.accept(message(user_id, client_message_id="c1"))
    # The count of a moment ago serves for a second.
    acceptance = Acceptance(database=database, announcer=announcer, settings=settings)
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.accept(message(user_id, client_message_id="c2"))
    assert refused.value.code is ErrorCode.QUEUE_FULL
    assert refused.value.retry_after_ms > 0
    again = await acceptance.accept(message(user_id, client_message_id="c1"))
    assert again.duplicate
    assert again.run_id == accepted.run_id
    assert await rows("select count(*) as n from apex.runs") == [{"n": 1}]


def test_a_message_never_shows_its_text():
    assert "secret" not in repr(message(1, "secret"))
