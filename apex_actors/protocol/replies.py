"""To whom and in which clothes a direct reply goes: plain, or as a JSON-RPC 2.0 response."""

import json
from enum import StrEnum
from json.encoder import encode_basestring_ascii
from typing import NamedTuple

from apex_actors.protocol.codes import JSON_RPC_CODES
from apex_actors.protocol.notices import ErrorNotice, Reply


class ReplyFormat(StrEnum):
    """How the client asked, and so how it is answered."""

    PLAIN = "plain"
    JSON_RPC = "json_rpc"
    NONE = "none"
    """A JSON-RPC notification (a request without `id`): the specification forbids an answer."""


class ReplyTo(NamedTuple):
    """What a direct reply must echo. One is made for each frame: a tuple is made fastest."""

    request_id: str | None = None
    format: ReplyFormat = ReplyFormat.PLAIN
    rpc_id: str | int | None = None
    rpc_code: int | None = None
    """A JSON-RPC error number to use in place of the error code's own."""


PLAIN = ReplyTo()
"""A plain reply that echoes nothing."""


def encode_reply(reply: Reply, to: ReplyTo = PLAIN) -> bytes | None:
    """The frame that answers a request, or None where no answer is allowed.

    The request's id is put into the reply's frame, not into the reply: what is said to many, such
    as the `pong` of a millisecond, is encoded once.
    """
    if to is PLAIN:
        return reply.encode()
    if to.format is ReplyFormat.NONE:
        return None
    if to.format is ReplyFormat.PLAIN:
        return _encode(reply, to)
    head = b'{"jsonrpc":"2.0","id":' + json.dumps(to.rpc_id).encode()
    if isinstance(reply, ErrorNotice):
        return head + b',"error":' + _rpc_error(reply, to) + b"}"
    return head + b',"result":' + _encode(reply, to) + b"}"


def _encode(reply: Reply, to: ReplyTo) -> bytes:
    frame = reply.encode()
    if to.request_id is None or reply.request_id is not None:
        return frame
    # Behind the type, which comes first in every frame.
    end = frame.index(b'"', len(b'{"type":"')) + 1
    echo = b',"request_id":' + encode_basestring_ascii(to.request_id).encode()
    return frame[:end] + echo + frame[end:]


def _rpc_error(error: ErrorNotice, to: ReplyTo) -> bytes:
    number = JSON_RPC_CODES[error.code] if to.rpc_code is None else to.rpc_code
    data = error.model_dump(mode="json", exclude={"type", "message"})
    if to.request_id is not None:
        data.setdefault("request_id", to.request_id)
    body = {"code": int(number), "message": error.message, "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
