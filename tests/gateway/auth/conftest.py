"""Keys, claims and hand-made tokens; a server that publishes keys."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm


@pytest.fixture(scope="session")
def rsa_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def other_rsa_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def ed_key():
    return ed25519.Ed25519PrivateKey.generate()


_CODECS = {
    rsa.RSAPublicKey: (RSAAlgorithm, "RS256"),
    ec.EllipticCurvePublicKey: (ECAlgorithm, "ES256"),
    ed25519.Ed25519PublicKey: (OKPAlgorithm, "EdDSA"),
}


@pytest.fixture(scope="session")
def jwk_of():
    """The public JWK of a private key: ``jwk_of(key, kid="one", …)``; None leaves a member out."""

    def make(key: Any, **members: Any) -> dict[str, Any]:
        public = key.public_key()
        codec, algorithm = next(
            found for kind, found in _CODECS.items() if isinstance(public, kind)
        )
        jwk = codec.to_jwk(public, as_dict=True) | {"alg": algorithm, "use": "sig"} | members
        return {name: value for name, value in jwk.items() if value is not None}

    return make


@pytest.fixture(scope="session")
def key_set():
    """A JWK set of these keys, as bytes."""
    return lambda *jwks: json.dumps({"keys": jwks}).encode()


@dataclass
class KeyServer:
    """Publishes ``body`` at ``url`` and counts who asked; ``answer`` may do anything else."""

    url: str = ""
    body: bytes = b""
    requests: list[str] = field(default_factory=list)
    answer: Callable[[BaseHTTPRequestHandler], None] | None = None
    release: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    """A server of keys on this machine, gone afterwards with all its connections."""
    served = KeyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.requests.append(self.path)
            if served.answer is not None:
                served.answer(self)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(served.body)))
            self.end_headers()
            self.wfile.write(served.body)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False
        block_on_close = True

        def handle_error(self, *_):
            pass  # a client that went away, as some of these tests do

    with Server(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_address[1]}/keys"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        served.release.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def now_s():
    return int(time.time())
