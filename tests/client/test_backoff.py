"""Delays between attempts to connect."""

from random import Random

import pytest

from apex_actors.client import Backoff


class Highest(Random):
    """Always the upper end."""

    def uniform(self, a, b):  # noqa: ARG002 - the base class names them
        return b


def test_delays_double_up_to_the_cap_and_begin_again():
    backoff = Backoff(base_s=1, cap_s=5, random=Highest())

    delays = [backoff.next_delay_s() for _ in range(5)]
    backoff.reset()

    assert delays == [1, 2, 4, 5, 5]
    assert backoff.next_delay_s() == 1


def test_delays_are_spread_over_the_whole_range():
    """Full jitter: clients that lost the same server do not come back together."""
    random = Random(7)  # noqa: S311 - repeatable
    delays = [Backoff(base_s=1, cap_s=1, random=random).next_delay_s() for _ in range(200)]

    assert min(delays) < 0.1
    assert max(delays) > 0.9
    assert 0.4 < sum(delays) / len(delays) < 0.6


def test_a_thousand_attempts_do_not_overflow():
    backoff = Backoff(base_s=0.25, cap_s=15)

    assert all(0 <= backoff.next_delay_s() <= 15 for _ in range(2000))


def test_after_a_flood_the_delay_is_long():
    backoff = Backoff(base_s=1, cap_s=8, random=Random(7))  # noqa: S311 - repeatable

    assert all(4 <= backoff.long_delay_s() <= 8 for _ in range(100))
    assert backoff.next_delay_s() <= 1


@pytest.mark.parametrize(("base_s", "cap_s"), [(0, 1), (-1, 1), (2, 1)])
def test_limits_that_make_no_sense_are_refused(base_s, cap_s):
    with pytest.raises(ValueError, match="base_s"):
        Backoff(base_s=base_s, cap_s=cap_s)
