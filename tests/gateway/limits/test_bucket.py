"""The token bucket: never more than burst + rate * t, whatever the clock and the traffic do."""

import math
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apex_actors.gateway.limits.bucket import NEVER_MS, Quota, SharedBucket, TokenBucket

rates = st.floats(0.01, 1e6)
bursts = st.integers(1, 10**6)
#: A machine may be up for a year.
starts = st.floats(0, 3e7)
pauses = st.one_of(st.just(0.0), st.floats(0, 0.1), st.floats(0, 1e4))


@st.composite
def traffic(draw, pauses=pauses):
    """A quota, when it begins, and requests: each so long after the one before, of that size."""
    quota = Quota(draw(rates), draw(bursts))
    sizes = st.floats(0, quota.burst * 1.5)
    requests = draw(st.lists(st.tuples(pauses, sizes), min_size=1, max_size=60))
    return quota, draw(starts), requests


def moments(start, requests):
    return list(accumulate((pause for pause, _ in requests), initial=start))[1:]


def passed(quota, start, requests):
    """When what passed, and how much."""
    bucket = TokenBucket(quota, now_s=start)
    times = moments(start, requests)
    return [
        (now, size)
        for now, (_, size) in zip(times, requests, strict=True)
        if bucket.take(size, now_s=now) == 0
    ]


@given(traffic())
def test_no_window_lets_more_through_than_the_burst_and_what_came_in(traffic):
    quota, start, requests = traffic
    through = passed(quota, start, requests)
    for first, (begin, _) in enumerate(through):
        total = Fraction(0)
        for end, size in through[first:]:
            total += Fraction(size)
            most = Fraction(quota.burst) + Fraction(quota.rate_per_s) * (
                Fraction(end) - Fraction(begin)
            )
            assert total <= most * (1 + Fraction(1, 10**9))


@given(traffic())
@example((Quota(0.1, 1), 0.0, [(0.1, 0.1)] * 60))
def test_it_decides_as_exact_arithmetic_does(traffic):
    quota, start, requests = traffic
    bucket, tokens, at = TokenBucket(quota, now_s=start), Fraction(quota.burst), Fraction(start)
    for now, (_, size) in zip(moments(start, requests), requests, strict=True):
        came_in = (Fraction(now) - at) * Fraction(quota.rate_per_s)
        tokens, at = min(Fraction(quota.burst), tokens + came_in), Fraction(now)
        taken = bucket.take(size, now_s=now) == 0
        slack = Fraction(quota.burst) / 10**9
        if abs(tokens - Fraction(size)) > slack:
            assert taken == (tokens >= Fraction(size))
        if taken:
            tokens -= Fraction(size)
        assert abs(Fraction(bucket.tokens) - tokens) <= slack


@given(traffic())
def test_what_is_refused_takes_nothing_and_passes_after_the_wait_it_was_told(traffic):
    quota, start, requests = traffic
    bucket = TokenBucket(quota, now_s=start)
    now = start
    for pause, size in requests:
        now += pause
        before = bucket.refill(now)
        wait_ms = bucket.take(size, now_s=now)
        if wait_ms == 0:
            assert bucket.tokens == before - size
            continue
        assert wait_ms >= 1
        assert bucket.tokens == before
        if size > quota.burst:
            assert wait_ms == NEVER_MS
        elif wait_ms < NEVER_MS:
            now += wait_ms / 1000
            assert bucket.take(size, now_s=now) == 0


@given(traffic())
def test_the_wait_is_no_longer_than_it_must_be(traffic):
    quota, start, requests = traffic
    bucket = TokenBucket(quota, now_s=start)
    for now, (_, size) in zip(moments(start, requests), requests, strict=True):
        wait_ms = bucket.take(size, now_s=now)
        if 1 < wait_ms < NEVER_MS:
            early_s = (wait_ms - 1.01) / 1000
            assert bucket.tokens + early_s * quota.rate_per_s < size


@given(traffic(st.floats(-1e3, 1e3)))
def test_a_clock_that_goes_back_grants_nothing(traffic):
    quota, start, requests = traffic
    through = passed(quota, start, requests)
    furthest = max(start, *moments(start, requests))
    most = quota.burst + quota.rate_per_s * (furthest - start)
    assert math.fsum(size for _, size in through) <= most * (1 + 1e-9)


@given(traffic(), st.floats(1e9, 1e300))
def test_after_a_huge_pause_it_is_full_and_no_fuller(traffic, pause):
    quota, start, requests = traffic
    bucket = TokenBucket(quota, now_s=start)
    for now, (_, size) in zip(moments(start, requests), requests, strict=True):
        bucket.take(size, now_s=now)
    assert bucket.refill(start + pause) == quota.burst
    assert bucket.missing(start + pause) == 0


@given(traffic(), st.floats(0, 1e3))
def test_more_time_never_leaves_less(traffic, later):
    quota, start, requests = traffic
    bucket = TokenBucket(quota, now_s=start)
    now = start
    for pause, size in requests:
        now += pause
        bucket.take(size, now_s=now)
    before = bucket.tokens
    assert bucket.refill(now + later) >= before


def test_a_million_small_takes_do_not_drift():
    quota = Quota(65_536, 524_288)
    bucket = TokenBucket(quota, now_s=1e6)
    now, through = 1e6, 0
    for _ in range(1_000_000):
        now += 0.001
        through += 100 if bucket.take(100, now_s=now) == 0 else 0
    assert through == pytest.approx(quota.burst + quota.rate_per_s * (now - 1e6), abs=101)


def test_a_debt_is_paid_off_at_the_rate():
    bucket = TokenBucket(Quota(10, 100), now_s=0)
    bucket.lower_to(-50)
    bucket.lower_to(70)
    assert bucket.wait_ms(1) == 5101
    assert bucket.take(1, now_s=5) == 101
    assert bucket.take(1, now_s=5.101) == 0
    assert bucket.missing(5.101) == pytest.approx(99.99)


def test_a_quota_that_changes_changes_its_buckets():
    quota = Quota(10, 100)
    bucket = TokenBucket(quota, now_s=0)
    quota.change(5, 50)
    assert bucket.refill(0.001) == 50
    assert bucket.take(60, now_s=1) == NEVER_MS
    assert bucket.take(50, now_s=1) == 0
    quota.change(10, 100)
    assert bucket.refill(6) == 50


@pytest.mark.parametrize(
    ("rate_per_s", "burst"),
    [(0, 1), (1, 0), (-1, 1), (math.nan, 1), (1, math.nan), (math.inf, 1), (1, math.inf)],
)
def test_a_quota_without_rate_or_burst_is_refused(rate_per_s, burst):
    with pytest.raises(ValueError, match="more than nothing"):
        Quota(rate_per_s, burst)


# Shared with other processes.


def test_what_is_taken_while_an_answer_is_under_way_is_missing_from_it():
    bucket = SharedBucket(Quota(10, 100), now_s=0)
    bucket.pass_on(30)
    assert bucket.tell() == 30
    bucket.pass_on(20)
    bucket.hear(60, now_s=0)
    assert bucket.tokens == 40
    assert bucket.tell() == 20
    assert bucket.tell() == 0


def test_an_answer_never_gives_more_than_there_was():
    bucket = SharedBucket(Quota(10, 100), now_s=0)
    bucket.pass_on(70)
    bucket.tell()
    bucket.hear(95, now_s=0)
    assert bucket.tokens == 30
    bucket.hear(20, now_s=1)
    assert bucket.tokens == 20


def test_what_was_not_told_after_all_is_told_with_what_came_after():
    bucket = SharedBucket(Quota(10, 100), now_s=0)
    bucket.pass_on(30)
    told = bucket.tell()
    bucket.pass_on(5)
    bucket.take_back(told)
    assert bucket.tell() == 35


def test_back_from_a_share_as_much_is_missing_from_the_whole():
    whole, quota = Quota(10, 100), Quota(2, 20)
    bucket = SharedBucket(quota, now_s=0)
    bucket.pass_on(15)
    bucket.rejoin(whole, now_s=5)
    quota.change(10, 100)
    assert (bucket.tokens, bucket.untold) == (95, 5)
    assert bucket.refill(5.5) == 100


@given(traffic())
def test_shared_alone_it_lets_through_what_a_bucket_of_its_own_would(traffic):
    """Told and heard in between or not: nobody else takes of it."""
    quota, start, requests = traffic
    own, copy, common = (
        TokenBucket(quota, now_s=start),
        SharedBucket(quota, now_s=start),
        TokenBucket(quota, now_s=start),
    )
    for number, (now, (_, size)) in enumerate(zip(moments(start, requests), requests, strict=True)):
        passes = own.take(size, now_s=now) == 0
        assert (copy.refill(now) >= size) == passes
        if passes:
            copy.pass_on(size)
        if number % 3 == 0:
            common.refill(now)
            common.tokens -= copy.tell()
            copy.hear(max(common.tokens, own.tokens), now_s=now)
