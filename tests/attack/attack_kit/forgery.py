"""Tokens that nobody should believe, and origins that only look like the right one."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from attack_kit.cases import Case, Http, Welcome
from attack_kit.target import Target
from attack_kit.wire import handshake, in_subprotocol

Forger = Callable[[Target], str]

UNAUTHORIZED: Final = Http(401, "unauthorized", header="www-authenticate")


def segment(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(
    key: str | bytes,
    claims: Mapping[str, Any] | bytes,
    header: Mapping[str, Any] | bytes = (),
    *,
    digest: str = "sha256",
) -> str:
    """A token with exactly these claims and this header, signed by HMAC."""
    if not isinstance(header, bytes):
        header = json.dumps({"alg": "HS256", "typ": "JWT"} | dict(header)).encode()
    if not isinstance(claims, bytes):
        claims = json.dumps(claims).encode()
    key = key.encode() if isinstance(key, str) else key
    said = f"{segment(header)}.{segment(claims)}"
    return f"{said}.{segment(hmac.new(key, said.encode(), digest).digest())}"


def good_claims(**changes: Any) -> dict[str, Any]:
    """What a good token says; ``changes`` replace claims, None drops one."""
    now = int(time.time())
    claims = {"iss": "apex", "aud": "apex", "sub": "ann", "iat": now, "exp": now + 600} | changes
    return {name: value for name, value in claims.items() if value is not None}


def claiming(**changes: Any) -> Forger:
    """Signed well, with other claims; a callable's value is made of the time now."""

    def forge(target: Target) -> str:
        now = int(time.time())
        made = {name: value(now) if callable(value) else value for name, value in changes.items()}
        return signed(target.key, good_claims(**made))

    return forge


def headed(header: Mapping[str, Any] | bytes, **claims: Any) -> Forger:
    """Signed well, with another header."""
    return lambda target: signed(target.key, good_claims(**claims), header)


def saying(text: str) -> Forger:
    """Signed well, with this text in place of an ``@`` of the claims' JSON."""

    def forge(target: Target) -> str:
        claims = json.dumps(good_claims(x="@")).replace('"@"', text)
        return signed(target.key, claims.encode())

    return forge


def unsigned(algorithm: str) -> Forger:
    """No signature at all."""
    header = segment(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    return lambda _: f"{header}.{segment(json.dumps(good_claims()).encode())}."


def _tampered(target: Target) -> str:
    head, _, signature = target.token().split(".")
    return f"{head}.{segment(json.dumps(good_claims(sub='bob')).encode())}.{signature}"


def _cut(target: Target) -> str:
    return target.token().rpartition(".")[0] + "."


def _long(size: int) -> Forger:
    """A token of exactly ``size`` characters, good but for that."""

    def forge(target: Target) -> str:
        for padding in range(size):
            token = signed(target.key, good_claims(x="y" * (size * 3 // 4 - 200 + padding)))
            if len(token) >= size:
                return token
        raise AssertionError("unreachable")

    return forge


#: A public key, as everybody has it who has seen the key set.
PEM: Final = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----
"""

FORGED: Final[dict[str, Forger]] = {
    "nothing": lambda _: "",
    "one dot": lambda _: ".",
    "two dots": lambda _: "..",
    "five segments": lambda target: target.token() + ".a.b",
    "garbage": lambda _: "nonsense",
    "bytes beyond ASCII": lambda _: "\xe9.\xe9.\xe9",
    "algorithm none": unsigned("none"),
    "algorithm None": unsigned("None"),
    "algorithm nOnE": unsigned("nOnE"),
    "algorithm NONE": unsigned("NONE"),
    "an empty algorithm": unsigned(""),
    "no algorithm": headed(b'{"typ":"JWT"}'),
    "an algorithm that is a list": headed({"alg": ["HS256"]}),
    "an algorithm that is null": headed({"alg": None}),
    "algorithm hs256": headed({"alg": "hs256"}),
    "algorithm HS512": lambda t: signed(t.key, good_claims(), {"alg": "HS512"}, digest="sha512"),
    "algorithm HS384": lambda t: signed(t.key, good_claims(), {"alg": "HS384"}, digest="sha384"),
    "algorithm RS256, signed by HMAC": headed({"alg": "RS256"}),
    "algorithm ES256, signed by HMAC": headed({"alg": "ES256"}),
    "algorithm EdDSA, signed by HMAC": headed({"alg": "EdDSA"}),
    "a public key as secret": lambda _: signed(PEM, good_claims()),
    "an empty key": lambda _: signed(b"", good_claims()),
    "another key": lambda _: signed(b"k" * 32, good_claims()),
    "the signature cut off": _cut,
    "claims of somebody else": _tampered,
    "crit that nobody knows": headed({"crit": ["exp"], "exp": 1}),
    "crit of an extension": headed(
        {"crit": ["http://example.com/x"], "http://example.com/x": True}
    ),
    "an empty crit": headed({"crit": []}),
    "crit that is a string": headed({"crit": "b64"}),
    "unencoded claims": headed({"b64": False, "crit": ["b64"]}),
    "jku to elsewhere": lambda _: signed(
        b"k" * 32, good_claims(), {"jku": "https://evil.example/k"}
    ),
    "its own jwk": lambda _: signed(
        b"k" * 32, good_claims(), {"jwk": {"kty": "oct", "k": segment(b"k" * 32)}}
    ),
    "x5u to elsewhere": lambda _: signed(
        b"k" * 32, good_claims(), {"x5u": "https://evil.example/"}
    ),
    "x5c of its own": lambda _: signed(b"k" * 32, good_claims(), {"x5c": [segment(PEM)]}),
    "kid that is a path": lambda _: signed(b"", good_claims(), {"kid": "../../../dev/null"}),
    "kid that is a query": lambda _: signed(b"k", good_claims(), {"kid": "x' union select 'k"}),
    "kid that is a list": headed({"kid": ["a"]}),
    "kid that is a number": headed({"kid": 7}),
    "typ of a log-out": headed({"typ": "logout+jwt"}),
    "typ of an encrypted token": headed({"typ": "JWE"}),
    "typ that is a list": headed({"typ": ["JWT"]}),
    "a header that is a list": headed(b'["HS256"]'),
    "a header that is no JSON": headed(b"{alg:HS256}"),
    "a header nested without end": headed(b'{"alg":"HS256","x":' + b"[" * 2500 + b"}"),
    "a header that names two algorithms": headed(b'{"alg":"HS256","alg":"none"}'),
    "claims that are a list": lambda t: signed(t.key, b'["sub"]'),
    "claims that are a string": lambda t: signed(t.key, b'"ann"'),
    "claims that are null": lambda t: signed(t.key, b"null"),
    "claims that are no JSON": lambda t: signed(t.key, b"\xff\xfe{}"),
    "claims nested without end": saying("[" * 4000),
    "claims nested deep, and closed": saying("[" * 2500 + "]" * 2500),
    "claims with an endless number": saying("9" * 5000),
    "no exp": claiming(exp=None),
    "exp in the past": claiming(exp=lambda now: now - 60, iat=lambda now: now - 600),
    "exp of zero": claiming(exp=0),
    "exp that is negative": claiming(exp=-1),
    "exp that is a string": claiming(exp=lambda now: str(now + 600)),
    "exp that is no number": claiming(exp="tomorrow"),
    "exp that is a list": claiming(exp=lambda now: [now + 600]),
    "exp that is an object": claiming(exp={"at": 1}),
    "exp that is true": claiming(exp=True),
    "exp in milliseconds": claiming(exp=lambda now: (now + 600) * 1000),
    "exp beyond the calendar": claiming(exp=10**18),
    "exp beyond 64 bits": claiming(exp=10**30),
    "exp that is NaN": claiming(exp=float("nan")),
    "exp that is Infinity": claiming(exp=float("inf")),
    "exp that is minus Infinity": claiming(exp=float("-inf")),
    "a life over the cap": claiming(exp=lambda now: now + 86_400 + 60),
    "a life over the cap, long ago": claiming(
        iat=lambda now: now - 200_000, exp=lambda now: now + 600
    ),
    "a life over the cap, without iat": claiming(exp=lambda now: now + 90_000, iat=None),
    "a life that begins tomorrow": claiming(
        iat=lambda now: now + 80_000, exp=lambda now: now + 80_600
    ),
    "iat that is a string": claiming(iat="now"),
    "iat that is a list": claiming(iat=[1]),
    "iat that is NaN": claiming(iat=float("nan")),
    "iat that is Infinity": claiming(iat=float("inf")),
    "nbf in the future": claiming(nbf=lambda now: now + 300),
    "nbf that is a string": claiming(nbf="later"),
    "nbf that is a list": claiming(nbf=[1]),
    "nbf that is Infinity": claiming(nbf=float("inf")),
    "no sub": claiming(sub=None),
    "an empty sub": claiming(sub=""),
    "a sub of 129 characters": claiming(sub="x" * 129),
    "a sub that is a number": claiming(sub=7),
    "a sub that is a list": claiming(sub=["ann"]),
    "a sub with a line break": claiming(sub="ann\r\nERROR all is lost"),
    "a sub that steers terminals": claiming(sub="ann\x1b[2J"),
    "a sub with NUL": claiming(sub="ann\0"),
    "a sub with a lone surrogate": claiming(sub="ann\ud800"),
    "an empty org": claiming(org=""),
    "an org of 129 characters": claiming(org="x" * 129),
    "an org that is a number": claiming(org=7),
    "an org with NUL": claiming(org="demo\0"),
    "roles that are a string": claiming(roles="admin"),
    "roles that are an object": claiming(roles={"admin": True}),
    "another issuer": claiming(iss="somebody"),
    "no issuer": claiming(iss=None),
    "issuers in a list": claiming(iss=["apex"]),
    "another audience": claiming(aud="somebody"),
    "no audience": claiming(aud=None),
    "an audience that is an object": claiming(aud={"apex": 1}),
    "an audience that is a number": claiming(aud=7),
    "a token of 8193 bytes": _long(8193),
    "a token of 12 KiB": _long(12_288),
    "a token that is padded": lambda t: t.token() + "==",
    "a token with a line break": lambda t: t.token().replace(".", ".\t", 1),
}

#: What is good about these is easily refused by mistake.
BELIEVED: Final[dict[str, Forger]] = {
    "a good one": lambda t: t.token(),
    "no typ": lambda t: signed(t.key, good_claims(), b'{"alg":"HS256"}'),
    "typ in small letters": headed({"typ": "jwt"}),
    "a sub of 128 characters": claiming(sub="x" * 128),
    "a sub beyond ASCII": claiming(sub="Ägypten 日本"),
    "several audiences": claiming(aud=["other", "apex"]),
    "claims that nobody asked for": claiming(x={"y": [1, 2.5, None]}),
    "roles that nobody knows": claiming(roles=["root"]),
    "a clock that is 3 s slow": claiming(nbf=lambda now: now + 3),
}


def _forged(name: str, forge: Forger) -> Case:
    def build(target: Target) -> bytes:
        return handshake(target.secret(forge(target)))

    return Case(name, build, UNAUTHORIZED)


def offered(*names: str) -> list[tuple[str, str]]:
    """The header with subprotocols."""
    return [("Sec-WebSocket-Protocol", ", ".join(names))]


def _both(first: str, second: str) -> Callable[[Target], bytes]:
    return lambda target: handshake(
        target.token(first), extra=offered("apex.v1", in_subprotocol(target.token(second)))
    )


def _same(target: Target) -> bytes:
    token = target.token()
    return handshake(token, extra=offered("apex.v1", in_subprotocol(token)))


def _authorization(value: Callable[[str], str]) -> Callable[[Target], bytes]:
    return lambda target: handshake(extra=[("Authorization", value(target.token()))])


CARRIED: Final = [
    Case("no token", handshake(), UNAUTHORIZED),
    Case("two tokens that differ", _both("ann", "bob"), UNAUTHORIZED),
    Case("one token twice", _same, Welcome("apex.v1")),
    Case(
        "two tokens in the subprotocols",
        lambda t: handshake(
            extra=offered("apex.v1", in_subprotocol(t.token()), in_subprotocol(t.token("bob")))
        ),
        UNAUTHORIZED,
    ),
    Case(
        "two Authorizations",
        lambda t: handshake(t.token(), extra=[("Authorization", f"Bearer {t.token('bob')}")]),
        UNAUTHORIZED,
    ),
    *(
        Case(
            f"a token in the query as {name}",
            lambda t, name=name: handshake(target=f"/ws?{name}={t.token()}"),
            UNAUTHORIZED,
        )
        for name in ("token", "access_token", "jwt", "%74oken")
    ),
    Case(
        "a token in the query beside a good one",
        lambda t: handshake(t.token(), target=f"/ws?token={t.token()}"),
        UNAUTHORIZED,
    ),
    Case(
        "a token in a cookie",
        lambda t: handshake(extra=[("Cookie", f"token={t.token()}")]),
        UNAUTHORIZED,
    ),
    Case("Basic", _authorization(lambda token: f"Basic {token}"), UNAUTHORIZED),
    Case("no scheme", _authorization(lambda token: token), UNAUTHORIZED),
    Case("an empty Authorization", _authorization(lambda _: ""), UNAUTHORIZED),
    Case("Bearer alone", _authorization(lambda _: "Bearer"), UNAUTHORIZED),
    Case("Bearer twice", _authorization(lambda token: f"Bearer Bearer {token}"), UNAUTHORIZED),
    Case(
        "two tokens in one", _authorization(lambda token: f"Bearer {token} {token}"), UNAUTHORIZED
    ),
    Case("a token and a comma", _authorization(lambda token: f"Bearer {token}, x"), UNAUTHORIZED),
    Case("bearer in small letters", _authorization(lambda token: f"bearer {token}"), Welcome()),
    Case(
        "a subprotocol with a token and no name",
        lambda t: handshake(extra=offered(in_subprotocol(t.token()))),
        UNAUTHORIZED,
    ),
    Case(
        "a subprotocol that is not base64",
        handshake(extra=offered("apex.v1", "jwt.!!!!")),
        UNAUTHORIZED,
    ),
    Case(
        "a subprotocol of one character", handshake(extra=offered("apex.v1", "jwt.A")), UNAUTHORIZED
    ),
    Case(
        "an empty token in a subprotocol", handshake(extra=offered("apex.v1", "jwt.")), UNAUTHORIZED
    ),
    Case(
        "a subprotocol of bytes that are no text",
        handshake(extra=offered("apex.v1", in_subprotocol(b"\xff\xfe\xfd"))),
        UNAUTHORIZED,
    ),
    Case(
        "a token that is not encoded",
        lambda t: handshake(extra=offered("apex.v1", f"jwt.{t.token()}")),
        UNAUTHORIZED,
    ),
    Case(
        "a long token in a subprotocol",
        lambda t: handshake(extra=offered("apex.v1", in_subprotocol(t.secret(_long(8193)(t))))),
        UNAUTHORIZED,
    ),
]

TOKENS: Final = [
    *(_forged(name, forge) for name, forge in FORGED.items()),
    *(
        Case(f"believed: {name}", lambda t, f=forge: handshake(t.secret(f(t))), Welcome())
        for name, forge in BELIEVED.items()
    ),
    *CARRIED,
]

#: What the node of these cases is set to.
ALLOWED_ORIGINS: Final = ("https://chat.example.com", "http://pages.example:3000")

_FORBIDDEN: Final = Http(403, "origin_not_allowed")


def _from(
    origin: str,
    *,
    more: tuple[str, ...] = (),
    host: str = "server.example",
    expected: Http = _FORBIDDEN,
) -> Case:
    headers = [("Origin", one) for one in (origin, *more)]
    return Case(
        f"{' and '.join((origin, *more)) or 'an empty one'} to {host}",
        lambda target: handshake(target.token(), extra=headers, host=host),
        expected,
    )


def _let_in(origin: str, host: str = "server.example") -> Case:
    return Case(
        f"let in: {origin}",
        lambda target: handshake(target.token(), extra=[("Origin", origin)], host=host),
        Welcome(),
    )


ORIGINS: Final = [
    _let_in("https://chat.example.com"),
    _let_in("http://pages.example:3000"),
    _from("https://chat.example.com.evil.example"),
    _from("https://evilchat.example.com"),
    _from("https://evil.chat.example.com"),
    _from("https://example.com"),
    _from("https://chat-example.com"),
    _from("https://chat.example.co"),
    _from("https://chat.example.com:8443"),
    _from("https://chat.example.com:80"),
    _from("http://chat.example.com"),
    _from("wss://chat.example.com"),
    _from("HTTPS://evil.example"),
    _from("//chat.example.com"),
    _from("chat.example.com"),
    _from("https://chat.example.com."),
    _from("https://chat.example.com/"),
    _from("https://chat.example.com/x"),
    _from("https://chat.example.com?x"),
    _from("https://chat.example.com#x"),
    _from("https://chat.example.com, https://evil.example"),
    _from("https://chat.example.com https://evil.example"),
    _from("https://chat.example.com@evil.example"),
    _from("https://user@chat.example.com"),
    _from("https://evil.example#@chat.example.com"),
    _from("https://chat.xn--exampl-gva.com"),
    _from("https://ch\xe2t.example.com"),
    _from("https://chat.example.com%00.evil.example"),
    _from("http://pages.example"),
    _from("http://pages.example:30000"),
    _from("http://pages.example:03000"),
    _from("null"),
    _from(""),
    _from("file://"),
    _from("https://evil.example", more=("https://chat.example.com",)),
    _from("https://chat.example.com", more=("https://evil.example",)),
    _from("http://localhost.evil.example"),
    _from("http://127.0.0.1.evil.example"),
    _from("http://server.example.evil.example"),
    _from("http://server.example:81"),
    _from("ws://server.example"),
    _from("http://SERVER.example.", host="server.example"),
    _from("http://evil.example", host="server.example@evil.example", expected=Http(400)),
    replace(
        _from("http://x", host="["),
        expected=(_FORBIDDEN, Http(400)),
    ),
    _from("http://x", host="x, localhost", expected=Http(400)),
    # Brackets around what is no address: parsers of URLs may raise an error at these.
    *(
        replace(
            _from("http://x", host=host),
            expected=(_FORBIDDEN, Http(400)),
        )
        for host in ("[:]", "[1.2.3.4]", "[....]:80")
    ),
    # DNS rebinding: a name of somebody else's that has come to point here.
    _from("http://evil.example", host="evil.example"),
    _from("https://evil.example:8443", host="evil.example:8443"),
    _from("http://localhost.evil.example", host="localhost.evil.example"),
    _from("http://127.0.0.1.evil.example", host="127.0.0.1.evil.example"),
    _let_in("http://localhost:9000", host="localhost:9000"),
    _let_in("http://127.0.0.1:9000", host="127.0.0.1:9000"),
    _let_in("http://[::1]:9000", host="[::1]:9000"),
    _from("http://localhost:9001", host="localhost:9000"),
    _from("http://localhost", host="127.0.0.1"),
]
