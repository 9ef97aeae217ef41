"""What one user's stream must show, whoever received it."""

from dataclasses import replace
from uuid import uuid4

import pytest

from apex_actors.protocol import (
    AgentName,
    Event,
    EventRedacted,
    LogCheck,
    PreferencesUpdated,
    RunStatus,
    ThreadDeleted,
)
from apex_actors.protocol.scalars import parse_timestamp

SUPERVISOR = AgentName.SUPERVISOR


def feed(check, *scripts):
    for script in scripts:
        for event in script.events:
            check.feed(event)
    return check


def promises(check, **options):
    return [violation.promise for violation in check.close(**options)]


def accept(check, *scripts):
    for script in scripts:
        check.accepted(script.message_id, script.run_id)


def test_two_whole_runs_break_nothing(run_script):
    check = LogCheck(0)
    first = run_script().whole()
    second = run_script(seq=first.seq, thread_id=first.thread_id).whole()
    accept(check, first, second)

    feed(check, first, second)

    assert check.close() == []
    assert check.seq == second.seq


def test_a_stream_may_begin_anywhere(run_script):
    """Runs that had begun before the welcome are not judged, only their order."""
    script = run_script(seq=50).whole()
    check = LogCheck(script.events[3].seq)

    for event in script.events[4:]:
        check.feed(event)

    assert check.close() == []


def test_a_gap_breaks_promise_3(run_script):
    script = run_script().whole()
    del script.events[5]

    assert 3 in promises(feed(LogCheck(0), script))


def test_a_first_event_that_is_not_the_next_one_breaks_promise_3(run_script):
    script = run_script(seq=7).whole()

    assert promises(feed(LogCheck(6), script)) == [3]


def test_an_event_twice_breaks_promise_4_and_is_judged_once(run_script):
    script = run_script().whole()
    script.events.insert(4, script.events[3])

    assert promises(feed(LogCheck(0), script)) == [4]


def test_events_out_of_order_break_promise_4(run_script):
    script = run_script().whole()
    script.events[3], script.events[4] = script.events[4], script.events[3]

    assert 4 in promises(feed(LogCheck(0), script))


def test_an_event_under_two_numbers_breaks_promise_4(run_script):
    script = run_script().asked()
    script.events.append(replace(script.events[0], seq=2, run_id=None))

    assert promises(feed(LogCheck(0), script), all_finished=False) == [4]


def test_an_accepted_message_that_never_appears_breaks_promise_1(run_script):
    check = LogCheck(0)
    accept(check, run_script())

    assert promises(check) == [1]


def test_an_accepted_message_that_appears_twice_breaks_promise_1(run_script):
    first = run_script().whole()
    second = run_script(seq=first.seq)
    second.message_id = first.message_id
    check = LogCheck(0)
    accept(check, first)

    feed(check, first, second.whole())

    assert 1 in promises(check)


def test_an_accepted_run_without_its_message_breaks_promise_1(run_script):
    script = run_script().started(SUPERVISOR)
    check = LogCheck(0)
    accept(check, script)

    assert promises(feed(check, script), all_finished=False) == [1]


def test_a_retried_run_needs_no_message(run_script):
    script = run_script().queued().finished(RunStatus.CANCELLED)
    check = LogCheck(0)
    check.accepted(uuid4(), script.run_id, retried=True)

    assert promises(feed(check, script)) == []


def test_messages_that_nobody_sent_are_named(run_script):
    mine, other = run_script().whole(), run_script()
    other.seq = mine.seq
    check = feed(LogCheck(0), mine, other.whole())

    assert check.unsent([mine.message_id]) == [other.message_id]


def test_an_unfinished_run_breaks_promise_2_once_it_had_its_time(run_script):
    check = feed(LogCheck(0), run_script().asked().started(SUPERVISOR))

    assert promises(check, all_finished=False) == []
    assert promises(check) == [2]


def test_an_event_after_the_end_breaks_promise_2(run_script):
    script = run_script().whole().thought(AgentName.DATA)

    assert promises(feed(LogCheck(0), script)) == [2]


def test_runs_of_one_thread_that_overlap_break_promise_5(run_script):
    first = run_script().asked().started(SUPERVISOR)
    second = run_script(seq=first.seq, thread_id=first.thread_id).asked().started(SUPERVISOR)

    assert promises(feed(LogCheck(0), first, second), all_finished=False) == [5]


def test_runs_of_two_threads_may_overlap(run_script):
    first = run_script().asked().started(SUPERVISOR)
    second = run_script(seq=first.seq).asked().started(SUPERVISOR)

    assert promises(feed(LogCheck(0), first, second), all_finished=False) == []


def test_a_run_off_the_grammar_breaks_promise_6_and_is_named(run_script):
    script = run_script().asked().started(AgentName.DATA)

    (violation,) = feed(LogCheck(0), script).close(all_finished=False)
    assert violation.promise == 6
    assert str(script.run_id) in violation.detail


@pytest.mark.parametrize("ending", [ThreadDeleted(), EventRedacted()])
def test_a_run_of_a_deleted_thread_is_excused(run_script, ending):
    script = run_script().asked().started(SUPERVISOR).say(ending)
    check = LogCheck(0)
    accept(check, script)

    assert promises(feed(check, script)) == []


def test_events_of_no_run_only_count():
    event = Event.of(
        PreferencesUpdated(preferences={}),
        seq=1,
        event_id=uuid4(),
        ts=parse_timestamp("2026-11-22T10:00:00Z"),
    )
    check = LogCheck(0)

    check.feed(event)

    assert check.close() == []
    assert check.seq == 1
