"""The page of the wire protocol, from its models, codes and settings."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from apex_actors.protocol import (
    JSON_RPC_CODES,
    MESSAGE_TYPES,
    PAYLOAD_TYPES,
    TYPE_ALIASES,
    ClientMessage,
    CloseCode,
    ConnectionReady,
    EventType,
)
from apex_actors.protocol.advice import CLOSE_ADVICE, ERROR_ADVICE
from apex_actors.protocol.exchanges import DIRECT_REPLIES, NOTICES, REPLIES, type_of
from apex_actors.protocol.wire_schema import event_name, wire_schemas
from reference import examples
from reference import protocol_texts as texts
from reference.markdown import NOTICE, first_paragraph, table
from reference.schema_words import Schema, fields, listed, spaced


def page() -> str:
    """The page."""
    schemas = wire_schemas()
    lines = [
        NOTICE,
        "",
        "# The wire protocol `apex.v1`",
        "",
        texts.INTRODUCTION,
        "",
        *_conversation(),
    ]
    lines += ["## Handshake", "", texts.HANDSHAKE, "", *_refusals(), "", texts.IDENTITY, ""]
    lines += _welcome(schemas)
    lines += ["## Frames", "", *_frames()]
    lines += ["## Messages", "", *_messages(schemas)]
    lines += ["## Replies", "", *_replies(schemas)]
    lines += ["## Events", "", *_events(schemas)]
    lines += ["## Grammar of a run", "", texts.GRAMMAR, ""]
    lines += ["## Notices", "", *_notices(schemas)]
    lines += ["## Objects", "", *_objects(schemas)]
    lines += ["## Error codes", "", *_error_codes(), ""]
    lines += ["## Close codes", "", *_close_codes(), ""]
    lines += ["## Limits", "", *_limits()]
    return "\n".join(lines).rstrip() + "\n"


# -- chapters --------------------------------------------------------------------------------


def _conversation() -> Iterator[str]:
    def short(frame: Mapping[str, Any], *names: str) -> str:
        shown = {name: frame[name] for name in names}
        return json.dumps(shown, ensure_ascii=False)[:-1] + ", …}"

    asked = examples.sent(MESSAGE_TYPES["user_message"])
    yield "```text"
    yield f"< {short(examples.received(ConnectionReady), 'type', 'user_id', 'epoch', 'seq')}"
    yield f"> {json.dumps(asked)}"
    accepted = examples.received(DIRECT_REPLIES[MESSAGE_TYPES["user_message"]][0])
    yield f"< {short(accepted, 'type', 'request_id', 'run_id')}"
    for number, kind in enumerate(
        (
            EventType.MESSAGE_CREATED,
            EventType.AGENT_STARTED,
            EventType.FINAL_RESPONSE,
            EventType.RUN_FINISHED,
        )
    ):
        frame = examples.event(PAYLOAD_TYPES[kind]) | {"seq": (121, 122, 150, 151)[number]}
        if kind is EventType.FINAL_RESPONSE:
            yield "  …"
        yield f"< {short(frame, 'type', 'seq', 'run_id')}"
    yield "```"
    yield ""


def _refusals() -> Iterator[str]:
    rows = [
        (status, f"`{code}`", because, what_to_do)
        for status, code, because, what_to_do in texts.REFUSALS
    ]
    return table(("status", "code", "because", "what to do"), rows)


def _welcome(schemas: Mapping[str, Schema]) -> Iterator[str]:
    yield from ("## Welcome and resuming", "", "The first frame is always `connection_ready`.", "")
    yield from _json(examples.received(ConnectionReady))
    yield from fields(schemas, "ConnectionReady")
    yield from (texts.RESUMING, "")


def _frames() -> Iterator[str]:
    yield texts.FRAMES
    yield from ("", "### JSON-RPC", "", texts.JSON_RPC, "")
    for frame in examples.json_rpc():
        yield from _json(frame)


def _messages(schemas: Mapping[str, Schema]) -> Iterator[str]:
    yield "What a client may say. Each may also have `request_id`, and `user_id`, which must be the"
    yield "token's `sub`."
    yield ""
    rows = [
        (
            f"[`{kind}`](#{kind})",
            ", ".join(f"`{alias}`" for alias in _aliases(kind)),
            _reply_links(model) or "none",
            first_paragraph(model),
        )
        for kind, model in MESSAGE_TYPES.items()
    ]
    yield from table(("type", "aliases", "direct reply", "what it does"), rows)
    yield ""
    yield from (texts.SENDING, "")
    for kind, model in MESSAGE_TYPES.items():
        yield from (f"### {kind}", "", first_paragraph(model), "")
        yield from fields(schemas, model.__name__, without=("type", "request_id", "user_id"))
        yield from _said_otherwise(kind, model)
        yield from _json(examples.sent(model))


def _said_otherwise(kind: str, model: type[ClientMessage]) -> Iterator[str]:
    words = []
    if aliases := _aliases(kind):
        words.append(f"`type` may also be {listed(aliases)}.")
    names: dict[str, list[str]] = {}
    for alias, field in model.field_aliases.items():
        names.setdefault(field, []).append(alias)
    words += [f"`{field}` may also be called {listed(also)}." for field, also in names.items()]
    if links := _reply_links(model):
        words.append(f"Reply: {links}.")
    else:
        words.append("There is no reply.")
    yield from (" ".join(words), "")


def _replies(schemas: Mapping[str, Schema]) -> Iterator[str]:
    yield "What answers a message directly, on the connection that sent it alone. Each has the"
    yield "`request_id` of the message where that had one."
    yield ""
    for model in REPLIES:
        heading = _reply_heading(type_of(model))
        yield from (f"### {heading}", "", first_paragraph(model), "")
        yield from fields(schemas, model.__name__, without=("type", "request_id"))
        yield from _json(examples.received(model))


def _events(schemas: Mapping[str, Schema]) -> Iterator[str]:
    yield "What happened, numbered, durable, and the same on every connection of the user. All events"
    yield "have these fields:"
    yield ""
    yield from fields(schemas, event_name(PAYLOAD_TYPES[EventType.AGENT_STARTED]))
    yield from _json(examples.event(PAYLOAD_TYPES[EventType.AGENT_STARTED]))
    rows = [
        (f"[`{kind}`](#{kind})", _speaker(kind), first_paragraph(payload))
        for kind, payload in PAYLOAD_TYPES.items()
    ]
    yield from table(("type", "agent", "what it says"), rows)
    yield ""
    for kind, payload in PAYLOAD_TYPES.items():
        yield from (f"### {kind}", "", first_paragraph(payload), "")
        yield from fields(schemas, payload.__name__, head="field of `payload`")
        if schemas[payload.__name__].get("properties"):
            yield from _json(examples.event(payload)["payload"])
        else:
            yield from ("`payload` is empty.", "")


def _notices(schemas: Mapping[str, Schema]) -> Iterator[str]:
    yield "What the server says unasked beside the events: neither numbered nor replayed. The first is"
    yield "[the welcome](#welcome-and-resuming)."
    yield ""
    yield from (texts.HEARTBEATS, "")
    for model in NOTICES[1:]:
        heading = "ping of the server" if type_of(model) == "ping" else type_of(model)
        yield from (f"### {heading}", "", first_paragraph(model), "")
        yield from fields(schemas, model.__name__)
        yield from _json(examples.received(model))


def _objects(schemas: Mapping[str, Schema]) -> Iterator[str]:
    """What several frames have in them."""
    tops = {model.__name__ for model in (*MESSAGE_TYPES.values(), *REPLIES, *NOTICES)}
    tops |= {payload.__name__ for payload in PAYLOAD_TYPES.values()}
    for name, schema in schemas.items():
        is_envelope = name.endswith("Event") or name.startswith("JsonRpc")
        if name not in tops and not is_envelope and schema.get("properties"):
            yield from (f"### {spaced(name)}", "", schema["description"], "")
            yield from fields(schemas, name)


def _error_codes() -> Iterator[str]:
    yield "An [`error`](#error) answers what is not served, and the connection lives on. After"
    yield f"{texts.GATEWAY.max_consecutive_errors} errors of the client in a row with no good message between, it is closed"
    yield "with 1008 (what is refused for another reason, such as a rate or an outage, does not count). An error names the field and the reason, and never repeats a value. The last three"
    yield "refuse handshakes."
    yield ""
    rows = [
        (f"`{code}`", f"{JSON_RPC_CODES[code]:d}", said.meaning, said.what_to_do)
        for code, said in ERROR_ADVICE.items()
    ]
    yield from table(("code", "in JSON-RPC", "meaning", "what to do"), rows)


def _close_codes() -> Iterator[str]:
    rows = [(str(int(code)), said.meaning, said.what_to_do) for code, said in CLOSE_ADVICE.items()]
    assert len(rows) == len(CloseCode)  # noqa: S101 - a page without one of them is a wrong page
    yield from table(("code", "meaning", "what to do"), rows)
    yield ""
    yield "Reconnect with exponential backoff and full jitter, so that many clients do not come back at"
    yield "the same moment."


def _limits() -> Iterator[str]:
    rows = [
        (
            "message",
            f"shorter than {texts.GATEWAY.max_message_bytes:,} bytes",
            "`message_too_large`",
        ),
        ("frame", f"{texts.GATEWAY.max_frame_bytes:,} bytes", "close 1009"),
        ("fragments of a message", f"{texts.GATEWAY.max_fragments}", "close 1008"),
        ("errors in a row", f"{texts.GATEWAY.max_consecutive_errors}", "close 1008 at the last"),
        (
            "messages of a user",
            f"{texts.LIMITS.messages_per_s:g} a second, {texts.LIMITS.messages_burst} at once",
            "`rate_limited`; who goes on, close 4429",
        ),
        (
            "bytes of a user's messages",
            f"{texts.LIMITS.bytes_per_s:,.0f} a second, {texts.LIMITS.bytes_burst:,} at once",
            "`rate_limited`; who goes on, close 4429",
        ),
        (
            "handshakes of an address",
            f"{texts.LIMITS.handshakes_per_s:g} a second, {texts.LIMITS.handshakes_burst} at once",
            "429",
        ),
        ("connections of a user", f"{texts.LIMITS.connections_per_user}", "429"),
        ("connections of a node", f"{texts.LIMITS.connections_per_node:,}", "503"),
        ("events of a replay", f"{texts.GATEWAY.replay_limit:,}", "`recovered` is false"),
        (
            "unread bytes of a connection",
            f"{texts.GATEWAY.outbound_limit_bytes:,}",
            "close 4408",
        ),
        ("life of a token", f"{texts.AUTH.max_lifetime_s:,} s", "401"),
    ]
    yield "As the server comes; an operator may change them ([settings](settings.md))."
    yield ""
    yield from table(("what", "limit", "beyond it"), rows)


# -- words -----------------------------------------------------------------------------------


def _aliases(kind: str) -> list[str]:
    return [alias for alias, name in TYPE_ALIASES.items() if name == kind]


def _reply_links(model: type[ClientMessage]) -> str:
    links = []
    for reply in DIRECT_REPLIES[model]:
        name = type_of(reply)
        links.append(f"[`{name}`](#{_reply_heading(name).replace(' ', '-')})")
    return " or ".join(links)


def _reply_heading(name: str) -> str:
    # Both sides say `pong`.
    return f"{name} of the server" if name in MESSAGE_TYPES else name


def _speaker(kind: EventType) -> str:
    agents = {
        EventType.AGENT_STARTED: "each",
        EventType.AGENT_THINKING: "the sub-agent",
        EventType.TOOL_EXECUTING: "the sub-agent",
        EventType.TOOL_COMPLETED: "the sub-agent",
        EventType.AGENT_COMPLETED: "each",
        EventType.RUN_RESUMED: "supervisor",
        EventType.FINAL_RESPONSE: "supervisor",
    }
    return agents.get(kind, "")


def _json(frame: Mapping[str, Any]) -> Iterator[str]:
    yield "```json"
    yield _folded(frame)
    yield "```"
    yield ""


def _folded(value: Any, indent: str = "") -> str:
    """JSON with short parts in one line each."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= 100:  # noqa: PLR2004 - the width of a page
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_folded(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(inner + part for part in parts) + "\n" + indent + "}"
    if isinstance(value, list):
        parts = [_folded(item, inner) for item in value]
        return "[\n" + ",\n".join(inner + part for part in parts) + "\n" + indent + "]"
    return line
