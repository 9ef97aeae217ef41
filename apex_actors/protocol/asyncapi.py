"""The protocol as an AsyncAPI 3.0 document, made from the models.

As the specification has it, the document describes the server: it *receives* what clients say and
*sends* replies, notices and events.
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from apex_actors.protocol.advice import CLOSE_ADVICE, ERROR_ADVICE
from apex_actors.protocol.codes import JSON_RPC_CODES
from apex_actors.protocol.exchanges import DIRECT_REPLIES, NOTICES, REPLIES, type_of
from apex_actors.protocol.messages import MESSAGE_TYPES, TYPE_ALIASES, ClientMessage
from apex_actors.protocol.notices import PROTOCOL, ErrorNotice, Notice
from apex_actors.protocol.payloads import PAYLOAD_TYPES, EventPayload
from apex_actors.protocol.scalars import MAX_MESSAGE_BYTES
from apex_actors.protocol.wire_schema import REF, event_name, wire_schemas

CHANNEL: Final = "ws"

DESCRIPTION: Final = """\
AI chat over one WebSocket: a question in, the work of the agents live, a durable answer out.

Every user has one log of numbered events. A client that comes back with the position it has seen
(`after`, `epoch`) gets all that it missed, once each and in order; a message that is sent again
under its `client_message_id` is accepted once."""

_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


def asyncapi_document(
    *, version: str, server: str, max_message_bytes: int = MAX_MESSAGE_BYTES
) -> dict[str, Any]:
    """The document of a server of this version at the URL ``server`` (http, https, ws or wss).

    Raises ValueError for another kind of URL.
    """
    url = urlsplit(server)
    if url.scheme not in _SCHEMES or not url.netloc:
        raise ValueError("the server's URL must look like https://host or ws://host:port")
    messages = _messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "apex_actors",
            "version": version,
            "description": DESCRIPTION,
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": url.netloc,
                "protocol": _SCHEMES[url.scheme],
                "description": "Chat, HTTP and this protocol on one port.",
                "security": [
                    {"$ref": "#/components/securitySchemes/bearer"},
                    {"$ref": "#/components/securitySchemes/subprotocol"},
                ],
            }
        },
        "channels": {
            CHANNEL: {
                "address": "/ws",
                "description": "One JSON object a text frame; binary frames are refused.",
                "servers": [{"$ref": "#/servers/gateway"}],
                "messages": {name: _ref("components/messages", name) for name in messages},
                "bindings": {"ws": _binding()},
                "x-max-message-bytes": max_message_bytes,
                "x-close-codes": {
                    str(int(code)): {"meaning": said.meaning, "what-to-do": said.what_to_do}
                    for code, said in CLOSE_ADVICE.items()
                },
            }
        },
        "operations": _operations(),
        "components": {
            "messages": messages,
            "schemas": wire_schemas(),
            "correlationIds": {
                "request_id": {
                    "description": "Given by the client, echoed in the direct reply.",
                    "location": "$message.payload#/request_id",
                },
                "json_rpc_id": {
                    "description": "The same in JSON-RPC.",
                    "location": "$message.payload#/id",
                },
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "`Authorization: Bearer <JWT>` in the handshake; never in the URL.",
                },
                "subprotocol": {
                    "type": "httpApiKey",
                    "in": "header",
                    "name": "Sec-WebSocket-Protocol",
                    "description": (
                        f"For browsers: the subprotocols `{PROTOCOL}` and "
                        "`jwt.<base64url(JWT) without padding>`."
                    ),
                },
            },
        },
        "x-error-codes": {
            str(code): {
                "json-rpc-code": int(JSON_RPC_CODES[code]),
                "meaning": said.meaning,
                "what-to-do": said.what_to_do,
            }
            for code, said in ERROR_ADVICE.items()
        },
    }


# -- names -----------------------------------------------------------------------------------
#
# `ping` and `pong` are said by both sides: what the server says has its side in the name.


def received_name(model: type[ClientMessage]) -> str:
    """The document's name of a client's message: its type."""
    return type_of(model)


def sent_name(model: type[Notice]) -> str:
    """The document's name of a reply or notice."""
    name = type_of(model)
    return f"server_{name}" if name in MESSAGE_TYPES else name


# -- messages --------------------------------------------------------------------------------


def _messages() -> dict[str, Any]:
    client = {
        received_name(model): _message(
            type_of(model), model.__name__, _words(model), correlated=True
        )
        | _other_names(model)
        for model in MESSAGE_TYPES.values()
    }
    said: tuple[type[Notice], ...] = (*REPLIES, *NOTICES)
    server = {
        sent_name(model): _message(
            type_of(model), model.__name__, _words(model), correlated=model not in NOTICES
        )
        for model in said
    }
    events = {
        str(kind): _message(str(kind), event_name(payload), _words(payload))
        for kind, payload in PAYLOAD_TYPES.items()
    }
    json_rpc = {
        name: {
            "name": name,
            "payload": {"$ref": REF + schema},
            "correlationId": _ref("components/correlationIds", "json_rpc_id"),
        }
        for name, schema in {
            "json_rpc_request": "JsonRpcRequest",
            "json_rpc_response": "JsonRpcResponse",
            "json_rpc_error": "JsonRpcError",
        }.items()
    }
    return client | server | events | json_rpc


def _message(name: str, schema: str, words: str, *, correlated: bool = False) -> dict[str, Any]:
    message: dict[str, Any] = {"name": name, "summary": words, "payload": {"$ref": REF + schema}}
    if correlated:
        message["correlationId"] = _ref("components/correlationIds", "request_id")
    return message


def _other_names(model: type[ClientMessage]) -> dict[str, Any]:
    types = [alias for alias, name in TYPE_ALIASES.items() if name == type_of(model)]
    said = [f"`type` may also be {_listed(types)}."] if types else []
    said += [
        f"`{field}` may also be called `{alias}`." for alias, field in model.field_aliases.items()
    ]
    if not said:
        return {}
    return {
        "description": " ".join(said),
        "x-type-aliases": types,
        "x-field-aliases": dict(model.field_aliases),
    }


def _listed(names: Iterable[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _words(model: type[ClientMessage | Notice | EventPayload]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n", maxsplit=1)[0].split())


# -- operations ------------------------------------------------------------------------------


def _operations() -> dict[str, Any]:
    channel = _ref("channels", CHANNEL)
    operations: dict[str, Any] = {}
    for message, replies in DIRECT_REPLIES.items():
        name = received_name(message)
        operation = {
            "action": "receive",
            "channel": channel,
            "summary": _words(message),
            "messages": [_channel_message(name)],
        }
        if replies:
            names = [*(sent_name(reply) for reply in replies), sent_name(ErrorNotice)]
            operation["reply"] = {
                "channel": channel,
                "messages": [_channel_message(answer) for answer in names],
            }
        operations[name] = operation
    operations["json_rpc"] = {
        "action": "receive",
        "channel": channel,
        "summary": "Any of the messages as a JSON-RPC 2.0 request. Batches are refused.",
        "messages": [_channel_message("json_rpc_request")],
        "reply": {
            "channel": channel,
            "messages": [_channel_message(f"json_rpc_{kind}") for kind in ("response", "error")],
        },
    }
    operations["notices"] = {
        "action": "send",
        "channel": channel,
        "summary": "Said unasked; neither numbered nor replayed.",
        "messages": [_channel_message(sent_name(notice)) for notice in NOTICES],
    }
    operations["events"] = {
        "action": "send",
        "channel": channel,
        "summary": "The user's log: numbered without a gap, durable, replayed to who comes back.",
        "messages": [_channel_message(str(kind)) for kind in PAYLOAD_TYPES],
    }
    return operations


def _binding() -> dict[str, Any]:
    return {
        "method": "GET",
        "query": {
            "type": "object",
            "description": "Where to resume: both or neither.",
            "properties": {
                "after": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "The last event's `seq` that the client has.",
                },
                "epoch": {
                    "type": "string",
                    "description": "The `epoch` of the welcome that it was numbered under.",
                },
            },
            "dependencies": {"after": ["epoch"], "epoch": ["after"]},
        },
        "bindingVersion": "0.1.0",
    }


def _channel_message(name: str) -> dict[str, str]:
    return _ref(f"channels/{CHANNEL}/messages", name)


def _ref(path: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/{path}/{name}"}
