"""Error reports as an operator finds them: the latest first, by whose they are, by part of an id."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from apex_actors.protocol.identity import Identity
from apex_actors.storage.error_reports import ErrorReports
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.runs import MESSAGE_CHARS, STACK_CHARS, StoreErrorReport

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def reports(database):
    return ErrorReports(database)


@pytest.fixture
def store(database):
    """Store a report of a user as a run's exit does, so many hours after noon."""

    async def store(sub="ann", *, org="acme", hours=0, report_id=None, message="m", stack="s"):
        user_id = (await EventLog(database).open(Identity(org=org, sub=sub))).user_id
        report = StoreErrorReport(
            id=report_id or uuid4(),
            user_id=user_id,
            run_id=uuid4(),
            kind="ValueError",
            message=message,
            stack=stack,
            context={"attempt": 1},
        )
        async with database.transaction() as connection:
            await report.apply(connection)
            await connection.execute(
                "update apex.error_reports set created_at = %s where id = %s",
                (NOON + timedelta(hours=hours), report.id),
            )
        return report

    return store


async def test_the_latest_come_first_and_no_more_than_asked_for(reports, store):
    stored = [await store(hours=hours) for hours in (1, 3, 2)]
    listed = await reports.latest(limit=2)
    assert [report.id for report in listed] == [stored[1].id, stored[2].id]
    assert (listed[0].org, listed[0].sub, listed[0].kind) == ("acme", "ann", "ValueError")
    assert (listed[0].run_id, listed[0].context) == (stored[1].run_id, {"attempt": 1})


async def test_a_user_an_organisation_and_a_moment_narrow_the_list(reports, store):
    old = await store(hours=0)
    ann, bob = await store(hours=2), await store("bob", hours=3)
    other = await store(org="other", hours=4)

    async def ids(**asked):
        return [report.id for report in await reports.latest(limit=9, **asked)]

    assert await ids(sub="ann") == [other.id, ann.id, old.id]
    assert await ids(sub="ann", org="acme") == [ann.id, old.id]
    assert await ids(org="acme", since=NOON + timedelta(hours=1)) == [bob.id, ann.id]


async def test_the_beginning_of_an_id_finds_all_that_begin_so(reports, store):
    one, two = UUID("0c8e2f0a" + "0" * 24), UUID("0c8e2f0b" + "f" * 24)
    await store(report_id=two)
    await store(report_id=one)

    async def ids(prefix):
        return [report.id for report in await reports.beginning_with(prefix, limit=9)]

    assert await ids("0c8e") == [one, two]
    assert await ids("0C8E2F0a") == [one]
    assert await ids(str(two)) == [two]
    assert await ids("ff") == []


@pytest.mark.parametrize("prefix", ["", "-", "run", "0c8e%", "0" * 33])
async def test_what_begins_no_id_is_refused(reports, prefix):
    with pytest.raises(ValueError, match="hexadecimal"):
        await reports.beginning_with(prefix, limit=1)


async def test_no_secret_is_stored_and_no_more_than_fits(reports, store):
    said = "cannot reach postgresql://apex:hunter2@db/apex with Bearer abc.def, password=hunter2 "
    await store(message=said + "m" * 10_000, stack=said + "s" * 100_000)
    [report] = await reports.latest(limit=1)
    for text, most in ((report.message, MESSAGE_CHARS), (report.stack, STACK_CHARS)):
        assert "hunter2" not in text
        assert "abc.def" not in text
        assert "postgresql://***@db/apex" in text
        assert len(text) <= most
