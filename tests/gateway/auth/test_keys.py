"""JWK sets: which keys are used, and which never."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa

from apex_actors.gateway.auth import KeysUnavailableError
from apex_actors.gateway.auth.keys import parse_key_set
from apex_actors.gateway.settings import Algorithm

RS256 = Algorithm.RS256
PRIVATE_PART = "QUJD"


@pytest.fixture
def rsa_jwk(rsa_key, jwk_of):
    return lambda **members: jwk_of(rsa_key, **({"kid": "one"} | members))


def test_keys_are_found_by_their_ids(rsa_jwk, other_rsa_key, jwk_of, key_set):
    keys = parse_key_set(key_set(rsa_jwk(), jwk_of(other_rsa_key, kid="two")), RS256)
    assert keys.by_id.keys() == {"one", "two"}
    assert keys.get("three") is None
    assert keys.get(None) is None, "which of the two it is, nobody knows"


@pytest.mark.parametrize("kid", ["one", None])
def test_the_only_key_is_found_without_an_id(rsa_jwk, key_set, kid):
    keys = parse_key_set(key_set(rsa_jwk(kid=kid)), RS256)
    assert keys.get(None) is not None


def test_a_key_that_is_of_no_use_does_not_count(rsa_jwk, ec_key, jwk_of, key_set):
    keys = parse_key_set(key_set(rsa_jwk(), jwk_of(ec_key, kid="two"), {"kty": "??"}), RS256)
    assert keys.get(None) is not None
    assert keys.get("two") is None


@pytest.mark.parametrize(
    "members",
    [{}, {"alg": None, "use": None}, {"key_ops": ["verify"]}, {"x5t": "abc", "anything": [1]}],
)
def test_what_a_key_leaves_open_does_not_matter(rsa_jwk, key_set, members):
    assert parse_key_set(key_set(rsa_jwk(**members)), RS256).get("one") is not None


@pytest.mark.parametrize(
    "members",
    [
        {"kty": "oct", "k": PRIVATE_PART},
        {"kty": "EC"},
        {"kty": None},
        {"kty": ["RSA"]},
        {"alg": "RS512"},
        {"alg": "PS256"},
        {"alg": "HS256"},
        {"alg": ["RS256"]},
        {"use": "enc"},
        {"use": ["sig"]},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"kid": 7},
        {"kid": ["one"]},
        {"d": PRIVATE_PART},
        {"n": None},
        {"n": "AQAB"},
        {"n": 7},
        {"n": "%%%"},
        {"e": None},
        {"e": "AA"},
        {"e": {"x": 1}},
    ],
)
def test_a_key_that_does_not_fit_is_never_used(rsa_jwk, key_set, members):
    with pytest.raises(KeysUnavailableError, match="none of the 1 keys"):
        parse_key_set(key_set(rsa_jwk(**members)), RS256)


def test_a_weak_rsa_key_is_never_used(jwk_of, key_set):
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - it is to be refused
    with pytest.raises(KeysUnavailableError):
        parse_key_set(key_set(jwk_of(weak, kid="one")), RS256)


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256K1()])
def test_es256_takes_p256_only(jwk_of, key_set, ec_key, curve):
    other = ec.generate_private_key(curve)
    assert parse_key_set(key_set(jwk_of(ec_key)), Algorithm.ES256).only is not None
    with pytest.raises(KeysUnavailableError):
        parse_key_set(key_set(jwk_of(other)), Algorithm.ES256)


def test_a_point_that_is_not_on_the_curve_is_never_used(jwk_of, key_set, ec_key):
    jwk = jwk_of(ec_key)
    with pytest.raises(KeysUnavailableError):
        parse_key_set(key_set(jwk | {"x": jwk["y"]}), Algorithm.ES256)


def test_eddsa_takes_ed25519_only(jwk_of, key_set, ed_key):
    jwk = jwk_of(ed_key)
    assert parse_key_set(key_set(jwk), Algorithm.EDDSA).only is not None
    other = jwt.algorithms.OKPAlgorithm.to_jwk(
        ed448.Ed448PrivateKey.generate().public_key(), as_dict=True
    )
    for wrong in (other, jwk | {"crv": "X25519"}, jwk | {"x": "AAAA"}):
        with pytest.raises(KeysUnavailableError):
            parse_key_set(key_set(wrong), Algorithm.EDDSA)


def test_a_secret_algorithm_has_no_published_keys(key_set):
    shared = {"kty": "oct", "k": "QUJD" * 20, "alg": "HS256", "kid": "one"}
    with pytest.raises(KeysUnavailableError):
        parse_key_set(key_set(shared), Algorithm.HS256)


def test_of_two_keys_with_one_id_the_first_counts(rsa_key, other_rsa_key, jwk_of, key_set):
    both = [jwk_of(key, kid="one") for key in (rsa_key, other_rsa_key)]
    check = parse_key_set(key_set(*both), RS256).get("one")
    first, second = (
        jwt.encode({}, key, algorithm="RS256").rsplit(".", 1) for key in (rsa_key, other_rsa_key)
    )
    decode = jwt.utils.base64url_decode
    assert check(first[0].encode(), decode(first[1]))
    assert not check(second[0].encode(), decode(second[1]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [null, 1, "x", []]}',
        b'{"keys": [], "keys": []}',
        b"<html>",
        b"\xff",
        b"[" * 100_000,
        json.dumps({"keys": [{"kty": "RSA", "n": "A" * 100_000, "e": "AQAB"}]}).encode(),
    ],
)
def test_what_is_no_set_of_keys_is_said_so(data):
    with pytest.raises(KeysUnavailableError):
        parse_key_set(data, RS256)
