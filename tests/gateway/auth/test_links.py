"""Signed links: one path, for a while, and nothing else."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.gateway.auth import LinkSigner
from apex_actors.storage.errors import StorageUnavailableError

PATH = "/api/runs/0b1c/charts/by_model.svg"
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def signer(clock):
    return LinkSigner(key=b"k" * 32, lifetime_s=3600, now=clock)


def taken_apart(url):
    parts = urlsplit(url)
    query = parse_qs(parts.query, strict_parsing=True)
    assert query.keys() == {"expires", "signature"}
    return parts.path, query["expires"][0], query["signature"][0]


def test_a_signed_link_opens_its_path(signer):
    url = signer.sign(PATH)
    assert url.startswith(f"{PATH}?expires=")
    assert signer.verify(*taken_apart(url))


def test_a_link_ends_with_its_lifetime(signer, clock):
    link = taken_apart(signer.sign(PATH))
    clock.now = NOW + timedelta(seconds=3599)
    assert signer.verify(*link)
    clock.now = NOW + timedelta(seconds=3600)
    assert not signer.verify(*link)


def test_another_node_with_the_key_knows_the_link_and_one_without_does_not(signer, clock):
    link = taken_apart(signer.sign(PATH))
    assert LinkSigner(key=b"k" * 32, lifetime_s=60, now=clock).verify(*link)
    assert not LinkSigner(key=b"o" * 32, lifetime_s=3600, now=clock).verify(*link)


def test_before_the_key_is_known_nothing_is_signed_and_no_link_is_called_bad(signer, clock):
    late = LinkSigner(lifetime_s=3600, now=clock)
    link = taken_apart(signer.sign(PATH))
    with pytest.raises(StorageUnavailableError):
        late.sign(PATH)
    with pytest.raises(StorageUnavailableError):
        late.verify(*link)
    with pytest.raises(ValueError, match="32 bytes"):
        late.use(b"short")
    late.use(b"k" * 32)
    assert late.verify(*link)
    assert late.sign(PATH) == signer.sign(PATH)


_, EXPIRES, SIGNATURE = taken_apart(
    LinkSigner(key=b"k" * 32, lifetime_s=3600, now=lambda: NOW).sign(PATH)
)


@pytest.mark.parametrize(
    ("path", "expires", "signature"),
    [
        (PATH + "x", EXPIRES, SIGNATURE),
        (PATH.upper(), EXPIRES, SIGNATURE),
        ("", EXPIRES, SIGNATURE),
        (PATH + "?x=1", EXPIRES, SIGNATURE),
        (PATH + "\n", EXPIRES, SIGNATURE),
        (PATH.replace("/", "%2F"), EXPIRES, SIGNATURE),
        (f"{PATH}\n1", "1", SIGNATURE),
        (PATH, str(int(EXPIRES) + 1), SIGNATURE),
        (PATH, f"0{EXPIRES}", SIGNATURE),
        (PATH, f"+{EXPIRES}", SIGNATURE),
        (PATH, f" {EXPIRES}", SIGNATURE),
        (PATH, f"{EXPIRES}\n", SIGNATURE),
        (PATH, f"{EXPIRES}.0", SIGNATURE),
        (PATH, f"{EXPIRES[:4]}_{EXPIRES[4:]}", SIGNATURE),
        (PATH, EXPIRES.replace("1", "\u0661"), SIGNATURE),
        (PATH, "9" * 5000, SIGNATURE),
        (PATH, "", SIGNATURE),
        (PATH, "-1", SIGNATURE),
        (PATH, EXPIRES, ""),
        (PATH, EXPIRES, SIGNATURE[:-1]),
        (PATH, EXPIRES, SIGNATURE + "="),
        (PATH, EXPIRES, SIGNATURE + "A"),
        (PATH, EXPIRES, SIGNATURE.swapcase()),
        (PATH, EXPIRES, "\u00e4" * 43),
        (PATH, EXPIRES, "\ud800" * 43),
        (PATH, EXPIRES, "A" * 43),
    ],
)
def test_what_differs_in_anything_is_refused(signer, path, expires, signature):
    assert not signer.verify(path, expires, signature)


@given(st.text(), st.text(), st.text())
def test_nothing_that_was_not_signed_opens_or_breaks_anything(path, expires, signature):
    signer = LinkSigner(key=b"k" * 32, lifetime_s=3600)
    assert signer.verify(path, expires, signature) is False


@pytest.mark.parametrize("path", ["", "api", "/a?b", "/a#b", "/a b", "/a%20b", "/ä", "/a\n"])
def test_what_is_no_plain_path_is_not_signed(signer, path):
    with pytest.raises(ValueError, match="path"):
        signer.sign(path)


@pytest.mark.parametrize("wrong", [{"key": b"short"}, {"lifetime_s": 0}])
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError):
        LinkSigner(**({"key": b"k" * 32, "lifetime_s": 60} | wrong))
