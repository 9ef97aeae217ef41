"""A server's whole output under every attack of the tables: no token, and no line that is not its own."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from attack_kit.forgery import ORIGINS, TOKENS, good_claims, signed
from attack_kit.frames import FRAMES
from attack_kit.messages import MESSAGES
from attack_kit.requests import HANDSHAKES, SMUGGLING
from attack_kit.target import CONTROL
from attack_kit.wire import PATIENCE_S, CutError, Wire, handshake, message, request, text

KEY = "another key for attacks, for servers in a process of their own"

#: How an entry that was smuggled into the log would begin.
FORGED_LINE = "2026-01-01 [error] INJECTED"

#: Line breaks and what steers terminals, in all the ways in which they may be written.
BREAKS = ("\r\n", "\n", "\r", "\x1b[2J\x1b[31m", "\x07", "\x85", "\u2028", "\x0b")

#: The attacks of the tables at a time.
AT_A_TIME = 20


@dataclass
class Served:
    """A server process, with the face of a target."""

    port: int
    process: subprocess.Popen[bytes]
    output: Path
    secrets: set[str] = field(default_factory=lambda: {KEY})
    key: str = KEY

    def token(self, sub: str = "ann", **claims: object) -> str:
        return self.secret(signed(KEY, good_claims(sub=sub, **claims)))

    def secret(self, token: str) -> str:
        if len(token) > 16:
            self.secrets.add(token)
        return token

    async def wire(self) -> Wire:
        return await Wire.open(self.port)

    def told(self) -> str:
        return self.output.read_bytes().decode(errors="replace")


@contextlib.contextmanager
def serving(settings, output, log_format):
    """``apex up`` as a person starts it, with all that it can say."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("APEX_")}
    environment = own | {
        "APEX_DATABASE_URL": settings.database_url.get_secret_value(),
        "APEX_REDIS_URL": settings.redis_url.get_secret_value(),
        "APEX_DATA_DIR": str(settings.data_dir),
        "APEX_AUTH__SECRET": KEY,
        "APEX_LOG_LEVEL": "debug",
        "APEX_LOG_FORMAT": log_format,
        "APEX_GATEWAY__LIMITS__HANDSHAKES_BURST": "1000000",
        "APEX_GATEWAY__LIMITS__MESSAGES_BURST": "1000000",
        "APEX_GATEWAY__LIMITS__BYTES_BURST": "1000000000",
        "APEX_GATEWAY__LIMITS__CONNECTIONS_PER_USER": "1000",
        "APEX_GATEWAY__HANDSHAKE_TIMEOUT_S": "1",
    }
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "apex_actors", "up", "--port", "0"],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 90
            while not (link := re.search(rb":(\d+)/#token=(\S+)\n", output.read_bytes())):
                assert process.poll() is None, output.read_text()
                assert time.monotonic() < deadline, "the server did not come up"
                time.sleep(0.05)
            # The link is for a person to click: the one token that is told.
            served = Served(int(link[1]), process, output)
            yield served
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0


@pytest.fixture(scope="module", params=["json", "console"])
def served(base_settings, request, tmp_path_factory):
    output = tmp_path_factory.mktemp("output") / "log"
    with serving(base_settings, output, request.param) as running:
        asyncio.run(attacked(running))
        yield running


async def attacked(served):
    """All rows of all tables, and what is made for logs."""
    gate = asyncio.Semaphore(AT_A_TIME)

    async def one(attack):
        async with gate:
            with contextlib.suppress(CutError, TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await attack

    knocks = [
        case.bytes_for(served) for case in (*SMUGGLING, *HANDSHAKES, *TOKENS, *ORIGINS)
    ] + list(injections(served))
    frames = [case.bytes_for(served) for case in (*FRAMES, *MESSAGES)]
    frames += [injected(kind) for kind in range(len(INJECTED))]
    frames.append(message("refresh_token", token=served.token("bob")))
    frames.append(message("refresh_token", token=served.secret("nonsense " * 20)))
    frames.append(text(f'{{"type":"ping","x":"{served.token()}"}}'))
    frames.append(message(served.token()))
    await asyncio.gather(
        *(one(knock(served, data)) for data in knocks),
        *(one(say(served, data)) for data in frames),
    )


async def knock(served, data):
    async with await served.wire() as wire:
        wire.send(data)
        await wire.answer()


async def say(served, data):
    async with await served.wire() as wire:
        wire.send(handshake(served.token(org=None)))
        await wire.welcomed()
        await wire.exchange(data)


def injections(served):
    """Requests that carry lines of a log, raw and escaped, wherever something may be logged."""
    for steer in BREAKS:
        line = steer + FORGED_LINE
        raw = line.encode("utf-8").decode("latin-1")
        escaped = "".join(f"%{byte:02x}" for byte in line.encode())
        for name in ("User-Agent", "Origin", "Host", "X-Forwarded-For", "Referer", "X-Request-ID"):
            yield handshake(served.token(), extra=[(name, "a" + raw)])
            yield request("GET /healthz HTTP/1.1", [("Host", "x"), (name, "a" + raw)])
        for path in ("/", "/ws", "/static/", "/api/runs/", "/nowhere"):
            yield request(f"GET {path}{escaped} HTTP/1.1")
            yield request(f"GET {path}?q={escaped} HTTP/1.1")
        yield handshake(served.token(), target=f"/ws?after=1&epoch={escaped}")
        yield handshake(served.token(), target=f"/ws?after={escaped}&epoch=1")
        yield handshake(served.token(), target=f"/ws?token={served.token()}")
        yield handshake(served.token(sub="ann" + line))
        yield handshake(served.token(org="acme" + line))
        yield handshake(served.secret(signed(KEY, good_claims(), {"kid": line})))
        yield handshake(served.secret(signed(KEY, good_claims(), {"alg": line})))
        yield handshake(served.secret(signed(KEY, good_claims(), {"typ": line})))
        yield handshake(served.secret(signed(KEY, good_claims(iss=line))))
    for path in ("/", "/nowhere", "/api/threads", "/api/runs/x/report.md", "/static/x", "/ws"):
        yield request(f"GET {path}?token={served.token()} HTTP/1.1")
        yield request(
            f"GET {path} HTTP/1.1", [("Host", "x"), ("Authorization", f"Bearer {served.token()}")]
        )
        yield request(f"GET {path} HTTP/1.1", [("Host", "x"), ("Cookie", served.token())])


INJECTED = [
    (kind, name, steer)
    for kind, name in (
        ("user_message", "text"),
        ("ping", "request_id"),
        ("ping", "user_id"),
        ("user_message", "client_message_id"),
        ("get_run", "run_id"),
        ("start_agent", "pipeline"),
        ("rename_thread", "title"),
        ("ping", "type"),
        ("ping", "a new field"),
    )
    for steer in BREAKS
]


def injected(number):
    """A message with a line of a log in one of its fields."""
    kind, name, steer = INJECTED[number]
    said = "a" + steer + FORGED_LINE
    if name == "a new field":
        return message(kind, **{said: said})
    if name == "type":
        return message(kind + said)
    return message(kind, **{name: said})


def test_no_token_and_no_key_is_told_to_anybody(served):
    told = served.told()
    for secret in served.secrets:
        assert secret not in told
        signature = secret.rpartition(".")[2]
        assert len(signature) < 32 or signature not in told


def test_no_line_is_forged_and_no_terminal_steered(served):
    lines = served.told().split("\n")
    assert [line for line in lines if line.startswith(FORGED_LINE)] == []
    assert [line for line in lines if CONTROL.search(line)] == []


def test_nothing_that_people_wrote_is_told(served):
    told = served.told()
    assert "INJECTED" not in told
    assert "a value that nobody wants to see again" not in told


def test_nothing_failed_inside(served):
    told = served.told()
    assert "Traceback" not in told
    assert "[error" not in told
    assert '"level": "error"' not in told


def test_it_still_serves(served):
    async def ask():
        async with await served.wire() as wire:
            wire.send(handshake(served.token()))
            await wire.welcomed()
            assert await wire.exchange() == []

    asyncio.run(ask())
