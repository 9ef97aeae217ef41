"""What a message is compared with."""

from hypothesis import given
from hypothesis import strategies as st

from apex_actors.actors.testing.expectation import Assignment, Expectation


def test_a_value_expects_an_equal_message():
    assert Expectation([1, 2]).matches([1, 2])
    assert not Expectation([1, 2]).matches([1])


def test_a_type_expects_an_instance_also_of_a_subclass():
    assert Expectation(int).matches(True)
    assert not Expectation(int).matches("1")
    assert not Expectation(int).matches(int)


def test_a_function_expects_whatever_it_says_yes_to():
    assert Expectation(lambda message: message > 3).matches(4)
    assert not Expectation(lambda message: message > 3).matches(3)


def test_it_tells_what_it_expects():
    def large(message):
        return message > 1000

    assert str(Expectation("hello")) == "'hello'"
    assert str(Expectation(int)) == "a int"
    assert str(Expectation(large)).endswith("large accepts")
    assert str(Expectation(large, "something large")) == "something large"


def test_a_message_that_several_would_take_goes_where_it_is_needed():
    assignment = Assignment([Expectation(int), Expectation(5), Expectation(lambda m: m < 6)])
    assert assignment.take(5)
    assert assignment.take(1)
    assert assignment.take(9), "only the type takes it, so that the others take 5 and 1"
    assert assignment.missing() == []
    assert assignment.messages() == [9, 5, 1]


def test_a_message_too_many_of_a_kind_is_refused():
    assignment = Assignment([Expectation(int), Expectation(str)])
    assert assignment.take(1)
    assert not assignment.take(2)
    assert [str(one) for one in assignment.missing()] == ["a str"]


@given(st.lists(st.integers(0, 5), max_size=7), st.randoms())
def test_whatever_the_order_the_messages_that_were_expected_fulfil_the_expectations(numbers, rng):
    bounds = list(numbers)
    rng.shuffle(numbers)
    assignment = Assignment([Expectation(lambda m, bound=bound: m <= bound) for bound in bounds])
    assert all(assignment.take(number) for number in numbers)
    assert assignment.missing() == []
    assert sorted(assignment.messages()) == sorted(bounds)
    assert all(
        message <= bound for message, bound in zip(assignment.messages(), bounds, strict=True)
    )
