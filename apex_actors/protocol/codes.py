"""The names of what can go wrong, and the numbers they have in other vocabularies."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final


class ErrorCode(StrEnum):
    """Codes of `error` notices and of refused handshakes."""

    INVALID_JSON = "invalid_json"
    MESSAGE_TOO_LARGE = "message_too_large"
    INVALID_MESSAGE = "invalid_message"
    UNKNOWN_MESSAGE_TYPE = "unknown_message_type"
    USER_MISMATCH = "user_mismatch"
    THREAD_NOT_FOUND = "thread_not_found"
    RUN_NOT_FOUND = "run_not_found"
    THREAD_BUSY = "thread_busy"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_RUNS = "too_many_runs"
    QUEUE_FULL = "queue_full"
    DRAINING = "draining"
    SERVICE_DEGRADED = "service_degraded"
    FORBIDDEN = "forbidden"
    INTERNAL_ERROR = "internal_error"

    UNAUTHORIZED = "unauthorized"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    TOO_MANY_CONNECTIONS = "too_many_connections"


class CloseCode(IntEnum):
    """WebSocket close codes the server uses; those from 4400 follow the HTTP status they recall."""

    BYE = 1000
    BINARY_FRAME = 1003
    BAD_UTF8 = 1007
    POLICY_VIOLATION = 1008
    FRAME_TOO_LARGE = 1009
    INTERNAL_ERROR = 1011
    RESTARTING = 1012
    TOKEN_EXPIRED = 4401
    TOO_SLOW = 4408
    FLOODING = 4429


class JsonRpcCode(IntEnum):
    """The error codes that the JSON-RPC 2.0 specification reserves."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603


JSON_RPC_CODES: Final[Mapping[ErrorCode, int]] = MappingProxyType(
    {
        ErrorCode.INVALID_JSON: JsonRpcCode.PARSE_ERROR,
        ErrorCode.MESSAGE_TOO_LARGE: JsonRpcCode.INVALID_REQUEST,
        ErrorCode.INVALID_MESSAGE: JsonRpcCode.INVALID_PARAMS,
        ErrorCode.UNKNOWN_MESSAGE_TYPE: JsonRpcCode.METHOD_NOT_FOUND,
        ErrorCode.INTERNAL_ERROR: JsonRpcCode.INTERNAL_ERROR,
        # Ours, downwards from -32000. A number once given stays with its code.
        ErrorCode.USER_MISMATCH: -32000,
        ErrorCode.THREAD_NOT_FOUND: -32001,
        ErrorCode.RUN_NOT_FOUND: -32002,
        ErrorCode.THREAD_BUSY: -32003,
        ErrorCode.IDEMPOTENCY_CONFLICT: -32004,
        ErrorCode.RATE_LIMITED: -32005,
        ErrorCode.TOO_MANY_RUNS: -32006,
        ErrorCode.QUEUE_FULL: -32007,
        ErrorCode.DRAINING: -32008,
        ErrorCode.SERVICE_DEGRADED: -32009,
        ErrorCode.FORBIDDEN: -32010,
        ErrorCode.UNAUTHORIZED: -32011,
        ErrorCode.ORIGIN_NOT_ALLOWED: -32012,
        ErrorCode.TOO_MANY_CONNECTIONS: -32013,
    }
)
"""Error code → number of a JSON-RPC error response; the code itself stands in `data.code`."""
