"""From a frame's bytes to a message, or to the precise reason why it is none.

The order of the checks is the order of their cost: size, UTF-8, nesting, JSON, envelope, fields.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn

from pydantic import TypeAdapter, ValidationError

from apex_actors.protocol.codes import ErrorCode, JsonRpcCode
from apex_actors.protocol.messages import MESSAGE_TYPES, TYPE_ALIASES, ClientMessage
from apex_actors.protocol.replies import PLAIN, ReplyFormat, ReplyTo
from apex_actors.protocol.scalars import MAX_ID_CHARS, is_clean
from apex_actors.protocol.violation import ProtocolViolation

MAX_DEPTH: Final = 32
"""Deepest nesting of arrays and objects; no message of ours needs more than a few levels."""

MAX_INTEGER: Final = 2**63 - 1
"""Integers fit 64 bits with sign, as in the database and in most clients' languages."""

_MAX_INTEGER_CHARS: Final = 20  # "-9223372036854775808"; longer ones are not even converted

_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_FIELD_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}")


#: How signs of life begin; a key that comes twice is refused, so they are of no other type.
_SIGNS_OF_LIFE: Final = ('{"type":"ping"', '{"type":"pong"', '{"type":"heartbeat"', '{"type":"ack"')
_SHORT_CHARS: Final = 64


class ParsedFrame(NamedTuple):
    """A valid message, and where its direct reply goes."""

    message: ClientMessage
    reply_to: ReplyTo


def parse_frame(data: bytes | str, *, max_bytes: int) -> ParsedFrame:
    """Read one text frame of a client.

    `max_bytes` is the first size that is too large (`max_message_bytes` of the welcome).
    Raises ProtocolViolation, and nothing else, for whatever is wrong with the frame.
    """
    if (
        len(data) <= _SHORT_CHARS < max_bytes
        and type(data) is str
        and data.startswith(_SIGNS_OF_LIFE)
        and data.isascii()
    ):
        return _read_again(data)
    return _read(_text_of(data, max_bytes))


@lru_cache(maxsize=1024)
def _read_again(text: str) -> ParsedFrame:
    """What says nothing of anybody, and comes again and again from those who are idle."""
    return _read(text)


def _text_of(data: bytes | str, max_bytes: int) -> str:
    # The usual frame, text of ASCII that is short enough, has nothing to decode.
    if type(data) is str and data.isascii() and len(data) < max_bytes:
        return data
    return _decode(data, max_bytes)


def _read(text: str) -> ParsedFrame:
    raw = _parse(text)
    if "\\u" in text and not _all_clean(raw):
        # Only an escape can bring these in: raw ones are refused as UTF-8 and as JSON.
        _refuse_dirty(raw)
    if type(raw) is not dict:
        _refuse_shape(raw)
    if "jsonrpc" in raw:
        return _from_json_rpc(raw)
    return _from_plain(raw)


def _decode(data: bytes | str, max_bytes: int) -> str:
    if isinstance(data, str):
        try:
            size_bytes = len(data.encode())
        except UnicodeEncodeError:
            raise ProtocolViolation(
                ErrorCode.INVALID_MESSAGE, "The frame holds a lone surrogate."
            ) from None
    else:
        size_bytes = len(data)
    if size_bytes >= max_bytes:
        raise ProtocolViolation(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"The message has {size_bytes} bytes; at most {max_bytes - 1} are taken.",
            details={"size_bytes": size_bytes, "max_bytes": max_bytes - 1},
        )
    if isinstance(data, str):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(ErrorCode.INVALID_JSON, "The frame is not UTF-8.") from None


# -- JSON ------------------------------------------------------------------------------------


class _UnfitJsonError(ValueError):
    """JSON that the grammar allows and the protocol does not."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        # Parsers differ in which one wins: what one part checks another might not see.
        raise _UnfitJsonError("an object has the same key twice")
    return fields


def _integer(digits: str) -> int:
    if len(digits) <= _MAX_INTEGER_CHARS:
        value = int(digits)
        if -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
            return value
    raise _UnfitJsonError("an integer does not fit 64 bits")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _UnfitJsonError("a number is too large")
    return value


def _constant(_name: str) -> NoReturn:
    raise _UnfitJsonError("NaN and Infinity are not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
_SCAN: Final[Callable[[str, int], tuple[Any, int]]] = _DECODER.scan_once  # type: ignore[attr-defined]  # an attribute that typeshed leaves out


def _parse(text: str) -> Any:
    try:
        # Before the parser, whose own recursion limit depends on who calls. Brackets inside
        # strings count here too, so the exact look is only taken when in doubt.
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(text)
        try:
            # What `decode` does, without its two looks for white space around the value.
            value, end = _SCAN(text, 0)
        except StopIteration:
            return _DECODER.decode(text)
        return value if end == len(text) else _DECODER.decode(text)
    except json.JSONDecodeError as error:
        # The parser's own message may quote the text.
        reason = f"it cannot be parsed at character {error.pos}"
    except _UnfitJsonError as error:
        reason = str(error)
    # What asked cannot be known for sure; a client of JSON-RPC waits for its own kind of error.
    to = ReplyTo(format=ReplyFormat.JSON_RPC) if '"jsonrpc"' in text else PLAIN
    raise ProtocolViolation(
        ErrorCode.INVALID_JSON, f"The frame is not valid JSON: {reason}.", reply_to=to
    )


def _check_depth(text: str) -> None:
    depth = 0
    for match in _BRACKETS.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise _UnfitJsonError(f"it is nested deeper than {MAX_DEPTH} levels")
        elif match[0] in "]}":
            depth -= 1


def _all_clean(value: Any) -> bool:
    if isinstance(value, str):
        return is_clean(value)
    if isinstance(value, dict):
        return all(is_clean(key) and _all_clean(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_all_clean, value))
    return True


# -- envelopes -------------------------------------------------------------------------------


def _refuse_dirty(raw: Any) -> NoReturn:
    to = PLAIN
    if isinstance(raw, dict):
        to = _rpc_reply_to(raw) if "jsonrpc" in raw else _plain_reply_to(raw)
    raise ProtocolViolation(
        ErrorCode.INVALID_MESSAGE,
        "The message holds U+0000 or a lone surrogate: remove it.",
        reply_to=to,
    )


def _refuse_shape(raw: Any) -> NoReturn:
    if isinstance(raw, list) and any(isinstance(item, dict) and "jsonrpc" in item for item in raw):
        raise ProtocolViolation(
            ErrorCode.INVALID_MESSAGE,
            "JSON-RPC batches are not taken: send each request in a frame of its own.",
            reply_to=ReplyTo(format=ReplyFormat.JSON_RPC, rpc_code=JsonRpcCode.INVALID_REQUEST),
        )
    raise ProtocolViolation(
        ErrorCode.INVALID_MESSAGE, 'The frame must be a JSON object with a "type".'
    )


def _from_plain(raw: dict[str, Any]) -> ParsedFrame:
    fields = raw
    to = _plain_reply_to(raw)
    if "payload" in raw:
        payload = raw.pop("payload")
        if not isinstance(payload, dict):
            raise _invalid("payload", "must be an object", to)
        for name in payload:
            if name in raw:
                raise _invalid(name, "is given twice, beside payload and in it", to)
        fields = raw | payload
        to = _plain_reply_to(fields)
    # Looked up outside the payload: a `type` in there does not say what the frame is.
    kind = raw.get("type")
    if not isinstance(kind, str):
        raise _invalid("type", "is required" if kind is None else "must be a string", to)
    return _build(kind, fields, to)


def _from_json_rpc(raw: dict[str, Any]) -> ParsedFrame:
    to = _rpc_reply_to(raw)
    # Faults of the envelope have their own number, other than faults of the parameters.
    envelope = ReplyTo(None, to.format, to.rpc_id, JsonRpcCode.INVALID_REQUEST)
    if raw["jsonrpc"] != "2.0":
        raise _invalid("jsonrpc", 'must be "2.0"', envelope)
    if "id" in raw and not _is_rpc_id(raw["id"]):
        raise _invalid("id", f"must be an integer or a string up to {MAX_ID_CHARS}", envelope)
    method = raw.get("method")
    if not isinstance(method, str):
        raise _invalid("method", "must be a string", envelope)
    for name in raw:
        if name not in {"jsonrpc", "id", "method", "params"}:
            raise _invalid(name, "is not a member of a JSON-RPC request", envelope)
    params = raw.get("params", {})
    if not isinstance(params, dict):
        raise _invalid("params", "must be an object: parameters go by name", to)
    to = ReplyTo(_echo(params), to.format, to.rpc_id)
    if "type" in params:
        raise _invalid("type", "is named by method", to)
    return _build(method, params, to)


def _plain_reply_to(fields: Mapping[str, Any]) -> ReplyTo:
    if "request_id" not in fields:
        return PLAIN
    request_id = _echo(fields)
    return PLAIN if request_id is None else ReplyTo(request_id)


def _rpc_reply_to(raw: dict[str, Any]) -> ReplyTo:
    if "id" not in raw and isinstance(raw.get("method"), str):
        return ReplyTo(format=ReplyFormat.NONE)
    rpc_id = raw.get("id")
    return ReplyTo(format=ReplyFormat.JSON_RPC, rpc_id=rpc_id if _is_rpc_id(rpc_id) else None)


def _is_rpc_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_ID_CHARS and is_clean(value)
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _echo(fields: Mapping[str, Any]) -> str | None:
    """The request id, where it is fit to be sent back."""
    value = fields.get("request_id")
    if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS and is_clean(value):
        return value
    return None


# -- fields ----------------------------------------------------------------------------------


class _Reader(NamedTuple):
    """How the fields of one message type become its message."""

    name: str
    validate: Callable[[dict[str, Any]], ClientMessage]
    field_aliases: tuple[tuple[str, str], ...]
    bare: ClientMessage | None
    """The message without any fields, where there is one: immutable, so one is enough."""


def _reader(name: str, model: type[ClientMessage]) -> _Reader:
    # `model_validate` asks for its options at each call; there are none.
    validate = TypeAdapter(model).validator.validate_python
    try:
        bare = validate({"type": name})
    except ValidationError:
        bare = None
    return _Reader(name, validate, tuple(model.field_aliases.items()), bare)


_READERS: Final[Mapping[str, _Reader]] = {
    name: _reader(TYPE_ALIASES.get(name, name), MESSAGE_TYPES[TYPE_ALIASES.get(name, name)])
    for name in (*MESSAGE_TYPES, *TYPE_ALIASES)
}


def _build(kind: str, fields: dict[str, Any], to: ReplyTo) -> ParsedFrame:
    reader = _READERS.get(kind)
    if reader is None:
        raise ProtocolViolation(
            ErrorCode.UNKNOWN_MESSAGE_TYPE,
            "The message type is not known; details.known_types lists those that are.",
            details={"known_types": sorted(_READERS)},
            reply_to=to,
        )
    fields["type"] = reader.name
    if reader.bare is not None and len(fields) == 1:
        return ParsedFrame(reader.bare, to)
    for alias, field in reader.field_aliases:
        if alias in fields:
            if field in fields:
                raise _invalid(field, f"is given twice, as {field} and as {alias}", to)
            fields[field] = fields.pop(alias)
    try:
        return ParsedFrame(reader.validate(fields), to)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise _invalid(path, _reason(first["type"], first.get("ctx", {})), to) from None


_REASONS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this message type",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} characters",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "int_type": "must be an integer",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "enum": "must be {expected}",
    "dict_type": "must be an object",
    # Texts of our own validators, which never quote what they refuse.
    "value_error": "{error}",
}


def _reason(kind: str, context: Mapping[str, Any]) -> str:
    """In our own words: the library's messages may quote the value."""
    return _REASONS.get(kind, "is not valid").format_map(context)


def _invalid(field: str, reason: str, to: ReplyTo) -> ProtocolViolation:
    # A field's name is the client's text: shown where it looks like a name.
    shown = field if _FIELD_NAME.fullmatch(field) else "(a name that is no identifier)"
    return ProtocolViolation(
        ErrorCode.INVALID_MESSAGE,
        f"{shown} {reason}." if field else f"The message {reason}.",
        details={"field": shown if field else None, "reason": reason},
        reply_to=to,
    )
