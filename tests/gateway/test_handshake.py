"""The doorkeeper: decided from the request alone."""

import base64

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from apex_actors.gateway.handshake import Doorkeeper, Refused, Resume
from apex_actors.gateway.settings import AuthSettings
from apex_actors.gateway.tokens import TokenAuthority

AUTHORITY = TokenAuthority(secret="s" * 48, settings=AuthSettings())
TOKEN, _ = AUTHORITY.issue(sub="ann", org="acme", lifetime_s=600)
OTHER, _ = AUTHORITY.issue(sub="bob", lifetime_s=600)
BEARER = ("Authorization", f"Bearer {TOKEN}")


def encoded(token):
    return "jwt." + base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()


def admit(*headers, path="/ws", origins=(), draining=False):
    doorkeeper = Doorkeeper(authority=AUTHORITY, allowed_origins=origins)
    doorkeeper.draining = draining
    return doorkeeper.admit(Request(path, Headers([("Host", "here:8000"), *headers])))


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


@pytest.mark.parametrize(
    "origin", ["https://chat.example.com", "http://here:8000", "https://here:8000"]
)
def test_allowed_origins_and_the_servers_own_may_connect(origin):
    assert admit(BEARER, ("Origin", origin), origins=["https://chat.example.com"])


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
