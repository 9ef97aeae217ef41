"""Context trim, worked out by hand."""

from datetime import timedelta

import pytest

from apex_actors.costs.levers import Verdict
from apex_actors.costs.levers.memory import MAX_TURNS, Turns


@pytest.fixture
def session(make_request):
    """Turns with these inputs, a minute apart."""

    def make(inputs: list[int], **fields):
        start = make_request().occurred_at
        given = {"session_id": "s", "output_tokens": 0, **fields}
        return [
            make_request(at=start + timedelta(minutes=number), input_tokens=tokens, **given)
            for number, tokens in enumerate(inputs)
        ]

    return make


def needed(inputs: list[int], *, kept_turns: int = 2, gap_s: int = 60) -> list[int]:
    turns = Turns()
    return [
        turns.add(gap_s * number, tokens, kept_turns=kept_turns, window_s=3600)
        for number, tokens in enumerate(inputs)
    ]


def test_the_beginning_and_the_last_turns_are_kept():
    # The 4th leaves out what the 2nd had added to the 1st, the 5th what the 3rd had.
    assert needed([100, 300, 600, 1000, 1500]) == [100, 300, 600, 800, 1000]


def test_a_shorter_prompt_begins_anew():
    assert needed([100, 300, 600, 200, 400, 700]) == [100, 300, 600, 200, 400, 700]


def test_turns_of_an_hour_ago_are_not_looked_at():
    assert needed([100, 300, 600, 1000], gap_s=1801) == [100, 300, 600, 1000]


def test_a_session_remembers_a_bounded_number_of_turns():
    trimmed = needed(list(range(100, 100 + 2 * MAX_TURNS)), gap_s=0)

    # In the end all but the first remembered turn and the last two additions.
    assert trimmed[-1] == 100 + 2 * MAX_TURNS - 1 - (MAX_TURNS - 2)


def test_old_turns_cost_their_input_by_hand(run_lever, session, usd):
    result = run_lever("context_trim", session([100, 300, 600, 1000, 1500]), kept_turns=2)

    # 200 tokens of the 4th and 500 of the 5th at 3 dollars a million.
    assert result.saving == result.standalone == usd((700, "3"))
    (found,) = result.findings
    assert (found.requests, found.trimmed_tokens, found.below_cliff) == (2, 700, 0)


def test_under_a_cliff_all_tokens_are_cheaper_by_hand(run_lever, session, usd):
    made = session([100_000, 150_000, 210_000, 260_000], output_tokens=1000)

    result = run_lever("context_trim", made, kept_turns=2)

    # The 4th falls from 260,000 to 210,000 tokens and stays above 200,000: 50,000 at 6 dollars.
    assert result.saving == usd((50_000, "6"))

    result = run_lever("context_trim", made, kept_turns=1)
    # The 3rd falls from 210,000 at 6 and 22.50 out to 160,000 at 3 and 15 out; the 4th from
    # 260,000 to 150,000.
    third = usd((210_000, "6"), (1000, "22.5")) - usd((160_000, "3"), (1000, "15"))
    fourth = usd((260_000, "6"), (1000, "22.5")) - usd((150_000, "3"), (1000, "15"))
    assert result.saving == third + fourth
    assert result.findings[0].below_cliff == 2


def test_what_caching_would_make_cheaper_is_left_to_it(run_lever, session):
    blocks = tuple(range(20))
    made = [
        request._replace(blocks=blocks[: -(-request.shape.input_tokens // 512)])
        for request in session([5120, 6144, 8192, 9216, 10_240])
    ]

    # The 5th would read 9,216 of 10,240 tokens at a tenth; trimmed it pays 7,168 in full.
    assert run_lever("context_trim", made, kept_turns=2).saving == 0
    assert run_lever("prompt_caching", made, kept_turns=2).saving > 0


def test_what_is_read_from_a_cache_already_is_left_alone(run_lever, session):
    made = session([1000, 3000, 6000, 9000], cache_read_tokens=1000)
    cached = [
        request._replace(
            shape=request.shape._replace(cache_read_tokens=request.shape.input_tokens - 100)
        )
        for request in made
    ]

    assert run_lever("context_trim", cached, kept_turns=2).saving == 0


def test_without_sessions_it_abstains(run_lever, session):
    result = run_lever("context_trim", session([100, 300], session_id=None))

    assert result.verdict is Verdict.ABSTAINS
    assert "session_id" in result.data_needed
