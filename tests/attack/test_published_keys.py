"""Tokens signed with public keys in mind: confusion of families, and floods of keys unknown."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from attack_kit.cases import Case, Http, Welcome, check_request, rows
from attack_kit.forgery import FORGED, good_claims, segment, signed, unsigned
from attack_kit.wire import handshake
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

UNAUTHORIZED = Http(401, "unauthorized", header="www-authenticate")

#: How long a publisher that is slow takes to answer.
SLOW_S = 1.0

#: The publisher's key, one of the attackers', and attackers' of other kinds.
OURS = rsa.generate_private_key(public_exponent=65537, key_size=2048)
THEIRS = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()

JWK = RSAAlgorithm.to_jwk(OURS.public_key(), as_dict=True) | {
    "alg": "RS256",
    "use": "sig",
    "kid": "ours",
}
SET = json.dumps({"keys": [JWK]}).encode()


@dataclass
class Publisher:
    """A server that publishes keys, and may take its time."""

    url: str = ""
    asked: int = 0
    slow: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator["Publisher"]:
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                publisher.asked += 1
                if publisher.slow.is_set():
                    time.sleep(SLOW_S)
                self.send_response(200)
                self.send_header("Content-Length", str(len(SET)))
                self.end_headers()
                self.wfile.write(SET)

            def log_message(self, *_):
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}/keys"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield self
            server.shutdown()
            thread.join()


def sign(key=OURS, algorithm="RS256", header=(), **claims):
    return jwt.encode(
        good_claims(**claims), key, algorithm=algorithm, headers={"kid": "ours"} | dict(header)
    )


@pytest.fixture(scope="module")
def published(base_settings, start_target):
    """A node that believes a publisher's keys, and the publisher."""
    with Publisher().running() as publisher:
        auth = {
            "algorithm": "RS256",
            "secret": None,
            "jwks_url": publisher.url,
            "jwks_cooldown_s": 3600.0,
            "jwks_refresh_s": 3600.0,
        }
        settings = base_settings.auth.model_validate(base_settings.auth.model_dump() | auth)
        generous = {"handshakes_per_s": 1e6, "handshakes_burst": 10**6, "connections_per_user": 999}
        with start_target(base_settings, auth=settings.model_dump(), limits=generous) as target:
            target.sign = sign
            yield target, publisher


def _public(encoding, form):
    return OURS.public_key().public_bytes(encoding, form)


PEM = _public(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
HMAC = {"alg": "HS256", "kid": "ours"}

FORGERIES = {
    "the PEM as a secret": lambda: signed(PEM, good_claims(), HMAC),
    "the PEM without its last line break": lambda: signed(PEM.strip(), good_claims(), HMAC),
    "the PKCS 1 form as a secret": lambda: signed(
        _public(Encoding.PEM, PublicFormat.PKCS1), good_claims(), HMAC
    ),
    "the DER as a secret": lambda: signed(
        _public(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), good_claims(), HMAC
    ),
    "the JWK as a secret": lambda: signed(json.dumps(JWK), good_claims(), HMAC),
    "the modulus as a secret": lambda: signed(JWK["n"], good_claims(), HMAC),
    "the set as a secret": lambda: signed(SET, good_claims(), HMAC),
    "an empty secret": lambda: signed(b"", good_claims(), HMAC),
    "HMAC that says RS256": lambda: signed(PEM, good_claims(), {"alg": "RS256", "kid": "ours"}),
    "no algorithm": lambda: unsigned("none")(None),
    "another key of the kind": lambda: sign(THEIRS),
    "another key and no kid": lambda: sign(THEIRS, header={"kid": ""}),
    "RS512 of the right key": lambda: sign(algorithm="RS512"),
    "PS256 of the right key": lambda: sign(algorithm="PS256"),
    "ES256": lambda: sign(CURVE, "ES256"),
    "EdDSA": lambda: sign(EDWARDS, "EdDSA"),
    "its own key in the header": lambda: sign(
        THEIRS, header={"jwk": RSAAlgorithm.to_jwk(THEIRS.public_key(), as_dict=True)}
    ),
    "its own key by address": lambda: sign(THEIRS, header={"jku": "http://127.0.0.1:9/keys"}),
    "its own certificate by address": lambda: sign(THEIRS, header={"x5u": "http://127.0.0.1:9/"}),
    "its own certificate": lambda: sign(THEIRS, header={"x5c": [segment(PEM)]}),
    "crit": lambda: sign(header={"crit": ["x"], "x": 1}),
    "an unknown kid": lambda: sign(header={"kid": "nobody's"}),
    "a kid of 6,000 characters": lambda: sign(header={"kid": "k" * 4000}),
    "a life over the cap": lambda: sign(exp=int(time.time()) + 90_000),
    "no sub": lambda: sign(sub=None),
    "typ of another kind": lambda: sign(header={"typ": "logout+jwt"}),
    "a signature of nothing": lambda: sign().rpartition(".")[0] + ".",
    "a signature of zeros": lambda: sign().rpartition(".")[0] + "." + segment(b"\0" * 256),
    "a signature that is too long": lambda: sign() + "A" * 400,
}

CASES = [
    Case("a good one", lambda t: handshake(t.token()), Welcome()),
    *(
        Case(name, lambda t, forge=forge: handshake(t.secret(forge())), UNAUTHORIZED)
        for name, forge in FORGERIES.items()
    ),
]


# The first of the module: whoever names an unknown key next causes no look for an hour.
async def test_a_flood_of_unknown_keys_causes_one_look_and_keeps_nobody_waiting(published):
    target, publisher = published
    asked = publisher.asked
    publisher.slow.set()
    flood = asyncio.gather(
        *(
            target.answer(
                handshake(target.secret(sign(THEIRS, header={"kid": f"unknown {number}"})))
            )
            for number in range(200)
        )
    )
    async with await target.connected("quiet") as quiet:
        while not flood.done():
            assert await quiet.exchange() == []
            await target.serves_a_good_client()
    publisher.slow.clear()
    assert {answer.status for answer in await flood} == {401}
    assert publisher.asked - asked == 1


@pytest.mark.parametrize("case", rows(CASES))
async def test_tokens(published, case):
    target, _ = published
    await check_request(target, case)
    await target.serves_a_good_client()


async def test_tokens_of_the_other_family_are_no_better_here(published):
    target, _ = published
    for name in ("algorithm none", "a public key as secret", "an empty key", "its own jwk"):
        answer = await target.answer(handshake(target.secret(FORGED[name](target))))
        assert (answer.status, answer.code) == (401, "unauthorized"), name
