"""The two moments of a token."""

from datetime import UTC, datetime, timedelta

import pytest

from apex_actors.gateway.token_life import TokenLife

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.at = START

    def __call__(self):
        return self.at

    def go_on(self, seconds):
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


def life(clock, *, lives_s, grace_s=0.0):
    expires_at = START + timedelta(seconds=lives_s)
    return TokenLife(expires_at, notice_s=60.0, grace_s=grace_s, now=clock)


def test_it_is_announced_before_it_expires_and_over_when_it_has(clock):
    token = life(clock, lives_s=600)
    assert token.due_s() == 540
    clock.go_on(540)
    assert (token.due_s(), token.is_over) == (0, False)
    assert token.announce() == 60
    assert token.due_s() == 60
    clock.go_on(60)
    assert (token.due_s(), token.is_over) == (0, True)


def test_one_that_lives_shorter_than_the_notice_is_announced_at_once(clock):
    token = life(clock, lives_s=30)
    assert token.due_s() == 0
    assert token.announce() == 30


def test_a_grace_keeps_its_connection_a_little_longer(clock):
    token = life(clock, lives_s=10, grace_s=5)
    token.announce()
    clock.go_on(12)
    assert (token.due_s(), token.is_over) == (3, False)
    clock.go_on(3)
    assert token.is_over


def test_who_is_late_announces_it_all_the_same_and_says_none_is_left(clock):
    token = life(clock, lives_s=10)
    clock.go_on(100)
    assert not token.is_over
    assert token.announce() == 0
    assert token.is_over
