"""Quotas: the whole, or a share of it that still lets something through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.gateway.limits.quotas import Quotas
from apex_actors.gateway.settings import LimitSettings


def quotas(**settings):
    return Quotas(LimitSettings(**settings), largest_message_bytes=8192)


def test_alone_a_process_has_the_whole():
    alone = quotas(messages_per_s=20, messages_burst=100, connections_per_user=20)
    alone.share(1)
    assert (alone.messages.rate_per_s, alone.messages.burst) == (20, 100)
    assert alone.connections_per_user == 20


def test_a_share_is_an_equal_part_of_rate_and_burst():
    shared = quotas(
        messages_per_s=20, messages_burst=100, bytes_per_s=1000, bytes_burst=100_000,
        handshakes_per_s=10, handshakes_burst=50, connections_per_user=20,
    )  # fmt: skip
    shared.share(5)
    assert (shared.messages.rate_per_s, shared.messages.burst) == (4, 20)
    assert (shared.bytes.rate_per_s, shared.bytes.burst) == (200, 20_000)
    assert (shared.handshakes.rate_per_s, shared.handshakes.burst) == (2, 10)
    assert shared.connections_per_user == 4
    shared.share(1)
    assert (shared.bytes.rate_per_s, shared.bytes.burst) == (1000, 100_000)


@given(st.integers(1, 10_000))
def test_no_share_is_so_small_that_nothing_passes(processes):
    shared = quotas()
    shared.share(processes)
    assert shared.messages.burst >= 1
    assert shared.handshakes.burst >= 1
    assert shared.bytes.burst >= 8192
    assert shared.connections_per_user >= 1
    assert shared.messages.rate_per_s * processes == pytest.approx(20)


def test_a_share_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least this process"):
        quotas().share(0)


def test_a_burst_that_the_largest_message_never_fits_is_refused():
    with pytest.raises(ValueError, match="max_message_bytes"):
        Quotas(LimitSettings(bytes_burst=8192), largest_message_bytes=8193)
