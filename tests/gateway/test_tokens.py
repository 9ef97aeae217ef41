"""Tokens: what is let in, and what is not, whatever it claims."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest

from apex_actors.gateway.settings import AuthSettings
from apex_actors.gateway.tokens import InvalidTokenError, TokenAuthority
from apex_actors.protocol.identity import Identity, Role

SECRET = "s" * 64
NOW = datetime.now(UTC)


def claims(**changed):
    base = {
        "iss": "apex",
        "aud": "apex",
        "sub": "ann",
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + timedelta(hours=1)).timestamp()),
    }
    return {name: value for name, value in (base | changed).items() if value is not None}


@pytest.fixture
def authority():
    return TokenAuthority(secret=SECRET, settings=AuthSettings())


def encode(payload, key=SECRET, **options):
    return jwt.encode(payload, key, **({"algorithm": "HS256"} | options))


def test_a_good_token_names_user_org_roles_and_end(authority):
    token = encode(claims(org="acme", roles=["admin", "unheard-of"]))
    verified = authority.verify(token)
    assert verified.identity == Identity(org="acme", sub="ann", roles=frozenset({Role.ADMIN}))
    assert verified.expires_at.timestamp() == claims()["exp"]


def test_the_org_is_the_user_where_none_is_named(authority):
    assert authority.verify(encode(claims())).identity.org == "ann"


def test_an_issued_token_is_accepted(authority):
    token, expires_at = authority.issue(sub="ann", org="acme", lifetime_s=60)
    verified = authority.verify(token)
    assert verified.identity == Identity(org="acme", sub="ann")
    assert abs((verified.expires_at - expires_at).total_seconds()) < 1


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "x" * 10_000,
        encode(claims(), key="o" * 64),
        encode(claims(), algorithm="HS512"),
        jwt.encode(claims(), None, algorithm="none"),
        encode(claims(exp=None)),
        encode(claims(exp=int((NOW - timedelta(minutes=1)).timestamp()))),
        encode(claims(exp=int((NOW + timedelta(days=400)).timestamp()))),
        encode(claims(exp=10**30)),
        encode(claims(exp="soon")),
        encode(claims(nbf=int((NOW + timedelta(minutes=5)).timestamp()))),
        encode(claims(sub=None)),
        encode(claims(sub="")),
        encode(claims(sub="x" * 129)),
        encode(claims(sub="a\nb")),
        encode(claims(org="")),
        encode(claims(org=7)),
        encode(claims(iss="other")),
        encode(claims(aud="other")),
        encode(claims(aud=None)),
        encode(claims(roles="admin")),
    ],
)
def test_a_bad_token_is_refused(authority, token):
    with pytest.raises(InvalidTokenError):
        authority.verify(token)


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        TokenAuthority(secret="short", settings=AuthSettings())
    with pytest.raises(ValueError, match="32 bytes"):
        AuthSettings(secret="short")


@pytest.mark.parametrize("wrong", [{"sub": ""}, {"lifetime_s": 10**9}, {"org": "x" * 200}])
def test_a_token_that_would_be_refused_is_not_issued(authority, wrong):
    with pytest.raises(ValueError):
        authority.issue(**({"sub": "ann", "lifetime_s": 60} | wrong))
