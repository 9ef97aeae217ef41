"""Handshakes by address: who counts as one, and that no number of them fills the memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.gateway.limits.addresses import AddressBook, network_of
from apex_actors.gateway.limits.bucket import Quota


@pytest.fixture
def book(clock):
    return AddressBook(Quota(1, 3), clock=clock, capacity=100)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"),
        ("2001:db8::1", "2001:0DB8:0:0::2"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("192.0.2.1", "::FFFF:c000:0201"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_addresses_of_one_network_count_as_one(one, other):
    assert network_of(one) == network_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "192.0.2.2"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("2001:db8::1", "2001:db8:0:1::1"),
        ("::1", "1::"),
        ("", "192.0.2.1"),
        ("@socket", "@other"),
    ],
)
def test_addresses_of_different_networks_do_not(one, other):
    assert network_of(one) != network_of(other)


@pytest.mark.parametrize("text", ["", "@abstract", "localhost", "192.0.2.1:80", "192.0.2.01"])
def test_what_is_no_address_counts_as_itself(text):
    assert network_of(text) == text


@given(st.text(max_size=300))
def test_any_text_has_a_short_name(text):
    assert len(network_of(text)) <= 64


@given(st.ip_addresses(v=6))
def test_a_network_has_the_name_of_its_first_64_bits_only(address):
    name = network_of(str(address))
    if address.ipv4_mapped is None:
        assert name == f"{int(address) >> 64:x}/64"
    else:
        assert name == str(address.ipv4_mapped)


def test_an_address_has_its_burst_and_then_its_rate(book, clock):
    assert [book.take("192.0.2.1") for _ in range(4)] == [0, 0, 0, 1001]
    assert book.take("192.0.2.2") == 0
    clock.go(1.001)
    assert book.take("192.0.2.1") == 0
    assert book.take("192.0.2.1") == 1000


def test_addresses_are_forgotten_when_their_buckets_are_full(book, clock):
    book.take("192.0.2.1")
    clock.go(0.5)
    book.take("192.0.2.2")
    book.sweep(100)
    assert len(book) == 2
    clock.go(0.5)
    book.sweep(100)
    assert len(book) == 1
    clock.go(0.5)
    book.sweep(100)
    assert len(book) == 0
    assert book.active == {}


def test_a_sweep_takes_no_more_than_it_may(book, clock):
    for number in range(50):
        book.take(f"192.0.2.{number}")
    clock.go(10)
    book.sweep(20)
    assert len(book) == 30


def test_an_attack_from_more_addresses_than_there_is_room_for_takes_no_more_room(book):
    for number in range(10_000):
        book.take(f"10.0.{number // 256}.{number % 256}")
    assert len(book) == 100
    assert len(book.active) == 100
    assert book.evictions == 9900


def test_whoever_comes_all_the_time_is_not_forgotten_for_others(book):
    for _ in range(3):
        book.take("192.0.2.1")
    for number in range(1000):
        book.take(f"10.0.{number // 256}.{number % 256}")
        if number % 50 == 0:
            assert book.take("192.0.2.1") > 0
    assert book.take("192.0.2.1") > 0


def test_an_address_book_without_room_is_refused(clock):
    with pytest.raises(ValueError, match="at least one"):
        AddressBook(Quota(1, 1), clock=clock, capacity=0)
