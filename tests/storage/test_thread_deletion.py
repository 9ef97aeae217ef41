"""What a deletion finds and takes: by indexes, in bounded parts, in the order of the requests."""

import pytest

from apex_actors.storage import event_log, thread_deletion
from apex_actors.storage.thread_deletion import DoomedThread, find_due
from apex_actors.storage.threads import QUERIES


@pytest.fixture
def execute(database):
    async def execute(statement, *arguments):
        async with database.connection() as connection:
            return await connection.execute(statement, arguments or None)

    return execute


async def test_idle_threads_are_found_in_the_order_asked_for(
    database, ask, user_id, other_id, execute
):
    asked = [await ask(user_id) for _ in range(3)] + [await ask(other_id)]
    await execute("update apex.runs set status = 'completed' where id <> %s", asked[0].run_id)
    owners = [user_id] * 3 + [other_id]
    for owner, item in zip(reversed(owners), reversed(asked), strict=True):
        async with database.transaction() as connection:
            doomed = DoomedThread(owner, item.thread_id)
            assert await thread_deletion.request(connection, doomed)
            assert not await thread_deletion.request(connection, doomed)
    due = [
        DoomedThread(other_id, asked[3].thread_id),
        DoomedThread(user_id, asked[2].thread_id),
        DoomedThread(user_id, asked[1].thread_id),
    ]
    assert await find_due(database, limit=9) == due
    assert await find_due(database, limit=1) == due[:1]
    assert await find_due(database, limit=9, left_out=[asked[2].thread_id]) == [due[0], due[2]]
    await execute("update apex.runs set status = 'cancelled'")
    assert await find_due(database, limit=9) == [*due, DoomedThread(user_id, asked[0].thread_id)]


# Fifty thousand events of a user, of which one thread has a thousandth; and as many threads.
FILL = """
set session_replication_role = replica;
insert into apex.threads (id, user_id, title, delete_requested_at)
select md5('t' || n)::uuid, :user_id, 't', case when n <= 2 then now() end
from generate_series(1, 50000) n;
insert into apex.runs
    (id, user_id, thread_id, message_id, pipeline, priority, accept_no, status)
select md5('r' || n)::uuid, :user_id, md5('t' || (1 + n % 1000))::uuid, md5('m' || n)::uuid,
       'p', 1, n, 'completed'
from generate_series(1, 20000) n;
insert into apex.events
    (user_id, seq, event_id, type, ts, thread_id, run_id, attempt, payload)
select :user_id, n, md5('e' || n)::uuid, 'x', now(), md5('t' || (1 + n / 25 % 1000))::uuid,
       case when n % 25 > 0 then md5('r' || (n / 25))::uuid end, 1, '{}'
from generate_series(25, 50000) n;
update apex.users set seq = 50000 where id = :user_id;
analyze apex.threads, apex.runs, apex.events;
"""


async def test_on_much_data_only_what_goes_is_read(database, user_id, execute, rows_read):
    await execute(FILL.replace(":user_id", str(user_id)))
    await execute("reset session_replication_role")
    found = await rows_read(QUERIES["threads_to_delete"], {"limit": 20, "left_out": []})
    assert found["threads"] <= 2
    [doomed, _] = await find_due(database, limit=9)
    thread = {"thread_id": doomed.thread_id}
    cursor = await execute(
        "select count(*) as n from apex.events where thread_id = %s", doomed.thread_id
    )
    own = (await cursor.fetchone())["n"]
    assert own >= 25
    runs = await rows_read(QUERIES["doomed_runs"], thread | {"limit": 100})
    assert runs["runs"] <= 20
    cursor = await execute("select id from apex.runs where thread_id = %s", doomed.thread_id)
    run_ids = [row["id"] for row in await cursor.fetchall()]
    arguments = thread | {"user_id": user_id, "run_ids": run_ids, "limit": 5000}
    read = await rows_read(QUERIES["redact_events"], arguments)
    # Found once, and once more by number to be changed.
    assert read["events"] <= 2 * own
    messages = await rows_read(QUERIES["delete_messages"], thread | {"limit": 100})
    assert messages.get("messages", 0) == 0
    while True:
        async with database.transaction() as connection:
            await event_log.lock_log(connection, user_id)
            if (await thread_deletion.remove_batch(connection, doomed)).is_all:
                break
    cursor = await execute("select count(*) as n from apex.events where type = 'event_redacted'")
    assert (await cursor.fetchone())["n"] == own
