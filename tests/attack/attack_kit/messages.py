"""Attacks in what frames say: JSON that is none or too much, fields that do not fit, JSON-RPC."""

import json
from collections.abc import Mapping
from typing import Any, Final

from attack_kit.cases import Case, Close, Error, Expectation, Reply, RpcError, Silence
from attack_kit.wire import message, text

#: Stands where a value is that no answer may repeat.
VALUE: Final = "a value that nobody wants to see again"

NO_JSON: Final = Error("invalid_json")
UNFIT: Final = Error("invalid_message")
PONG: Final = Reply({"type": "pong", "request_id": "r"})

#: A thread, a run: whose, nobody knows.
SOME_ID: Final = "00000000-0000-4000-8000-000000000000"


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def ping_with(field: str) -> bytes:
    """A ping with this text behind its fields."""
    return text('{"type":"ping","request_id":"r"' + field + "}")


def padded(size: int) -> bytes:
    """A ping of exactly this size."""
    return text(b'{"type":"ping","request_id":"r"}'.ljust(size))


def unfit(name: str, kind: str, field: str, pending: str | None = None, **fields: Any) -> Case:
    """A message that is refused for one field."""
    return Case(name, message(kind, **fields), Error("invalid_message", field), pending)


JSON: Final = [
    Case("an empty frame", text(""), NO_JSON),
    Case("white space", text(" \t\r\n "), NO_JSON),
    Case("half an object", text('{"type":"ping"'), NO_JSON),
    Case("garbage behind an object", text('{"type":"ping"} x'), NO_JSON),
    Case("two objects", text('{"type":"ping"}{"type":"ping"}'), NO_JSON),
    Case("single quotes", text("{'type':'ping'}"), NO_JSON),
    Case("names without quotes", text('{type:"ping"}'), NO_JSON),
    Case("a comma at the end", ping_with(","), NO_JSON),
    Case("a comment", text('{"type":"ping"/**/}'), NO_JSON),
    Case("a byte-order mark", text(b"\xef\xbb\xbf" + b'{"type":"ping"}'), NO_JSON),
    Case("UTF-16", text('{"type":"ping"}'.encode("utf-16-le")), NO_JSON),
    Case("a space that JSON does not know", text('\xa0{"type":"ping"}'), NO_JSON),
    Case("an array", text("[]"), UNFIT),
    Case("an array of a message", text('[{"type":"ping"}]'), UNFIT),
    Case("a string", text('"ping"'), UNFIT),
    Case("a number", text("7"), UNFIT),
    Case("null", text("null"), UNFIT),
    Case("true", text("true"), UNFIT),
    Case("an empty object", text("{}"), UNFIT),
    Case("32 levels", ping_with(f',"x":{nested(31)}'), Error("invalid_message", "x")),
    Case("33 levels", ping_with(f',"x":{nested(32)}'), NO_JSON),
    Case("33 levels of objects", text('{"x":' * 33 + "1" + "}" * 33), NO_JSON),
    Case("4,000 levels", text(nested(4000)), NO_JSON),
    Case("8,000 levels that never end", text("[" * 8000), NO_JSON),
    Case("8,000 objects that never end", text('{"":' * 2000), NO_JSON),
    Case("60,000 levels", text("[" * 60_000), Error("message_too_large")),
    Case("100,000 levels", text("[" * 100_000), Close((1009,))),
    Case("brackets in a string", ping_with(f',"user_id":"{"[" * 100}"'), Error("user_mismatch")),
    Case("escaped quotes and brackets", ping_with(r',"x":"\"[' + "[" * 50 + '"'), UNFIT),
    Case("NaN", ping_with(',"x":NaN'), NO_JSON),
    Case("Infinity", ping_with(',"x":Infinity'), NO_JSON),
    Case("minus Infinity", ping_with(',"x":-Infinity'), NO_JSON),
    Case("a float beyond all floats", ping_with(',"x":1e999'), NO_JSON),
    Case("a float with an exponent without end", ping_with(',"x":1e' + "9" * 5000), NO_JSON),
    Case("an integer of 7,000 digits", ping_with(',"x":' + "9" * 7000), NO_JSON),
    Case("an integer beyond 64 bits", ping_with(f',"x":{2**63}'), NO_JSON),
    Case("an integer of 64 bits", message("ack", seq=2**63 - 1), Silence()),
    Case("a number with a leading zero", ping_with(',"x":01'), NO_JSON),
    Case("a number with a plus", ping_with(',"x":+1'), NO_JSON),
    Case("a number in hexadecimal", ping_with(',"x":0x1'), NO_JSON),
    Case("a key twice", ping_with(',"type":"heartbeat"'), NO_JSON),
    Case("a key twice, deeper", ping_with(',"payload":{"a":1,"a":1}'), NO_JSON),
    Case("a key twice, once in escapes", ping_with(r',"\u0074ype":"heartbeat"'), NO_JSON),
    Case("payload twice", ping_with(',"payload":{},"payload":{}'), NO_JSON),
    Case("a lone surrogate", ping_with(r',"user_id":"\ud800"'), UNFIT),
    Case("a lone low surrogate", ping_with(r',"user_id":"\udfff"'), UNFIT),
    Case("surrogates the wrong way round", ping_with(r',"user_id":"\udc00\ud800"'), UNFIT),
    Case("a lone surrogate in a key", ping_with(r',"\ud800":1'), UNFIT),
    Case("a lone surrogate in a type", text(r'{"type":"\ud800"}'), UNFIT),
    Case("a pair of surrogates", text(r'{"type":"ping","request_id":"\ud83d\ude00"}'), Reply({"request_id": "😀"})),
    Case("NUL in escapes", ping_with(r',"user_id":"a\u0000b"'), UNFIT),
    Case("NUL in a key", ping_with(r',"a\u0000":1'), UNFIT),
    Case("NUL in a request id", text(r'{"type":"ping","request_id":"\u0000"}'), UNFIT),
    Case("NUL as it is", ping_with(',"user_id":"a\0b"'), NO_JSON),
    Case("a line break in a string", ping_with(',"user_id":"a\nb"'), NO_JSON),
    Case("an escape that is none", ping_with(r',"user_id":"\x41"'), NO_JSON),
    Case("an escape cut off", ping_with(r',"user_id":"\u00"'), NO_JSON),
    Case("8,191 bytes", padded(8191), PONG),
    Case("8,192 bytes", padded(8192), Error("message_too_large")),
    Case("8,191 bytes in wide characters", text('{"type":"ping","request_id":"r","user_id":"' + "ß" * 4072 + '"}'), UNFIT),
]  # fmt: skip

SCHEMA: Final = [
    Case("no type", text('{"request_id":"r"}'), Error("invalid_message", "type")),
    Case("a type that is a number", text('{"type":7}'), Error("invalid_message", "type")),
    Case("a type that is null", text('{"type":null}'), Error("invalid_message", "type")),
    Case("a type that is a list", text('{"type":["ping"]}'), Error("invalid_message", "type")),
    Case("an empty type", text('{"type":""}'), Error("unknown_message_type")),
    Case("a type that nobody knows", message(VALUE), Error("unknown_message_type")),
    Case("a type in large letters", message("PING"), Error("unknown_message_type")),
    Case("a type with a space", message("ping "), Error("unknown_message_type")),
    Case("a type of the server", message("connection_ready"), Error("unknown_message_type")),
    Case("a type with a line break", message("ping\r\nERROR"), Error("unknown_message_type")),
    Case("a type of 8,000 characters", message("x" * 8000), Error("unknown_message_type")),
    Case("a type of Python's own", message("__class__"), Error("unknown_message_type")),
    unfit("a field that nobody knows", "ping", "x", x=VALUE),
    unfit("a field of Python's own", "ping", "__class__", __class__=VALUE),
    unfit("a field of the model's own", "ping", "model_config", model_config={}),
    unfit("a field's alias of another type", "ping", "content", content=VALUE),
    unfit("a name that is no name", "ping", "(a name that is no identifier)", **{"a\nb": 1}),
    Case("an empty name", message("ping", **{"": 1}), UNFIT),
    unfit("a text that is missing", "user_message", "text"),
    unfit("a text that is null", "user_message", "text", text=None),
    unfit("a text that is a number", "user_message", "text", text=7),
    unfit("a text that is a list", "user_message", "text", text=[VALUE]),
    unfit("a text that is true", "user_message", "text", text=True),
    unfit("an empty text", "user_message", "text", text=""),
    unfit("a blank text", "user_message", "text", text=" \n\t\u2003"),
    unfit("text and content", "user_message", "text", text=VALUE, content=VALUE),
    unfit("content and message", "user_message", "text", content=VALUE, message=VALUE),
    unfit("text beside payload and in it", "user_message", "text", text="a", payload={"text": "a"}),
    unfit(
        "text beside payload and its alias in it",
        "user_message",
        "text",
        text="a",
        payload={"content": "a"},
    ),
    unfit("a payload that is a list", "ping", "payload", payload=[]),
    unfit("a payload that is null", "ping", "payload", payload=None),
    unfit("a type in the payload", "ping", "type", payload={"type": "user_message"}),
    unfit("a payload in the payload", "ping", "payload", payload={"payload": {"x": 1}}),
    unfit("a request id that is a number", "ping", "request_id", request_id=7),
    unfit("an empty request id", "ping", "request_id", request_id=""),
    unfit("a request id of 129 characters", "ping", "request_id", request_id="x" * 129),
    Case("a request id of 128 characters", message("ping", request_id="x" * 128), Reply({"request_id": "x" * 128})),
    unfit("a message id of 129 characters", "user_message", "client_message_id", text="a", client_message_id="x" * 129),
    unfit("a message id that is a number", "user_message", "client_message_id", text="a", client_message_id=1),
    unfit("an empty message id", "user_message", "client_message_id", text="a", client_message_id=""),
    Case("somebody else's user id", message("ping", user_id="bob", request_id="r"), Error("user_mismatch")),
    Case("somebody else's user id in the payload", message("ping", payload={"user_id": "bob"}), Error("user_mismatch")),
    Case("a user id in large letters", message("ping", user_id="ANN"), Error("user_mismatch")),
    Case("a user id with a space", message("ping", user_id="ann "), Error("user_mismatch")),
    Case("a user id in look-alike letters", message("ping", user_id="\uff41nn"), Error("user_mismatch")),
    Case("one's own user id", message("ping", user_id="ann", request_id="r"), PONG),
    Case("somebody else's user id on a message", message("user_message", text="a", user_id="bob"), Error("user_mismatch")),
    unfit("a user id that is a number", "ping", "user_id", user_id=1),
    unfit("if_busy in large letters", "user_message", "if_busy", text="a", if_busy="ENQUEUE"),
    unfit("if_busy that nobody knows", "user_message", "if_busy", text="a", if_busy=VALUE),
    unfit("if_busy that is true", "user_message", "if_busy", text="a", if_busy=True),
    unfit("a pipeline that nobody knows", "start_agent", "pipeline", user_request="a", pipeline=VALUE),
    unfit("a pipeline that is a path", "start_agent", "pipeline", user_request="a", pipeline="../x"),
    unfit("a thread that is no id", "get_thread_history", "thread_id", thread_id=VALUE),
    unfit("a thread that is a number", "get_thread_history", "thread_id", thread_id=7),
    unfit("a thread that is a query", "get_thread_history", "thread_id", thread_id="' or 1=1 --"),
    unfit("a thread that is null", "get_thread_history", "thread_id", thread_id=None),
    unfit("a thread that is an object", "get_thread_history", "thread_id", thread_id={"$ne": 1}),
    *(
        Case(
            f"a thread in an odd form: {odd}",
            message("get_thread_history", thread_id=odd),
            (Error("thread_not_found"), Error("invalid_message", "thread_id")),
        )
        for odd in (
            SOME_ID.replace("-", ""),
            "{" + SOME_ID + "}",
            "urn:uuid:" + SOME_ID,
            "F" * 8 + SOME_ID[8:],
            "0" * 8 + "-0000-0000-0000-" + "0" * 12,
        )
    ),
    unfit("a thread with a space behind", "get_thread_history", "thread_id", thread_id=SOME_ID + " "),
    *(
        unfit(f"a limit of {limit!r}", "get_thread_history", "limit", thread_id=SOME_ID, limit=limit)
        for limit in (0, -1, 201, 2**63 - 1, 1.0, "10", True, None, [1])
    ),
    Case("a limit of 1e2", text(f'{{"type":"get_thread_history","thread_id":"{SOME_ID}","limit":1e2}}'), Error("invalid_message", "limit")),
    Case("a cursor that is none", message("get_thread_history", thread_id=SOME_ID, before=VALUE), (UNFIT, Error("thread_not_found"))),
    unfit("a cursor of 257 characters", "get_thread_history", "before", thread_id=SOME_ID, before="x" * 257),
    unfit("a seq that is negative", "ack", "seq", seq=-1),
    unfit("a seq that is a float", "ack", "seq", seq=1.5),
    unfit("a seq that is true", "ack", "seq", seq=True),
    unfit("a seq that is a string", "pong", "seq", seq="1"),
    Case("a seq beyond the log's end", message("ack", seq=10**15), Silence()),
    unfit("a run that is no id", "cancel_run", "run_id", run_id=VALUE),
    unfit("a run that is missing", "get_run", "run_id"),
    unfit("a title of 201 characters", "rename_thread", "title", thread_id=SOME_ID, title="x" * 201),
    unfit("a blank title", "rename_thread", "title", thread_id=SOME_ID, title=" "),
    unfit("preferences that are a list", "set_preferences", "preferences", preferences=[]),
    unfit("preferences that are missing", "set_preferences", "preferences"),
    unfit("an empty token", "refresh_token", "token", token=""),
    unfit("a token that is a list", "refresh_token", "token", token=[VALUE]),
    Case("nothing to stop", message("stop_agent"), UNFIT),
    Case("two things to stop", message("stop_agent", run_id=SOME_ID, thread_id=SOME_ID), UNFIT),
]  # fmt: skip


def rpc(**members: Any) -> bytes:
    """A JSON-RPC request."""
    return text(json.dumps({"jsonrpc": "2.0"} | members))


def answered(rpc_id: object) -> Expectation:
    return Reply({"jsonrpc": "2.0", "id": rpc_id})


_PARAMS: Final[Mapping[str, Any]] = {"x": VALUE}

JSON_RPC: Final = [
    Case("a request", rpc(id=1, method="ping"), answered(1)),
    Case("a request with an id that is a string", rpc(id="a", method="ping"), answered("a")),
    Case("an id that is null", rpc(id=None, method="ping"), answered(None)),
    Case("a notification", rpc(method="ping"), Silence()),
    Case("a notification of nobody", rpc(method="dance"), Silence()),
    Case("a notification with bad fields", rpc(method="ping", params=_PARAMS), Silence()),
    Case("a batch", text('[{"jsonrpc":"2.0","id":1,"method":"ping"}]'), RpcError(-32600)),
    Case("an empty batch", text("[]"), UNFIT),
    Case("a batch of 100", text(json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "ping"}] * 100)), RpcError(-32600)),
    Case("version 1.0", rpc(jsonrpc="1.0", id=1, method="ping"), RpcError(-32600, 1)),
    Case("a version that is a number", rpc(jsonrpc=2.0, id=1, method="ping"), RpcError(-32600, 1)),
    Case("a version that is null", rpc(jsonrpc=None, id=1, method="ping"), RpcError(-32600, 1)),
    Case("half of it", text('{"jsonrpc":"2.0","id":1'), RpcError(-32700)),
    Case("an id that is a float", rpc(id=1.5, method="ping"), RpcError(-32600)),
    Case("an id that is true", rpc(id=True, method="ping"), RpcError(-32600)),
    Case("an id that is a list", rpc(id=[1], method="ping"), RpcError(-32600)),
    Case("an id that is an object", rpc(id={}, method="ping"), RpcError(-32600)),
    Case("an id of 129 characters", rpc(id="x" * 129, method="ping"), RpcError(-32600)),
    Case("an id with NUL", text('{"jsonrpc":"2.0","id":"\\u0000","method":"ping"}'), (RpcError(-32600), RpcError(-32602))),
    Case("no method", rpc(id=1), RpcError(-32600, 1)),
    Case("a method that is a number", rpc(id=1, method=7), RpcError(-32600, 1)),
    Case("a method that nobody knows", rpc(id=1, method=VALUE), RpcError(-32601, 1)),
    Case("a method of JSON-RPC's own", rpc(id=1, method="rpc.discover"), RpcError(-32601, 1)),
    Case("params in a list", rpc(id=1, method="ping", params=[1]), RpcError(-32602, 1)),
    Case("params that are null", rpc(id=1, method="ping", params=None), RpcError(-32602, 1)),
    Case("params that nobody knows", rpc(id=1, method="ping", params=_PARAMS), RpcError(-32602, 1)),
    Case("params with a type", rpc(id=1, method="ping", params={"type": "ack"}), RpcError(-32602, 1)),
    Case("a member that nobody knows", rpc(id=1, method="ping", x=VALUE), RpcError(-32600, 1)),
    Case("a type beside a method", rpc(id=1, method="ping", type="ping"), RpcError(-32600, 1)),
    Case("an answer", rpc(id=1, result=VALUE), RpcError(-32600, 1)),
    Case("somebody else's user id", rpc(id=1, method="ping", params={"user_id": "bob"}), RpcError(-32000, 1)),
    Case("an id of 64 bits", rpc(id=2**63 - 1, method="ping"), answered(2**63 - 1)),
    Case("an id beyond 64 bits", rpc(id=2**64, method="ping"), RpcError(-32700)),
]  # fmt: skip

MESSAGES: Final = [*JSON, *SCHEMA]
