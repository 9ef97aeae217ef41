"""Recurring work spread over an interval, and things due at a moment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.gateway.wheel import Agenda, Wheel


def test_a_wheel_needs_a_slot():
    with pytest.raises(ValueError, match="at least one slot"):
        Wheel(0)


@given(slots=st.integers(1, 40), members=st.integers(0, 200))
def test_each_member_comes_once_in_a_whole_turn_and_no_slot_has_many_more_than_another(
    slots, members
):
    wheel = Wheel(slots)
    for number in range(members):
        wheel.add(str(number), number)
    turns = [wheel.turn() for _ in range(slots)]
    assert sorted(member for turn in turns for member in turn) == list(range(members))
    sizes = [len(turn) for turn in turns]
    assert max(sizes) - min(sizes) <= 1
    assert turns == [wheel.turn() for _ in range(slots)]


def test_a_member_that_is_discarded_or_added_again_comes_once_at_most():
    wheel = Wheel(3)
    wheel.add("a", 1)
    wheel.add("a", 2)
    wheel.add("b", 3)
    wheel.discard("b")
    wheel.discard("never there")
    assert len(wheel) == 1
    assert [member for _ in range(3) for member in wheel.turn()] == [2]


def test_things_are_due_in_the_order_of_their_moments_and_once():
    agenda = Agenda()
    agenda.put("a", 3.0, "third")
    agenda.put("b", 1.0, "first")
    agenda.put("c", 2.0, "second")
    assert list(agenda.due(2.0)) == ["first", "second"]
    assert list(agenda.due(2.9)) == []
    assert list(agenda.due(3.0)) == ["third"]
    assert len(agenda) == 0


def test_what_is_put_anew_or_discarded_is_not_due_at_its_old_moment():
    agenda = Agenda()
    agenda.put("a", 1.0, "old")
    agenda.put("a", 5.0, "new")
    agenda.put("b", 1.0, "forgotten")
    agenda.discard("b")
    assert list(agenda.due(4.0)) == []
    assert list(agenda.due(5.0)) == ["new"]


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 100), st.booleans()), max_size=300)
)
def test_an_agenda_is_a_dictionary_of_moments(steps):
    agenda, expected = Agenda(), {}
    for key, moment, keep in steps:
        if keep:
            agenda.put(key, moment, key)
            expected[key] = moment
        else:
            agenda.discard(key)
            expected.pop(key, None)
    assert len(agenda) == len(expected)
    moments = [expected[key] for key in agenda.due(50.0)]
    assert moments == sorted(moment for moment in expected.values() if moment <= 50.0)


def test_moments_that_are_put_off_again_and_again_leave_nothing_behind():
    agenda = Agenda()
    for moment in range(10_000):
        agenda.put("a", 1e6 + moment, "a")
    assert len(agenda._heap) < 100
