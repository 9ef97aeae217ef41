"""Mutated frames and handshakes over real sockets: nothing of them may bring down more than itself.

``APEX_FUZZ_SEED`` repeats a run; the seed of each is printed when it fails.
"""

import asyncio
import contextlib
import json
import os
import random
import socket

import pytest
from attack_kit.forgery import signed
from attack_kit.mutation import Mutator
from attack_kit.wire import Closed, CutError, Wire, close_frame, handshake, message
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_actors.protocol import ProtocolViolation, parse_frame

#: Frames of one connection, and connections at a time.
FRAMES_EACH = 40
AT_A_TIME = 16

#: One in so many attacks is a handshake.
HANDSHAKES = 5

#: A frame that says it is longer than it is keeps the server waiting; then the stream ends.
STUCK_S = 0.2

SETTINGS = {"gateway": {"handshake_timeout_s": 1.0, "max_consecutive_errors": 10**9}}


def seed_of_this_run():
    given_seed = os.environ.get("APEX_FUZZ_SEED")
    return int(given_seed) if given_seed else random.SystemRandom().randrange(2**32)


class Fuzzer:
    """Sends what a mutator makes, and says which bytes were on their way when something broke."""

    def __init__(self, target, seed):
        self.target = target
        self.mutator = Mutator(seed)
        self.sent = 0
        self.statuses = {}
        self.codes = {}
        self.replies = 0

    async def run(self, count):
        await asyncio.gather(*(self._attack_until(count) for _ in range(AT_A_TIME)))

    async def _attack_until(self, count):
        while self.sent < count:
            batch = self.mutator.batch(FRAMES_EACH)
            if self.mutator.chance(0.1):
                batch.append(self.mutator.good_bye())
            knocks = [
                self.mutator.handshake(self.target.token("fuzz"))
                for _ in range(FRAMES_EACH // (HANDSHAKES - 1))
            ]
            self.sent += len(batch) + len(knocks)
            await self._guarded(self._frames, batch)
            for knock in knocks:
                await self._guarded(self._knock, [knock])

    async def _guarded(self, attack, data):
        faults = self._faults()
        try:
            await attack(data)
            assert self._faults() == faults, self.target.faults()[-1]
        except BaseException as error:
            error.add_note(f"while these bytes were on their way: {data!r}")
            raise

    def _faults(self):
        return len(self.target.unhandled) + self.target.logs.errors

    async def _frames(self, batch):
        async with await self.target.wire() as wire:
            wire.send(handshake(self.target.token("fuzz")))
            await wire.welcomed()
            wire.send(*batch, message("ping", request_id="the last"))
            reading = asyncio.create_task(self._read(wire))
            await asyncio.wait([reading], timeout=STUCK_S)
            if not reading.done():
                wire.send(close_frame(1000))
                with contextlib.suppress(OSError):
                    wire.writer.write_eof()
            await reading

    async def _read(self, wire: Wire):
        async for said in wire.replies():
            if isinstance(said, Closed):
                self.codes[said.code] = self.codes.get(said.code, 0) + 1
                return
            self.replies += 1
            assert said.get("code") != "internal_error", said
            if "jsonrpc" in said:
                assert said.get("error", {}).get("code") != -32603, said
            if said.get("request_id") == "the last":
                return

    async def _knock(self, data):
        [knock] = data
        async with await self.target.wire() as wire:
            wire.send(knock)
            answering = asyncio.create_task(wire.answer())
            await asyncio.wait([answering], timeout=STUCK_S)
            if not answering.done():
                # Whatever is missing does not come: an honest end, not a slow client.
                with contextlib.suppress(OSError):
                    wire.writer.write_eof()
            try:
                answer = await answering
            except CutError:
                self.statuses[None] = self.statuses.get(None, 0) + 1
                return
            self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
            assert answer.status < 500, answer


@pytest.mark.parametrize("count", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
async def test_mutated_frames_and_handshakes_break_nothing(target, count):
    seed = seed_of_this_run()
    fuzzer = Fuzzer(target, seed)
    try:
        await fuzzer.run(count)
        await target.serves_a_good_client()
        await asyncio.to_thread(target.assert_nothing_remains)
        assert target.faults() == []
    except BaseException as error:
        error.add_note(f"APEX_FUZZ_SEED={seed}")
        raise
    # Mutations that all fail at the first check would test nothing.
    assert fuzzer.sent >= count
    assert fuzzer.replies > count / 10
    assert {101, 400, 401} <= fuzzer.statuses.keys()
    assert {1002, 1007} <= fuzzer.codes.keys()


# What reads the bytes, on its own and without a socket.

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
_NAMES = st.sampled_from(
    ("type", "request_id", "user_id", "payload", "text", "content", "thread_id", "limit", "seq")
) | st.sampled_from(("jsonrpc", "id", "method", "params", "run_id", "preferences", "token"))


@given(data=st.binary(max_size=300) | st.text(max_size=300))
def test_no_bytes_make_the_parser_fail(parsed, data):
    parsed(data)


@given(fields=st.dictionaries(_NAMES | st.text(max_size=5), _VALUES, max_size=8))
def test_no_json_makes_the_parser_fail(parsed, fields):
    parsed(jsonish(fields))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=150)
def test_no_mutated_message_makes_the_parser_fail(parsed, seed):
    parsed(Mutator(seed).message())


@given(
    claims=st.dictionaries(
        st.sampled_from(("sub", "org", "exp", "iat", "nbf", "iss", "aud", "roles", "jti")), _VALUES
    ),
    header=st.dictionaries(
        st.sampled_from(("typ", "kid", "crit", "jku", "jwk", "x5u", "b64", "cty")), _VALUES
    ),
)
@settings(max_examples=150)
def test_no_claims_make_the_check_of_tokens_fail(believed, claims, header):
    assert not believed(claims, header)


def jsonish(value):
    """JSON that Python writes and that is none here and there."""
    return json.dumps(value).encode()


@pytest.fixture(scope="module")
def parsed():
    """Parse; a violation is an answer, anything else a fault."""

    def parse(data):
        with contextlib.suppress(ProtocolViolation):
            parse_frame(data, max_bytes=8192)

    return parse


@pytest.fixture(scope="module")
def believed(target):
    """Whether a well-signed token with these claims and header opens the door."""

    def check(claims, header):
        return status_of(target, handshake(signed(target.key, claims, header))) == 101

    return check


def status_of(target, data):
    """The status that bytes on a fresh connection get."""
    with socket.create_connection(("127.0.0.1", target.port), timeout=20) as connection:
        connection.sendall(data)
        return int(connection.recv(65_536).split(b" ", 2)[1])
