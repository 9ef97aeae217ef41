"""What the codes of the protocol mean, and what a client does about them: words for documents."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from apex_actors.protocol.codes import CloseCode, ErrorCode


@dataclass(frozen=True, slots=True)
class Advice:
    """What a code says, and what its receiver should do."""

    meaning: str
    what_to_do: str


ERROR_ADVICE: Final[Mapping[ErrorCode, Advice]] = MappingProxyType(
    {
        ErrorCode.INVALID_JSON: Advice(
            "The frame is no JSON, or JSON that has no meaning here: a key twice in one object, "
            "NaN, a number beyond 64 bits, nesting beyond 32 levels.",
            "Mend the client.",
        ),
        ErrorCode.MESSAGE_TOO_LARGE: Advice(
            "The frame has as many bytes as `max_message_bytes` of the welcome, or more.",
            "Shorten the text.",
        ),
        ErrorCode.INVALID_MESSAGE: Advice(
            "A field is missing, unknown, or does not fit; `details` names it with the reason.",
            "Mend the client.",
        ),
        ErrorCode.UNKNOWN_MESSAGE_TYPE: Advice(
            "There is no such type; `details.known_types` lists those that are served.",
            "Mend the client, or do without on an older server.",
        ),
        ErrorCode.USER_MISMATCH: Advice(
            "`user_id` is not the token's `sub`.", "Leave `user_id` out."
        ),
        ErrorCode.THREAD_NOT_FOUND: Advice(
            "There is no such thread, or it is another user's.", "Read the list of threads again."
        ),
        ErrorCode.RUN_NOT_FOUND: Advice(
            "There is no such run, or it is another user's.", "Read the thread again."
        ),
        ErrorCode.THREAD_BUSY: Advice(
            "The thread has an unfinished run, and `if_busy` was `reject`.",
            "Wait for its `run_finished`, or send with `enqueue` or `interrupt`.",
        ),
        ErrorCode.IDEMPOTENCY_CONFLICT: Advice(
            "The `client_message_id` was used with another text.", "Make a new id for each text."
        ),
        ErrorCode.RATE_LIMITED: Advice(
            "More messages or bytes than the user's share.",
            "Send the same message again after `retry_after_ms`. Who goes on is closed with 4429.",
        ),
        ErrorCode.TOO_MANY_RUNS: Advice(
            "The user's runs are at their cap, and `if_busy` was `reject`.",
            "Wait for a `run_finished`, or send with `enqueue`.",
        ),
        ErrorCode.QUEUE_FULL: Advice(
            "Too many messages wait already, of the user or of all.",
            "Send the same message again after `retry_after_ms`.",
        ),
        ErrorCode.DRAINING: Advice(
            "The server is about to restart and takes nothing new.",
            "Send the same message again after the reconnect.",
        ),
        ErrorCode.SERVICE_DEGRADED: Advice(
            "A part of the server is away; nothing was stored.",
            "Send the same message again after `retry_after_ms`, or after `service_recovered`.",
        ),
        ErrorCode.FORBIDDEN: Advice("The token does not allow this.", "Ask for another token."),
        ErrorCode.INTERNAL_ERROR: Advice(
            "A fault of the server; `details.report_id` finds it in the server's log.",
            "Report it. A message with a `client_message_id` may be sent again.",
        ),
        ErrorCode.UNAUTHORIZED: Advice(
            "No token, or none that is good; which, is not said.", "Get a new token."
        ),
        ErrorCode.ORIGIN_NOT_ALLOWED: Advice(
            "The page is not one of those that may connect.",
            "Add its origin to `gateway.allowed_origins`.",
        ),
        ErrorCode.TOO_MANY_CONNECTIONS: Advice(
            "The user, the address or the node has too many connections.",
            "Close some, or come back after `Retry-After`.",
        ),
    }
)
"""Error code → advice."""

CLOSE_ADVICE: Final[Mapping[CloseCode, Advice]] = MappingProxyType(
    {
        CloseCode.BYE: Advice("Goodbye.", "Nothing: it was asked for."),
        CloseCode.BINARY_FRAME: Advice("The client sent a binary frame.", "Mend the client."),
        CloseCode.BAD_UTF8: Advice("A text frame was not UTF-8.", "Mend the client."),
        CloseCode.POLICY_VIOLATION: Advice(
            "Too many errors in a row, one message in too many fragments, or more connections of the "
            "user than its cap over all nodes.",
            "Mend the client; close connections that are not needed.",
        ),
        CloseCode.FRAME_TOO_LARGE: Advice("A frame was over the hard limit.", "Mend the client."),
        CloseCode.INTERNAL_ERROR: Advice(
            "A fault of the server.", "Reconnect with backoff, from the last position."
        ),
        CloseCode.RESTARTING: Advice(
            "The server restarts; `server_shutdown` came before.",
            "Reconnect after its `reconnect_after_ms`, from the last position.",
        ),
        CloseCode.TOKEN_EXPIRED: Advice(
            "The token has expired or was revoked, or `refresh_token` named another user.",
            "Get a new token, then reconnect from the last position.",
        ),
        CloseCode.TOO_SLOW: Advice(
            "The client takes less than it is sent, or was silent for two heartbeats. It may also "
            "see 1006: a peer that takes nothing is cut.",
            "Reconnect from the last position, and read faster.",
        ),
        CloseCode.FLOODING: Advice(
            "The client went on sending after `rate_limited`.",
            "Reconnect after some seconds, and send less.",
        ),
    }
)
"""Close code → advice."""
