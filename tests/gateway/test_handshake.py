"""The doorkeeper: decided from the request alone."""

import base64

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from apex_actors.gateway.auth import (
    InvalidTokenError,
    Revocations,
    TokenAuthority,
    UnknownKeyError,
)
from apex_actors.gateway.handshake import Doorkeeper, KeysWanted, Refused, Resume
from apex_actors.gateway.limits import Limits
from apex_actors.gateway.metrics import GatewayMetrics
from apex_actors.gateway.settings import AuthSettings, LimitSettings

AUTHORITY = TokenAuthority(secret="s" * 48, settings=AuthSettings())
# For longer than all the tests take: these are made when they are collected.
TOKEN, _ = AUTHORITY.issue(sub="ann", org="acme", lifetime_s=86_400)
OTHER, _ = AUTHORITY.issue(sub="bob", lifetime_s=86_400)
BEARER = ("Authorization", f"Bearer {TOKEN}")


def encoded(token):
    return "jwt." + base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()


def doorkeeper(*, verifier=AUTHORITY, origins=(), draining=False, **limits):
    keeper = Doorkeeper(
        verifier=verifier,
        revocations=Revocations(poll_interval_s=1.0),
        limits=Limits(settings=LimitSettings(**limits)),
        metrics=GatewayMetrics(),
        allowed_origins=origins,
    )
    keeper.draining = draining
    return keeper


def request(*headers, path="/ws", host="here:8000"):
    return Request(path, Headers([("Host", host), *headers]))


def admit(*headers, path="/ws", host="here:8000", **options):
    return doorkeeper(**options).admit(request(*headers, path=path, host=host), "203.0.113.7")


@pytest.mark.parametrize(
    ("header", "subprotocol"),
    [
        (BEARER, None),
        (("Sec-WebSocket-Protocol", f"apex.v1, {encoded(TOKEN)}"), "apex.v1"),
        (("Sec-WebSocket-Protocol", f"{encoded(TOKEN)}, jwt-auth"), "jwt-auth"),
    ],
)
def test_a_token_comes_by_header_or_subprotocol(header, subprotocol):
    admitted = admit(header)
    assert admitted.token.identity.sub == "ann"
    assert admitted.subprotocol == subprotocol
    assert admitted.resume is None


def test_both_ways_with_the_same_token_are_one():
    admitted = admit(BEARER, ("Sec-WebSocket-Protocol", f"apex.v1, {encoded(TOKEN)}"))
    assert admitted.subprotocol == "apex.v1"


def test_a_position_to_resume_from_is_read():
    assert admit(BEARER, path="/ws?after=12&epoch=abc").resume == Resume(12, "abc")


def test_allowed_origins_may_connect():
    origin = "https://chat.example.com"
    assert admit(BEARER, ("Origin", origin), origins=[origin])


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "192.0.2.1"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_servers_own_page_may_connect_where_its_address_is_no_name(host, scheme):
    assert admit(BEARER, ("Origin", f"{scheme}://{host}"), host=host)


@pytest.mark.parametrize(
    ("headers", "options", "status", "code"),
    [
        ((), {}, 401, "unauthorized"),
        ((("Authorization", f"Basic {TOKEN}"),), {}, 401, "unauthorized"),
        ((("Authorization", "Bearer x"),), {}, 401, "unauthorized"),
        ((BEARER, BEARER), {}, 401, "unauthorized"),
        ((BEARER,), {"path": "/ws?token=x"}, 401, "unauthorized"),
        (
            (BEARER, ("Sec-WebSocket-Protocol", f"apex.v1, {encoded(OTHER)}")),
            {},
            401,
            "unauthorized",
        ),
        ((("Sec-WebSocket-Protocol", encoded(TOKEN)),), {}, 401, "unauthorized"),
        ((("Sec-WebSocket-Protocol", "apex.v1, jwt.%%%"),), {}, 401, "unauthorized"),
        ((BEARER, ("Origin", "https://evil.example")), {}, 403, "origin_not_allowed"),
        ((BEARER, ("Origin", "https://here:8000.evil.example")), {}, 403, "origin_not_allowed"),
        ((BEARER, ("Origin", "null")), {}, 403, "origin_not_allowed"),
        # A name that its owner makes point here would count as our own.
        ((BEARER, ("Origin", "http://here:8000")), {}, 403, "origin_not_allowed"),
        (
            (BEARER, ("Origin", "http://127.0.0.1:8001")),
            {"host": "127.0.0.1:8000"},
            403,
            "origin_not_allowed",
        ),
        ((BEARER,), {"path": "/other"}, 404, "not_found"),
        ((BEARER,), {"path": "/ws?after=1"}, 400, "invalid_message"),
        ((BEARER,), {"path": "/ws?after=-1&epoch=e"}, 400, "invalid_message"),
        ((BEARER,), {"path": "/ws?after=" + "9" * 30 + "&epoch=e"}, 400, "invalid_message"),
        ((BEARER,), {"draining": True}, 503, "draining"),
    ],
)
def test_everybody_else_is_refused(headers, options, status, code):
    with pytest.raises(Refused) as refused:
        admit(*headers, **options)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert TOKEN.encode() not in refused.value.body()


def test_a_401_says_how_to_authenticate():
    with pytest.raises(Refused) as refused:
        admit()
    assert ("WWW-Authenticate", "Bearer") in refused.value.headers


class Rotating:
    """A verifier that does not know a key until it has looked."""

    def __init__(self, *, helps):
        self.helps = helps
        self.looks = 0

    def verify(self, token):
        if not self.looks:
            raise UnknownKeyError("unknown")
        if not self.helps:
            raise InvalidTokenError("still unknown")
        return AUTHORITY.verify(token)

    async def refresh_keys(self):
        self.looks += 1
        return True


async def test_a_token_of_a_new_key_is_decided_after_one_look_for_new_keys():
    verifier = Rotating(helps=True)
    keeper, asked = doorkeeper(verifier=verifier), request(BEARER)
    with pytest.raises(KeysWanted) as wanted:
        keeper.admit(asked, "203.0.113.7")
    admitted = await wanted.value.admit_with_new_keys(asked)
    assert (admitted.token.identity.sub, verifier.looks) == ("ann", 1)


async def test_a_token_of_a_key_that_nobody_knows_gets_the_generic_answer():
    keeper, asked = doorkeeper(verifier=Rotating(helps=False)), request(BEARER)
    with pytest.raises(KeysWanted) as wanted:
        keeper.admit(asked, "203.0.113.7")
    with pytest.raises(Refused) as refused:
        await wanted.value.admit_with_new_keys(asked)
    assert refused.value.status == 401


def test_handshakes_over_the_rate_of_an_address_are_told_when_to_come_again():
    keeper = doorkeeper(handshakes_burst=2, handshakes_per_s=0.1)
    for _ in range(2):
        keeper.admit(request(BEARER), "203.0.113.7")
    with pytest.raises(Refused) as refused:
        keeper.admit(request(BEARER), "203.0.113.7")
    assert (refused.value.status, refused.value.code) == (429, "rate_limited")
    assert ("Retry-After", "10") in refused.value.headers
    assert keeper.admit(request(BEARER), "203.0.113.8")


@pytest.mark.parametrize(
    ("caps", "status"),
    [({"connections_per_user": 1}, 429), ({"connections_per_node": 1}, 503)],
)
def test_connections_over_a_cap_are_refused_until_one_has_left(caps, status):
    keeper = doorkeeper(**caps)
    admitted = keeper.admit(request(BEARER), "203.0.113.7")
    keeper.enter(admitted)
    with pytest.raises(Refused) as refused:
        keeper.enter(admitted)
    assert (refused.value.status, refused.value.code) == (status, "too_many_connections")
    assert "Retry-After" in dict(refused.value.headers)
    keeper.leave(admitted)
    keeper.enter(admitted)
