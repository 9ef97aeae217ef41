"""What a client is told when a request is not served: always ``{"error": {"code", "message"}}``."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apex_actors.costs.importers.errors import FileTooLargeError, UsageFileError
from apex_actors.gateway.handshake import Refused
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.errors import StorageError

logger = logging.getLogger(__name__)

#: Names in messages are cut to this length: they may come from the client.
MAX_NAME_CHARS: Final = 64

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

_CODES: Final = {
    400: "bad_request",
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.FORBIDDEN,
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "content_too_large",
    415: "unsupported_media_type",
    422: ErrorCode.INVALID_MESSAGE,
    426: "upgrade_required",
    429: ErrorCode.RATE_LIMITED,
    500: ErrorCode.INTERNAL_ERROR,
    503: ErrorCode.SERVICE_DEGRADED,
}


class ErrorDetail(BaseModel):
    """Why a request was not served."""

    model_config = ConfigDict(extra="forbid")

    code: str
    """For programs: one of a fixed set."""
    message: str
    """For people: what was wrong and what to do."""


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    model_config = ConfigDict(extra="forbid")

    error: ErrorDetail


class ApiError(HTTPException):
    """A request that is not served, with the answer it gets.

    The framework's own type, because it lets that through while it reads a body.

    :param code: None: the code that goes with the status.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.code = code or _CODES[status]


def not_found(what: str) -> ApiError:
    """The one answer for what is not there, is another's, or has an id that is none."""
    return ApiError(404, f"There is no such {what}.", code=_NOT_FOUND.get(what))


_NOT_FOUND: Final = {
    "thread": ErrorCode.THREAD_NOT_FOUND,
    "run": ErrorCode.RUN_NOT_FOUND,
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for the OpenAPI document."""
    return {
        status: {"model": ErrorBody, "description": HTTPStatus(status).phrase}
        for status in statuses
    }


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The answer with its body."""
    body = {"error": {"code": code, "message": message}}
    return JSONResponse(body, status_code=status, headers=headers)


def add_error_handlers(app: FastAPI) -> None:
    """Give every error of the routes below its answer."""
    app.exception_handler(ApiError)(_api_error)
    app.exception_handler(StarletteHTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(Refused)(_refused)
    app.exception_handler(ProtocolViolation)(_violation)
    app.exception_handler(UsageFileError)(_bad_file)
    app.exception_handler(StorageError)(_degraded)


async def _api_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)  # noqa: S101 - what it was registered for
    return error_response(error.status_code, error.code, error.detail, error.headers)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 - what it was registered for
    status = error.status_code
    headers = dict(error.headers or {})
    message = f"{HTTPStatus(status).phrase}."
    if status == HTTPStatus.NOT_FOUND:
        message = "There is nothing at this path."
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of the first route at the path; there may be others.
        headers["Allow"] = ", ".join(allowed_methods(request))
        message = "This path does not take the method."
    return error_response(status, _CODES.get(status, "error"), message, headers)


def allowed_methods(request: Request) -> list[str]:
    """The methods that the requested path takes."""
    found: list[str] = []
    for method in _METHODS:
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes):
            found += ["GET", "HEAD"] if method == "GET" else [method]
    return found


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it was registered for
    problems = error.errors()
    if any(problem["type"] == "json_invalid" for problem in problems):
        return error_response(400, ErrorCode.INVALID_JSON, "The body is not valid JSON.")
    told = [
        f"{'.'.join(str(part)[:MAX_NAME_CHARS] for part in problem['loc'])}: {problem['msg']}"
        for problem in problems
    ]
    return error_response(422, ErrorCode.INVALID_MESSAGE, "; ".join(told))


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)  # noqa: S101 - what it was registered for
    return error_response(error.status, error.code, error.message, dict(error.headers))


async def _violation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProtocolViolation)  # noqa: S101 - what it was registered for
    absent = error.code in {ErrorCode.THREAD_NOT_FOUND, ErrorCode.RUN_NOT_FOUND}
    return error_response(404 if absent else 422, error.code, error.message)


async def _bad_file(_: Request, error: Exception) -> JSONResponse:
    # The importers' messages name fields and rules, never values.
    if isinstance(error, FileTooLargeError):
        return error_response(413, _CODES[413], str(error))
    return error_response(422, "invalid_file", str(error))


async def _degraded(_: Request, __: Exception) -> JSONResponse:
    return error_response(
        503,
        ErrorCode.SERVICE_DEGRADED,
        "The database is away or too busy: try again.",
        {"Retry-After": "1"},
    )


class ErrorGuard:
    """The last to see what nobody expected: the client gets the id of a report, the log the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            logger.debug("a client went away before its request was complete")
        except Exception:
            report_id = uuid4().hex
            logger.exception("a request could not be served, report %s", report_id)
            if started:
                # Too late for another answer: the server cuts this one short.
                raise
            response = error_response(
                500,
                ErrorCode.INTERNAL_ERROR,
                f"The server failed. Name report {report_id} to its operator.",
            )
            await response(scope, receive, send)
