"""The limits of one process: exact, at once, and no more remembered than needed."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from apex_actors.gateway.limits import NEVER_MS, Limits, Mode, TooManyConnectionsError
from apex_actors.gateway.settings import LimitSettings


@pytest.fixture
def limits(clock):
    """Limits with these settings, alone, on the test's clock."""

    def make(*, largest_message_bytes=8192, max_addresses=50_000, max_departed=20_000, **settings):
        return Limits(
            LimitSettings(**settings),
            clock=clock,
            largest_message_bytes=largest_message_bytes,
            max_addresses=max_addresses,
            max_departed=max_departed,
        )

    return make


# Messages and bytes.


def test_a_user_has_a_burst_of_messages_and_then_the_rate(limits, clock):
    user = limits(messages_per_s=10, messages_burst=3).user("ada")
    assert [user.take(1) for _ in range(4)] == [0, 0, 0, 101]
    clock.go(0.101)
    assert user.take(1) == 0
    assert user.take(1) > 0


def test_a_user_has_a_burst_of_bytes_and_then_the_rate(limits, clock):
    user = limits(bytes_per_s=1000, bytes_burst=8192).user("ada")
    assert user.take(8000) == 0
    assert user.take(192) == 0
    assert user.take(500) == 501
    clock.go(0.501)
    assert user.take(500) == 0


def test_the_wait_is_until_both_may_pass(limits):
    user = limits(messages_per_s=1, messages_burst=1, bytes_per_s=1000, bytes_burst=8192).user("a")
    assert user.take(8192) == 0
    assert user.take(1) == 1001
    assert user.take(5000) == 5001


def test_a_refused_message_takes_nothing(limits, clock):
    user = limits(messages_per_s=1, messages_burst=2, bytes_per_s=1, bytes_burst=8192).user("ada")
    assert user.take(8000) == 0
    for _ in range(100):
        assert user.take(200) > 0
    assert user.take(192) == 0
    clock.go(1.0)
    for _ in range(100):
        assert user.take(192) > 0
    assert user.take(1) == 0


def test_a_message_that_is_more_than_the_burst_never_passes_and_says_so(limits, clock):
    user = limits(bytes_burst=8192).user("ada")
    assert user.take(8193) == NEVER_MS
    clock.go(1e6)
    assert user.take(8193) == NEVER_MS
    assert user.take(8192) == 0


def test_all_connections_of_a_user_share_and_users_do_not(limits):
    all_limits = limits(messages_per_s=1, messages_burst=2)
    one, two, other = (all_limits.user(name) for name in ("ada", "ada", "bob"))
    assert one is two
    assert one.take(1) == two.take(1) == 0
    assert one.take(1) > 0
    assert two.take(1) > 0
    assert other.take(1) == 0


@given(
    st.lists(
        st.tuples(st.floats(0, 0.3), st.integers(0, 9000)),
        max_size=100,
    )
)
def test_no_user_gets_more_than_burst_and_rate_of_either(traffic):
    now = [0.0]
    user = Limits(
        LimitSettings(messages_per_s=5, messages_burst=4, bytes_per_s=9000, bytes_burst=16_000),
        clock=lambda: now[0],
    ).user("ada")
    messages = size = 0
    for pause_s, size_bytes in traffic:
        now[0] += pause_s
        if user.take(size_bytes) == 0:
            messages, size = messages + 1, size + size_bytes
        assert messages <= 4 + 5 * now[0] + 1e-6
        assert size <= 16_000 + 9000 * now[0] + 1e-3


# Connections.


def test_a_user_has_as_many_connections_as_the_cap(limits):
    all_limits = limits(connections_per_user=2)
    all_limits.connect("ada")
    all_limits.connect("ada")
    with pytest.raises(TooManyConnectionsError) as refused:
        all_limits.connect("ada")
    assert refused.value.of_user
    assert refused.value.retry_after_ms >= 1
    assert "ada" not in str(refused.value)
    all_limits.connect("bob")
    all_limits.disconnect("ada")
    all_limits.connect("ada")


def test_a_process_has_as_many_connections_as_its_cap(limits):
    all_limits = limits(connections_per_node=2)
    all_limits.connect("ada")
    all_limits.connect("bob")
    with pytest.raises(TooManyConnectionsError) as refused:
        all_limits.connect("cy")
    assert not refused.value.of_user
    assert all_limits.statistics().users == 2
    all_limits.disconnect("bob")
    all_limits.connect("cy")


def test_a_connection_is_taken_back_once(limits):
    all_limits = limits()
    with pytest.raises(ValueError, match="once for each"):
        all_limits.disconnect("ada")
    all_limits.connect("ada")
    all_limits.disconnect("ada")
    with pytest.raises(ValueError, match="once for each"):
        all_limits.disconnect("ada")
    held = all_limits.user("ada")
    held.release()
    with pytest.raises(ValueError, match="once for each"):
        held.release()


def test_nobody_is_over_the_cap_in_a_process_that_is_alone(limits):
    all_limits = limits(connections_per_user=1)
    all_limits.connect("ada")
    assert all_limits.excess("ada") == 0
    assert all_limits.excess("nobody") == 0


# What is remembered.


def test_who_leaves_and_comes_back_gets_no_new_burst(limits, clock):
    all_limits = limits(messages_per_s=1, messages_burst=5)
    user = all_limits.user("ada")
    assert [user.take(1) for _ in range(5)] == [0] * 5
    user.release()
    all_limits.sweep()
    assert all_limits.user("ada").take(1) > 0
    clock.go(1.001)
    assert all_limits.user("ada").take(1) == 0


def test_a_user_is_forgotten_when_it_has_gone_and_its_buckets_are_full(limits, clock):
    all_limits = limits(messages_per_s=1, messages_burst=5)
    all_limits.connect("ada")
    user = all_limits.user("ada")
    user.take(1)
    clock.go(10)
    all_limits.sweep()
    all_limits.disconnect("ada")
    all_limits.sweep()
    assert all_limits.statistics().users == 1
    user.take(1)
    user.release()
    all_limits.sweep()
    assert all_limits.statistics().users == 1
    clock.go(1)
    all_limits.sweep()
    assert all_limits.statistics().users == 0
    assert all_limits.active_users == {}


def test_users_who_left_take_a_bounded_room(limits):
    all_limits = limits(messages_per_s=0.001, max_departed=10)
    for number in range(1000):
        user = all_limits.user(f"user {number}")
        user.take(1)
        user.release()
    assert all_limits.statistics().users == 10
    assert len(all_limits.active_users) == 10
    assert all_limits.user("user 999") in all_limits.active_users


def test_an_attack_from_a_million_addresses_takes_a_bounded_room(limits):
    all_limits = limits(max_addresses=1000)
    for number in range(2000):
        all_limits.handshake(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(8000):
            all_limits.handshake(f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # As new objects take the place of old ones that were not traced: a thousand, and no more.
    assert grown < 1000 * 1000
    assert all_limits.statistics().addresses == 1000


# Handshakes.


def test_an_address_has_its_burst_of_handshakes_and_is_told_to_wait(limits, clock):
    all_limits = limits(handshakes_per_s=2, handshakes_burst=2)
    assert [all_limits.handshake("192.0.2.1") for _ in range(3)] == [0, 0, 501]
    assert all_limits.handshake("::ffff:192.0.2.1") == 501
    clock.go(0.501)
    assert all_limits.handshake("192.0.2.1") == 0
    assert all_limits.statistics().handshakes_refused == 2


# Modes.


def test_away_from_the_others_each_has_its_share_and_the_whole_again_later(limits, clock):
    all_limits = limits(
        messages_per_s=10, messages_burst=100, connections_per_user=10,
        handshakes_per_s=10, handshakes_burst=10,
    )  # fmt: skip
    user = all_limits.user("ada")
    all_limits.know(5)
    all_limits.go_away()
    clock.go(0.001)
    assert [user.take(1) for _ in range(21)].count(0) == 20
    clock.go(1)
    assert [user.take(1) for _ in range(20)].count(0) == 2
    assert [all_limits.handshake("192.0.2.1") for _ in range(10)].count(0) == 2
    for _ in range(2):
        all_limits.connect("ada")
    with pytest.raises(TooManyConnectionsError):
        all_limits.connect("ada")
    all_limits.go_shared()
    assert all_limits.statistics().mode is Mode.SHARED
    # What it used of its share is missing from the whole, and no more.
    assert [user.take(1) for _ in range(100)].count(0) == 80
    all_limits.connect("ada")


def test_connections_that_there_are_stay_when_the_share_is_less(limits):
    all_limits = limits(connections_per_user=10)
    for _ in range(10):
        all_limits.connect("ada")
    all_limits.know(5)
    all_limits.go_away()
    assert all_limits.excess("ada") == 0
    assert all_limits.statistics().connections == 10


def test_used_long_ago_is_not_told_later(limits, clock):
    all_limits = limits(messages_per_s=10, messages_burst=100)
    user = all_limits.user("ada")
    for _ in range(1000):
        clock.go(0.1)
        assert user.take(100) == 0
    all_limits.go_shared()
    (told,) = (user.tell() for user in list(all_limits.active_users))
    assert told.taken[0] <= 1.001


# Statistics.


def test_statistics_tell_what_there_is_and_what_happened(limits):
    all_limits = limits(messages_burst=1, connections_per_user=1)
    all_limits.connect("ada")
    user = all_limits.user("ada")
    user.take(1)
    user.take(1)
    with pytest.raises(TooManyConnectionsError):
        all_limits.connect("ada")
    all_limits.handshake("192.0.2.1")
    now = all_limits.statistics()
    assert (now.mode, now.processes) == (Mode.ALONE, 1)
    assert (now.users, now.connections, now.addresses) == (1, 1, 1)
    assert (now.messages_refused, now.connections_refused, now.handshakes_refused) == (1, 1, 0)
    assert (now.exchanges, now.failures, now.evictions, now.connections_closed) == (0, 0, 0, 0)


@pytest.mark.parametrize("wrong", [{"max_departed": -1}, {"cap_grace_s": -1}, {"max_addresses": 0}])
def test_bounds_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        Limits(**wrong)


class Comings(RuleBasedStateMachine):
    """People come, hold, take and go in any order: the books are always right."""

    def __init__(self):
        super().__init__()
        self.now_s = 0.0
        self.limits = Limits(
            LimitSettings(connections_per_user=3, connections_per_node=5, messages_per_s=1),
            clock=lambda: self.now_s,
            max_departed=2,
        )
        self.connected = []
        self.held = []

    names = st.sampled_from("abc")

    @rule(name=names)
    def connect(self, name):
        own = self.connected.count(name)
        if own < 3 and len(self.connected) < 5:
            self.limits.connect(name)
            self.connected.append(name)
            return
        with pytest.raises(TooManyConnectionsError) as refused:
            self.limits.connect(name)
        assert refused.value.of_user == (own >= 3)

    @precondition(lambda self: self.connected)
    @rule(data=st.data())
    def disconnect(self, data):
        name = data.draw(st.sampled_from(self.connected))
        self.connected.remove(name)
        self.limits.disconnect(name)

    @rule(name=names)
    def hold(self, name):
        user = self.limits.user(name)
        assert all(user is other for other in self.held if other.key == name)
        self.held.append(user)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), size_bytes=st.integers(0, 10_000))
    def take(self, data, size_bytes):
        data.draw(st.sampled_from(self.held)).take(size_bytes)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data):
        user = data.draw(st.sampled_from(self.held))
        self.held.remove(user)
        user.release()

    @rule(seconds=st.floats(0, 100))
    def go(self, seconds):
        self.now_s += seconds
        self.limits.sweep()

    @rule(processes=st.integers(1, 4))
    def change_mode(self, processes):
        self.limits.know(processes)
        self.limits.go_away()
        self.limits.go_alone()

    @invariant()
    def the_books_are_right(self):
        now = self.limits.statistics()
        in_use = {*self.connected, *(user.key for user in self.held)}
        assert now.connections == len(self.connected)
        assert len(in_use) <= now.users <= len(in_use) + 2
        assert len(self.limits.active_users) <= now.users


TestComings = Comings.TestCase
TestComings.settings = settings(max_examples=40, stateful_step_count=40)
