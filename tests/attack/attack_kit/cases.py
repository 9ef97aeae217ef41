"""One row of a table of attacks: what is sent, and what must come of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from attack_kit.target import Target
from attack_kit.wire import Answer, Closed, CutError, Wire

Bytes = bytes | Callable[[Target], bytes]


@dataclass(frozen=True)
class Http:
    """A plain HTTP answer of this status, with this error code where one is named."""

    status: int
    code: str | None = None
    header: str | None = None
    """A header that must be there."""


@dataclass(frozen=True)
class Welcome:
    """The handshake succeeds."""

    subprotocol: str | None = None


@dataclass(frozen=True)
class Error:
    """An ``error`` of this code, and the connection lives on."""

    code: str
    field: str | None = None
    """The field that the error must name."""


@dataclass(frozen=True)
class Reply:
    """A reply that has these values, and the connection lives on."""

    fields: Mapping[str, Any]


@dataclass(frozen=True)
class RpcError:
    """A JSON-RPC error of this number, to this id."""

    number: int
    rpc_id: object = None


@dataclass(frozen=True)
class Silence:
    """No reply, and the connection lives on."""


@dataclass(frozen=True)
class Close:
    """A close frame of one of these codes, and the end of the connection."""

    codes: tuple[int, ...]


@dataclass(frozen=True)
class Cut:
    """The connection ends without a word."""


Expectation = Http | Welcome | Error | RpcError | Reply | Silence | Close | Cut


@dataclass(frozen=True)
class Case:
    """An attack; ``pending`` says which part of the server is not there yet."""

    name: str
    sent: Bytes
    expected: Expectation | tuple[Expectation, ...]
    pending: str | None = None

    def bytes_for(self, target: Target) -> bytes:
        """What is sent to ``target``."""
        return self.sent(target) if callable(self.sent) else self.sent


def rows(cases: Iterable[Case]) -> list[Any]:
    """The cases as parameters; those that wait for a part must fail until it is there."""
    cases = list(cases)
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), "two cases of one name"
    return [
        pytest.param(
            case,
            id=case.name,
            marks=[pytest.mark.xfail(reason=case.pending, strict=True)] if case.pending else [],
        )
        for case in cases
    ]


async def outcome_of_request(target: Target, data: bytes) -> Http | Welcome | Cut | Answer:
    """What comes of bytes on a fresh connection."""
    async with await target.wire() as wire:
        wire.send(data)
        try:
            answer = await wire.answer()
        except CutError:
            return Cut()
        if answer.status != 101:
            if answer.headers.get("connection") == "close":
                rest = await wire.rest()
                assert rest == b"", f"more came behind the last answer: {rest[:200]!r}"
            return answer
        said = await wire.next()
        assert isinstance(said, Mapping), said
        assert said["type"] == "connection_ready"
        return Welcome(answer.headers.get("sec-websocket-protocol"))


async def check_request(target: Target, case: Case) -> None:
    """Send a request or handshake; its answer must be the expected one."""
    outcome = await outcome_of_request(target, case.bytes_for(target))
    wanted = case.expected if isinstance(case.expected, tuple) else (case.expected,)
    assert any(_answers(outcome, one) for one in wanted), f"expected {wanted}, got {outcome}"


def _answers(outcome: object, wanted: Expectation) -> bool:
    match wanted, outcome:
        case Http(status, code, header), Answer() as answer:
            return (
                answer.status == status
                and code in (None, answer.code)
                and (header is None or header in answer.headers)
            )
        case Welcome(), Welcome():
            return wanted.subprotocol in (None, outcome.subprotocol)
        case Cut(), Cut():
            return True
    return False


async def check_frames(
    target: Target, wire: Wire, case: Case
) -> Sequence[Mapping[str, Any] | Closed]:
    """Send frames on an open connection; their replies must be the expected one."""
    replies = await wire.exchange(case.bytes_for(target))
    wanted = case.expected if isinstance(case.expected, tuple) else (case.expected,)
    assert any(_replies(replies, one) for one in wanted), f"expected {wanted}, got {replies}"
    return replies


def _replies(replies: Sequence[Mapping[str, Any] | Closed], wanted: Expectation) -> bool:
    match wanted, replies:
        case (Silence(), []) | (Cut(), [Closed(None)]):
            return True
        case Close(codes), [*_, Closed(code)]:
            return code in codes
        case _, [Mapping() as reply]:
            return _is(reply, wanted)
    return False


def _is(reply: Mapping[str, Any], wanted: Expectation) -> bool:
    match wanted:
        case Error(code, name):
            found = _error_of(reply)
            named = found.get("details", {}).get("field")
            return found.get("code") == code and name in {None, named}
        case RpcError(number, rpc_id):
            said = (reply.get("jsonrpc"), reply.get("id"), reply.get("error", {}).get("code"))
            return said == ("2.0", rpc_id, number)
        case Reply(fields):
            return dict(reply) == dict(reply) | dict(fields)
    return False


def _error_of(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """The error in either dress."""
    if "jsonrpc" in reply:
        data = reply.get("error", {}).get("data", {})
        return data if isinstance(data, Mapping) else {}
    return reply if reply.get("type") == "error" else {}
