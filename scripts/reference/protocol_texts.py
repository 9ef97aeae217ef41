"""What the page of the protocol says in sentences: the rules that no model can hold."""

from typing import Final

from apex_actors.gateway.settings import AuthSettings, GatewaySettings, LimitSettings
from apex_actors.protocol import MAX_MESSAGE_BYTES, ErrorCode
from apex_actors.protocol.normalize import MAX_DEPTH

GATEWAY: Final = GatewaySettings()
LIMITS: Final = LimitSettings()
AUTH: Final = AuthSettings()

INTRODUCTION: Final = """\
JSON over one WebSocket at `/ws`: a client asks, is told at once that its message is safe, follows the
agents at work, and gets the answer as an event that it can read again at any time. The server serves
the same protocol as an AsyncAPI 3 document at `/asyncapi.json`, for programs; [a client in
Python](../how-to/use-the-client.md) comes with the project.

The shortest useful conversation, `>` from the client and `<` from the server:"""

HANDSHAKE: Final = f"""\
`GET /ws` with the usual headers of a WebSocket handshake. The token, a JWT, comes in one of two ways
and never in the URL:

- `Authorization: Bearer <JWT>`
- for browsers, two subprotocols: `apex.v1` and `jwt.<base64url(JWT) without padding>`. The server
  selects `apex.v1`. (The older pair `jwt-auth`, `jwt.<…>` is accepted too; then `jwt-auth` is selected.)

To go on from where an earlier connection ended, add `?after=SEQ&epoch=EPOCH`; both or neither.

All is decided before the upgrade completes. A refused client gets plain HTTP with the body
`{{"error": {{"code", "message"}}}}`. Frames that are sent together with the upgrade request are answered
after the welcome; a handshake that is not complete in {GATEWAY.handshake_timeout_s:g} s is closed."""

REFUSALS: Final = (
    (
        "401",
        ErrorCode.UNAUTHORIZED,
        "There is no token, it is in the URL, or two tokens differ. `WWW-Authenticate: Bearer`.",
        "Send one token, in one way.",
    ),
    (
        "401",
        ErrorCode.UNAUTHORIZED,
        f"""The token is not good: signature, algorithm, `exp`, `nbf`, `iss`, `aud`, an empty `sub`, a
life of more than {AUTH.max_lifetime_s:,} s, more than 8 KiB, revoked. Which, is not said.""",
        "Get a new token.",
    ),
    (
        "403",
        ErrorCode.ORIGIN_NOT_ALLOWED,
        """There is an `Origin` that is not on the allow-list (scheme, host and port must be equal). The
server's own page needs no entry where it is opened under an address or `localhost`.""",
        "Have the operator add it to `gateway.allowed_origins`.",
    ),
    (
        "429",
        ErrorCode.TOO_MANY_CONNECTIONS,
        "The user has too many connections. `Retry-After`.",
        "Close some, or come back after `Retry-After`.",
    ),
    (
        "429",
        ErrorCode.RATE_LIMITED,
        "The address makes too many handshakes. `Retry-After`.",
        "Come back after `Retry-After`.",
    ),
    (
        "400",
        ErrorCode.INVALID_MESSAGE,
        "One of `after` and `epoch` is missing or is none, or the request is no valid HTTP.",
        "Mend the client.",
    ),
    ("404", "not_found", "The path is not `/ws`.", "Mend the URL."),
    (
        "503",
        ErrorCode.TOO_MANY_CONNECTIONS,
        "The node has too many connections. `Retry-After`.",
        "Come back after `Retry-After`; another node may have room.",
    ),
    (
        "503",
        ErrorCode.DRAINING,
        "The node restarts. `Retry-After`.",
        "Come back after `Retry-After`.",
    ),
    ("426", "upgrade_required", "It is no WebSocket handshake.", "Mend the client."),
    (
        "431",
        "request_header_fields_too_large",
        f"""A header line over {GATEWAY.max_header_line_bytes // 1024} KiB, or a head over
{GATEWAY.max_head_bytes // 1024} KiB.""",
        "Mend the client.",
    ),
)

IDENTITY: Final = """\
A user is the pair of the token's claims `org` and `sub` (1 to 128 characters): `sub` is the person,
`org` the tenant that owns the cost data; without `org`, it is `sub`. Whatever belongs to another user is
answered as if it did not exist."""

RESUMING: Final = f"""\
Every user has ONE log of events. They are numbered `seq` = 1, 2, 3 … without a gap, across threads,
runs, connections and nodes; `epoch` names the log's incarnation, which changes when a database is
restored from a backup. A client keeps the last `seq` it has taken together with the `epoch`, and hands
both to its next handshake.

| handshake | `recovered` | what follows |
| --- | --- | --- |
| without `after` | null | only newer events; `seq` is the log's end |
| with `after` and `epoch` | true | every event after that position, once each and in order, then the live ones without a seam |
| with a position that cannot be served | false | events after `seq`; read the threads afresh |
| either, while the database is away | null, and `mode` is `degraded` | nothing, until the notice `resumed` says the same three things |

A position cannot be served when its `epoch` is another one, when it lies beyond the log's end or before
what is kept, or when more than {GATEWAY.replay_limit:,} events would follow. An event is durable before anyone sees
it: what one connection has seen, no crash takes back."""

FRAMES: Final = f"""\
Every frame is a text frame with one JSON object: `{{"type": …, "request_id"?: …, …fields}}`. The fields
may also stand in an object `payload` beside `type`. These rules hold for what clients send:

- A frame has at most {MAX_MESSAGE_BYTES - 1:,} bytes of UTF-8; longer ones get `message_too_large`, those over
  {GATEWAY.max_frame_bytes:,} bytes end the connection.
- `request_id` (1 to 128 characters) is echoed in the direct reply. Without one, an error has none either.
- Unknown fields are refused by name. Values have the exact type: no `"1"` for 1, no `1.0` for 1, no null
  where it is not named. Field names are taken to the letter.
- The same key twice in one object is refused wherever it stands, and so is a field given twice under two
  names or both beside `payload` and in it: parsers differ in which one wins, so none does.
- Numbers fit 64 bits, signed, or a finite double. NaN and Infinity are not JSON. Nesting ends at {MAX_DEPTH}
  levels.
- U+0000 and lone surrogates are refused everywhere, however they are written.

Frames of the server may gain fields, and new types of events and notices may come, within `apex.v1`:
clients ignore what they do not know. Times are RFC 3339 in UTC with milliseconds
(`2026-11-22T10:00:00.123Z`), ids are UUIDs."""

JSON_RPC: Final = """\
A JSON-RPC 2.0 request whose `method` is a message type and whose `params` (an object) are its fields is
the same message, and its direct reply comes as a JSON-RPC response with the same `id`: an integer, null,
or a string of up to 128 characters. A request without `id` is a notification and is never answered. Our
code of an error stands in `data.code`. Batches are refused. Events and notices come as they are."""

GRAMMAR: Final = """\
The events of a run come in this order; `?` is none or one, `+` one or more, `|` either:

```text
run        = message_created(user) run_queued?
             ( run_finished                                          cancelled while it waited
             | agent_started(supervisor) step(data) step(optimization) step(report)
               agent_completed(supervisor)
               message_created(assistant) final_response run_finished )
step(a)    = agent_started(a) ( agent_thinking(a) | tool(a) )+ agent_completed(a)
tool(a)    = tool_executing(a) … tool_completed(a)                   same tool_call_id; calls may overlap
```

- Each step has at least one `agent_thinking` and one tool call, and exactly one `agent_completed`, before
  which all its calls are closed.
- Another try of an agent begins with `agent_started` again, `try` one higher; another worker's take-over
  with `run_resumed`, `attempt` one higher. Calls that were open then are closed with `aborted` before.
- Every run has exactly one `run_finished`, and nothing of it follows. A run that ends early closes what it
  opened. Where at least one step was complete it still answers with what it has: `partial` is true.
- A retried run has no `message_created(user)` of its own: the message stands in the thread already.
- Runs of one thread never overlap between `agent_started(supervisor)` and `run_finished`."""

HEARTBEATS: Final = f"""\
The server says `ping` at once after the welcome and then every {GATEWAY.heartbeat_interval_s:g} s. Any complete frame of the
client is a sign of life, a WebSocket pong too. A connection that is silent for two intervals is closed; a
client that hears nothing for two intervals should reconnect. `ack`, or a `seq` in `pong`, confirms what
was taken: the server keeps the highest for its metrics, and closes a peer that takes but never confirms."""

SENDING: Final = """\
Give every `user_message` and `start_agent` a `client_message_id` of its own. Until `message_accepted`
comes, send the same frame again after each reconnect, and after `retry_after_ms` where an error names
one: the same id with the same text returns the same ids with `duplicate: true`, on any node and after any
restart."""
