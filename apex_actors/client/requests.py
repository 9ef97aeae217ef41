"""Requests that wait for their direct reply."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from apex_actors.client.errors import RequestFailedError


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request that was sent, or will be once there is a socket."""

    request_id: str
    frame: str
    reply: asyncio.Future[dict[str, Any]]
    repeatable: bool
    """Sent again on each new socket until it is answered: asking twice does no harm."""
    sent_on: object = None
    """The socket it was last sent on."""


class PendingRequests:
    """Finds the request that a reply belongs to, by the id it echoes."""

    def __init__(self) -> None:
        self._requests: dict[str, PendingRequest] = {}

    def add(self, fields: Mapping[str, Any], *, repeatable: bool) -> PendingRequest:
        """A request with a new id; `remove` it when nobody waits any more."""
        request_id = str(uuid4())
        frame = json.dumps({**fields, "request_id": request_id}, ensure_ascii=False)
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        request = PendingRequest(request_id, frame, reply, repeatable)
        self._requests[request_id] = request
        return request

    def remove(self, request: PendingRequest) -> None:
        """Forget it; a late reply is ignored."""
        del self._requests[request.request_id]

    def repeatable(self) -> list[PendingRequest]:
        """Those to send again on a new socket, in the order they were asked."""
        return [request for request in self._requests.values() if request.repeatable]

    def settle(self, frame: Mapping[str, Any]) -> None:
        """Hand a reply to whoever waits for it; an `error` becomes RequestFailedError."""
        request = self._requests.get(frame.get("request_id", ""))
        # What was sent twice is answered twice.
        if request is None or request.reply.done():
            return
        if frame["type"] != "error":
            request.reply.set_result(dict(frame))
            return
        request.reply.set_exception(
            RequestFailedError(
                frame["code"],
                frame["message"],
                retry_after_ms=frame.get("retry_after_ms"),
                details=frame.get("details"),
            )
        )

    def fail(self, error: Exception, *, all_of_them: bool = False) -> None:
        """No reply will come; `all_of_them`: not even to what would be sent again."""
        for request in self._requests.values():
            if (all_of_them or not request.repeatable) and not request.reply.done():
                request.reply.set_exception(error)
