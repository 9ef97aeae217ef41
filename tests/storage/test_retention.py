"""Retention: what is too old or too much goes, from the beginning, and nothing that is needed."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import AgentThinking
from apex_actors.storage import event_log, retention
from apex_actors.storage.event_log import Draft, EventLog
from apex_actors.storage.retention import Removed, Retention, RetentionSettings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class World:
    """Users with logs and runs, and a clock that the test moves."""

    database: object
    now: datetime = NOW
    users: list = field(default_factory=list)

    @property
    def log(self):
        return EventLog(self.database)

    async def user(self):
        identity = Identity(org="acme", sub=str(uuid4()))
        self.users.append((await self.log.open(identity)).user_id)
        return self.users[-1]

    async def execute(self, statement, *arguments):
        async with self.database.connection() as connection:
            return await connection.execute(statement, arguments or None)

    async def say(self, user_id, count=1, *, run_id=None):
        drafts = [
            Draft(AgentThinking(reasoning="r", progress=0), run_id=run_id, ts=self.now)
            for _ in range(count)
        ]
        async with self.database.transaction() as connection:
            return await (await event_log.append(connection, user_id, drafts)).events()

    async def begin_run(self, user_id, status="running"):
        thread_id, message_id, run_id = uuid4(), uuid4(), uuid4()
        await self.execute(
            "insert into apex.threads (id, user_id, title) values (%s, %s, 't')", thread_id, user_id
        )
        await self.execute(
            "insert into apex.messages (id, user_id, thread_id, run_id, role, content)"
            " values (%s, %s, %s, %s, 'user', 'c')",
            message_id,
            user_id,
            thread_id,
            run_id,
        )
        await self.execute(
            "insert into apex.runs (id, user_id, thread_id, message_id, pipeline, priority,"
            " accept_no, status) values (%s, %s, %s, %s, 'p', 1, 1, %s)",
            run_id,
            user_id,
            thread_id,
            message_id,
            status,
        )
        return run_id

    async def end_run(self, run_id):
        await self.execute("update apex.runs set status = 'completed' where id = %s", run_id)

    async def run(self, **limits):
        keep = Retention(self.database, RetentionSettings(**limits), now=lambda: self.now)
        return await keep.run()

    async def seqs(self, user_id):
        """What is left: the trimmed position, and the numbers of the events behind it."""
        cursor = await self.execute("select trimmed_seq from apex.users where id = %s", user_id)
        trimmed = (await cursor.fetchone())["trimmed_seq"]
        return trimmed, [event.seq for event in await self.log.read(user_id, after=0, limit=10**6)]


@pytest.fixture
def world(database):
    return World(database)


async def test_events_go_by_age_from_the_beginning(world):
    user_id, young = await world.user(), await world.user()
    await world.say(user_id, 3)
    world.now += timedelta(days=2)
    await world.say(user_id, 2)
    await world.say(young, 2)
    world.now += timedelta(days=9)
    assert (await world.run(events_days=10)).events == 3
    assert await world.seqs(user_id) == (3, [4, 5])
    assert await world.seqs(young) == (0, [1, 2])
    assert await world.run(events_days=10) == Removed()
    world.now += timedelta(days=9)
    assert (await world.run(events_days=10)).events == 4
    assert await world.seqs(user_id) == (5, [])
    [event] = await world.say(user_id)
    assert event.seq == 6
    position = (await world.log.open_many([Identity(org="acme", sub="x")]))[0]
    assert position.trimmed_seq == 0


async def test_events_go_by_count_however_young(world):
    user_id = await world.user()
    await world.say(user_id, 10)
    assert (await world.run(events_per_user=4)).events == 6
    assert await world.seqs(user_id) == (6, [7, 8, 9, 10])


@pytest.mark.parametrize("status", ["waiting", "queued", "running"])
async def test_promise_3_events_of_an_unfinished_run_stay_and_all_behind_the_first_of_them(
    world, status
):
    user_id = await world.user()
    run_id = await world.begin_run(user_id, status)
    await world.say(user_id, 2)
    await world.say(user_id, 1, run_id=run_id)
    await world.say(user_id, 3)
    await world.say(user_id, 1, run_id=run_id)
    world.now += timedelta(days=99)
    assert (await world.run(events_per_user=1)).events == 2
    assert await world.seqs(user_id) == (2, [3, 4, 5, 6, 7])
    await world.end_run(run_id)
    assert (await world.run(events_days=100, events_per_user=1)).events == 4
    assert await world.seqs(user_id) == (6, [7])


async def test_an_event_with_an_older_moment_behind_a_younger_one_waits_for_it(world):
    # Moments come from the clocks of many nodes; numbers alone are the order.
    user_id = await world.user()
    await world.say(user_id)
    world.now -= timedelta(days=20)
    await world.say(user_id)
    world.now += timedelta(days=20)
    assert await world.run(events_days=10) == Removed()
    assert await world.seqs(user_id) == (0, [1, 2])


async def test_a_long_log_goes_batch_by_batch_and_a_busy_user_next_time(world):
    user_id = await world.user()
    await world.say(user_id, 25)
    async with world.database.transaction() as connection:
        await event_log.lock_log(connection, user_id)
        assert await world.run(events_per_user=1, batch=4) == Removed()
    assert (await world.run(events_per_user=1, batch=4)).events == 24
    assert await world.seqs(user_id) == (24, [25])


async def test_many_users_are_looked_at_page_by_page_and_pass_by_pass(world, monkeypatch):
    monkeypatch.setattr(retention, "USER_PAGE", 2)
    monkeypatch.setattr(retention, "PAGES_PER_PASS", 2)
    for _ in range(7):
        await world.say(await world.user(), 3)
    keep = Retention(world.database, RetentionSettings(events_per_user=1), now=lambda: world.now)
    assert [(await keep.run()).events for _ in range(3)] == [8, 6, 0]
    await world.say(world.users[0], 1)
    assert [(await keep.run()).events for _ in range(2)] == [0, 1]


async def test_one_node_at_a_time_works_and_the_others_leave_it_to_that(world):
    user_id = await world.user()
    await world.say(user_id, 30)
    async with world.database.transaction() as connection:
        await retention._take_turn(connection)
        assert await world.run(events_per_user=1) == Removed()
    await asyncio.gather(*(world.run(events_per_user=1, batch=3) for _ in range(4)))
    await world.run(events_per_user=1)
    assert await world.seqs(user_id) == (29, [30])


async def test_appends_during_a_trim_leave_no_gap(world):
    user_id = await world.user()
    await world.say(user_id, 50)

    async def trim():
        for _ in range(10):
            await world.run(events_per_user=5, batch=2)

    async def append():
        for _ in range(20):
            await world.say(user_id, 2)

    await asyncio.gather(trim(), append())
    trimmed, seqs = await world.seqs(user_id)
    assert seqs == list(range(trimmed + 1, 91))


@settings(
    # A user of its own for each example: they do not see each other in the one database.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=40,
)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("say"), st.integers(1, 4)),
            st.tuples(st.just("begin"), st.integers(0, 2)),
            st.tuples(st.just("run says"), st.integers(0, 2)),
            st.tuples(st.just("end"), st.integers(0, 2)),
            st.tuples(st.just("days pass"), st.integers(1, 6)),
            st.tuples(st.just("trim"), st.integers(1, 8)),
        ),
        max_size=14,
    ),
    st.integers(1, 5),
)
async def test_promise_3_whatever_is_said_run_and_trimmed_the_log_is_k_to_n_with_open_runs_whole(
    database, steps, batch
):
    world = World(database)
    user_id = await world.user()
    runs, said, end = {}, {}, 0
    for step, number in steps:
        if step == "say":
            end = (await world.say(user_id, number))[-1].seq
        elif step == "begin" and number not in runs:
            runs[number] = await world.begin_run(user_id)
            said[number] = []
        elif step == "run says" and number in runs:
            end = (await world.say(user_id, run_id=runs[number]))[0].seq
            said[number].append(end)
        elif step == "end" and number in runs:
            await world.end_run(runs.pop(number))
        elif step == "days pass":
            world.now += timedelta(days=number)
        elif step == "trim":
            before = await world.seqs(user_id)
            await world.run(events_days=5, events_per_user=number, batch=batch)
            trimmed, seqs = await world.seqs(user_id)
            assert seqs == list(range(trimmed + 1, end + 1))
            assert trimmed >= before[0]
            for open_run in runs:
                assert set(said[open_run]) <= set(seqs)
            if not runs:
                assert len(seqs) <= number


async def test_error_reports_and_sessions_go_by_age(world):
    user_id, other_id = await world.user(), await world.user()
    for age in (1, 89, 91, 200):
        await world.execute(
            "insert into apex.error_reports (id, kind, message, stack, context, created_at)"
            " values (%s, 'E', '', '', '{}', %s)",
            uuid4(),
            NOW - timedelta(days=age),
        )
    for owner, age in ((user_id, 89), (other_id, 91)):
        await world.execute(
            "insert into apex.sessions (user_id, updated_at) values (%s, %s)",
            owner,
            NOW - timedelta(days=age),
        )
    assert await world.run(batch=1) == Removed(error_reports=2, sessions=1)
    cursor = await world.execute("select user_id from apex.sessions")
    assert await cursor.fetchall() == [{"user_id": user_id}]


async def test_durable_tasks_go_some_time_after_they_ended_and_unfinished_ones_never(world):
    for ended_ago_s in (3660, 3660, 3540, None):
        await world.execute("select absurd.spawn_task('runs', 'run', '{}')")
        if ended_ago_s is None:
            continue
        await world.execute(
            "select absurd.complete_run('runs', c.run_id)"
            " from absurd.claim_task('runs', 'w', 60, 1) c"
        )
        await world.execute(
            "update absurd.r_runs set completed_at = now() - make_interval(secs => %s)"
            " where completed_at > now() - interval '10 s'",
            ended_ago_s,
        )
    keep = Retention(world.database, RetentionSettings(batch=1))
    assert await keep.clean_tasks() == 2
    cursor = await world.execute("select state from absurd.t_runs order by state")
    assert [row["state"] for row in await cursor.fetchall()] == ["completed", "pending"]


async def test_on_much_data_a_look_reads_its_page_and_a_trim_its_batch(world, rows_read):
    first = await world.user()
    fill = """
    set session_replication_role = replica;
    insert into apex.users (org, sub, seq) select 'o', n::text, 1 from generate_series(1, 30000) n;
    insert into apex.events (user_id, seq, event_id, type, ts, attempt, payload)
    select id, 1, gen_random_uuid(), 'x', now(), 1, '{}' from apex.users where seq = 1;
    insert into apex.events (user_id, seq, event_id, type, ts, attempt, payload)
    select :user_id, n, gen_random_uuid(), 'x', now(), 1, '{}' from generate_series(1, 30000) n;
    update apex.users set seq = 30000 where id = :user_id;
    insert into apex.error_reports (id, kind, message, stack, context, created_at)
    select gen_random_uuid(), 'E', '', '', '{}', now() - interval '1 minute' * n
    from generate_series(1, 20000) n;
    insert into apex.sessions (user_id, updated_at)
    select id, now() - interval '1 minute' * id from apex.users;
    analyze apex.users, apex.events, apex.error_reports, apex.sessions;
    """
    await world.execute(fill.replace(":user_id", str(first)))
    await world.execute("reset session_replication_role")
    old = datetime.now(UTC) - timedelta(minutes=19_000)
    look = {"after_id": 5000, "page": 200, "most": 100, "older_than": old}
    read = await rows_read(retention.QUERIES["logs_to_trim"], look)
    assert read["users"] <= 200
    assert read["events"] <= 200
    trim = {
        "user_id": first,
        "trimmed_seq": 0,
        "batch": 100,
        "older_than": old,
        "over_count_seq": 29_000,
    }
    read = await rows_read(retention.QUERIES["trim_log"], trim)
    # Looked at, and found again to be deleted.
    assert read["events"] <= 2 * 100
    assert read.get("runs", 0) == 0
    batch = {"older_than": old, "batch": 100}
    for query, table in (
        ("delete_old_error_reports", "error_reports"),
        ("delete_old_sessions", "sessions"),
    ):
        assert (await rows_read(retention.QUERIES[query], batch))[table] <= 2 * 100


def test_the_settings_refuse_what_would_keep_nothing():
    for field_name in ("events_days", "events_per_user", "interval_s", "batch"):
        with pytest.raises(ValidationError):
            RetentionSettings(**{field_name: 0})
