"""Published keys in use: rotation, one look for all, and keys that outlive a failing issuer."""

import asyncio
import logging

import jwt
import pytest

from apex_actors.gateway.auth import (
    InvalidTokenError,
    KeysUnavailableError,
    KeyWatch,
    PublishedKeys,
    TokenVerifier,
    UnknownKeyError,
    watch_interval_s,
)
from apex_actors.gateway.auth.jwks import Published
from apex_actors.gateway.settings import Algorithm, AuthSettings

SETTINGS = AuthSettings(
    algorithm="RS256", jwks_url="https://id.example/keys", jwks_timeout_s=5, jwks_cooldown_s=10
)


class FakeClock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


class FakeSource:
    """Publishes ``data``, or raises it; a look waits while ``open`` is not set."""

    def __init__(self, data=b""):
        self.data = data
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()

    async def read(self, known):
        self.reads += 1
        await self.open.wait()
        if isinstance(self.data, Exception):
            raise self.data
        return None if self.data == known else Published(self.data, self.data)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def source(key_one):
    return FakeSource(key_one)


@pytest.fixture
def key_one(rsa_key, jwk_of, key_set):
    return key_set(jwk_of(rsa_key, kid="one"))


@pytest.fixture
def key_two(other_rsa_key, jwk_of, key_set):
    return key_set(jwk_of(other_rsa_key, kid="two"))


@pytest.fixture
async def keys(source, clock):
    keys = PublishedKeys(
        source=source, algorithm=Algorithm.RS256, timeout_s=5, cooldown_s=10, clock=clock
    )
    yield keys
    await keys.close()


@pytest.fixture
def verifier(keys):
    return TokenVerifier(keys=keys, settings=SETTINGS)


@pytest.fixture
def signed(rsa_key, other_rsa_key, now_s):
    """A good token of a key: ``signed("one")``; ``signed("one", kid=…)`` says another id."""

    def make(name, **header):
        key = {"one": rsa_key, "two": other_rsa_key}[name]
        claims = {"iss": "apex", "aud": "apex", "sub": "ann", "iat": now_s, "exp": now_s + 600}
        header = {"kid": name} | header
        headers = {name: value for name, value in header.items() if value is not None}
        return jwt.encode(claims, key, algorithm="RS256", headers=headers)

    return make


async def test_nothing_is_known_before_the_first_look(verifier, keys, signed):
    with pytest.raises(UnknownKeyError):
        verifier.verify(signed("one"))
    assert await keys.look()
    assert verifier.verify(signed("one")).identity.sub == "ann"


async def test_an_unknown_key_is_found_by_one_look(verifier, keys, source, signed, key_two):
    await keys.look()
    source.data = key_two
    assert (await verifier.authenticate(signed("two"))).identity.sub == "ann"
    with pytest.raises(InvalidTokenError):
        verifier.verify(signed("one"))  # taken back by the issuer
    assert source.reads == 2


async def test_a_flood_of_unknown_keys_causes_one_look(verifier, keys, source, signed):
    await keys.look()
    flood = [signed("one", kid=f"unknown {number}") for number in range(50)]
    source.open.clear()
    waiting = [asyncio.create_task(verifier.authenticate(token)) for token in flood[:25]]
    await asyncio.sleep(0)
    source.open.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, InvalidTokenError) for result in results)
    assert source.reads == 2
    for token in flood[25:]:
        with pytest.raises(InvalidTokenError) as refused:
            await verifier.authenticate(token)
        assert not isinstance(refused.value, UnknownKeyError), "nothing to wait for"
    assert await verifier.refresh_keys() is False
    assert source.reads == 2
    assert verifier.verify(signed("one")), "known keys are as good as before"


async def test_after_the_cool_down_one_more_look_is_allowed(
    verifier, keys, source, clock, signed, key_two
):
    await keys.look()
    with pytest.raises(InvalidTokenError):
        await verifier.authenticate(signed("two"))
    source.data = key_two
    clock.now_s = 9.9
    with pytest.raises(InvalidTokenError):
        await verifier.authenticate(signed("two"))
    clock.now_s = 10.0
    assert await verifier.authenticate(signed("two"))
    assert source.reads == 3


async def test_a_look_that_fails_starts_the_cool_down_too(verifier, keys, source, signed):
    await keys.look()
    source.data = KeysUnavailableError("away")
    with pytest.raises(InvalidTokenError):
        await verifier.authenticate(signed("two"))
    with pytest.raises(InvalidTokenError):
        await verifier.authenticate(signed("two"))
    assert source.reads == 2


async def test_the_cool_down_begins_when_the_look_ends(verifier, keys, source, clock, signed):
    await keys.look()
    source.open.clear()
    waiting = asyncio.create_task(verifier.authenticate(signed("two")))
    await asyncio.sleep(0)
    clock.now_s = 4.0
    source.open.set()
    with pytest.raises(InvalidTokenError):
        await waiting
    clock.now_s = 13.9
    assert await verifier.refresh_keys() is False
    clock.now_s = 14.0
    assert await verifier.refresh_keys() is False  # read, and nothing has changed
    assert source.reads == 3


async def test_who_waits_for_a_look_may_go_away(verifier, source, signed):
    source.open.clear()
    first = asyncio.create_task(verifier.authenticate(signed("one")))
    second = asyncio.create_task(verifier.authenticate(signed("one")))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    source.open.set()
    assert (await second).identity.sub == "ann"
    assert source.reads == 1


async def test_a_look_takes_no_longer_than_its_limit(source, clock, signed, caplog):
    source.open.clear()
    keys = PublishedKeys(
        source=source, algorithm=Algorithm.RS256, timeout_s=0.02, cooldown_s=10, clock=clock
    )
    verifier = TokenVerifier(keys=keys, settings=SETTINGS)
    with pytest.raises(InvalidTokenError):
        await verifier.authenticate(signed("one"))
    assert "no answer within 0.02 s" in caplog.text


@pytest.mark.parametrize(
    "failure", [KeysUnavailableError("away"), RuntimeError("a bug"), b"<html>", b'{"keys": []}']
)
async def test_known_keys_outlive_an_issuer_that_fails_and_one_line_says_so(
    verifier, keys, source, signed, caplog, key_one, failure
):
    await keys.look()
    source.data = failure
    for _ in range(3):
        assert await keys.look() is False
    assert keys.is_failing
    assert verifier.verify(signed("one"))
    level = logging.ERROR if isinstance(failure, RuntimeError) else logging.WARNING
    assert [record.levelno for record in caplog.records] == [level]
    caplog.clear()
    source.data = key_one
    await keys.look()
    assert not keys.is_failing
    assert "read again" in caplog.text


async def test_a_token_without_a_key_id_is_checked_with_the_only_key(
    verifier, keys, source, signed, rsa_key, other_rsa_key, jwk_of, key_set
):
    await keys.look()
    nameless = signed("one", kid=None)
    assert verifier.verify(nameless)
    source.data = key_set(jwk_of(rsa_key, kid="one"), jwk_of(other_rsa_key, kid="two"))
    await keys.look()
    with pytest.raises(InvalidTokenError) as refused:
        verifier.verify(nameless)
    assert not isinstance(refused.value, UnknownKeyError), "a look would not help"


async def test_close_ends_a_look_and_whoever_waits_for_it(verifier, keys, source, signed):
    source.open.clear()
    waiting = asyncio.create_task(verifier.authenticate(signed("one")))
    await asyncio.sleep(0)
    await keys.close()
    with pytest.raises(InvalidTokenError):
        await waiting


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"algorithm": Algorithm.HS256}, "secrets"),
        ({"timeout_s": 0}, "more than 0"),
        ({"cooldown_s": -1}, "more than 0"),
    ],
)
async def test_values_that_make_no_sense_are_refused(source, wrong, reason):
    good = {"source": source, "algorithm": Algorithm.RS256, "timeout_s": 1, "cooldown_s": 1}
    with pytest.raises(ValueError, match=reason):
        PublishedKeys(**(good | wrong))


def test_settings_without_published_keys_have_none():
    with pytest.raises(ValueError, match="jwks_file"):
        PublishedKeys.of(AuthSettings())


# The watch.


@pytest.fixture
def watch(keys):
    """Start a watch of the keys."""
    return lambda **options: KeyWatch.start(keys=keys, **({"interval_s": 60} | options))


async def test_the_first_keys_are_there_when_the_watch_has_started(watch, verifier, signed):
    ref = watch()
    await ref.started()
    assert verifier.verify(signed("one"))
    await ref.stop_async()


async def test_a_watch_starts_without_its_issuer_and_looks_again_soon(
    watch, verifier, source, signed, eventually, key_one, mocker
):
    mocker.patch("apex_actors.gateway.auth.key_watch.RETRY_S", 0.01)
    source.data = KeysUnavailableError("away")
    ref = watch()
    await ref.started()
    await eventually(lambda: source.reads >= 3)
    source.data = key_one
    await eventually(lambda: _accepts(verifier, signed("one")))
    await ref.stop_async()


async def test_keys_change_without_a_restart(watch, verifier, source, signed, eventually, key_two):
    ref = watch(interval_s=0.01)
    await ref.started()
    source.data = key_two
    await eventually(lambda: _accepts(verifier, signed("two")))
    with pytest.raises(InvalidTokenError):
        verifier.verify(signed("one"))
    await ref.stop_async()


async def test_a_look_ends_with_the_watch(watch, source, eventually):
    ref = watch(interval_s=0.01)
    await ref.started()
    source.open.clear()
    reads = source.reads
    await eventually(lambda: source.reads > reads)
    ref.kill()
    await ref.stopped()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "look for keys"] == []


def test_a_file_is_looked_at_more_often_than_a_server(tmp_path):
    file = AuthSettings(algorithm="RS256", jwks_file=tmp_path, jwks_refresh_s=300)
    assert watch_interval_s(file) == 2
    assert watch_interval_s(file.model_copy(update={"jwks_refresh_s": 0.5})) == 0.5
    assert watch_interval_s(SETTINGS) == 300


async def test_an_interval_of_nothing_is_refused(keys):
    with pytest.raises(ValueError, match="interval_s"):
        KeyWatch(keys=keys, interval_s=0)


def _accepts(verifier, token):
    try:
        return verifier.verify(token)
    except InvalidTokenError:
        return None
