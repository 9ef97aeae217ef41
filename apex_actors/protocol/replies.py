"""To whom and in which clothes a direct reply goes: plain, or as a JSON-RPC 2.0 response."""

import json
from dataclasses import dataclass
from enum import StrEnum

from apex_actors.protocol.codes import JSON_RPC_CODES
from apex_actors.protocol.notices import ErrorNotice, Reply


class ReplyFormat(StrEnum):
    """How the client asked, and so how it is answered."""

    PLAIN = "plain"
    JSON_RPC = "json_rpc"
    NONE = "none"
    """A JSON-RPC notification (a request without `id`): the specification forbids an answer."""


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """What a direct reply must echo."""

    request_id: str | None = None
    format: ReplyFormat = ReplyFormat.PLAIN
    rpc_id: str | int | None = None
    rpc_code: int | None = None
    """A JSON-RPC error number to use in place of the error code's own."""


PLAIN = ReplyTo()
"""A plain reply that echoes nothing."""


def encode_reply(reply: Reply, to: ReplyTo = PLAIN) -> bytes | None:
    """The frame that answers a request, or None where no answer is allowed."""
    if to.format is ReplyFormat.NONE:
        return None
    if to.request_id is not None and reply.request_id is None:
        reply = reply.model_copy(update={"request_id": to.request_id})
    if to.format is ReplyFormat.PLAIN:
        return reply.encode()
    head = b'{"jsonrpc":"2.0","id":' + json.dumps(to.rpc_id).encode()
    if isinstance(reply, ErrorNotice):
        return head + b',"error":' + _rpc_error(reply, to) + b"}"
    return head + b',"result":' + reply.encode() + b"}"


def _rpc_error(error: ErrorNotice, to: ReplyTo) -> bytes:
    number = JSON_RPC_CODES[error.code] if to.rpc_code is None else to.rpc_code
    data = error.model_dump(mode="json", exclude={"type", "message"})
    body = {"code": int(number), "message": error.message, "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
