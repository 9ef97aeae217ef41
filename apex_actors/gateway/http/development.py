"""Development sign-in: tokens for the asking, on this machine only."""

import ipaddress
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from apex_actors.gateway.http.errors import ApiError, errors
from apex_actors.gateway.http.services import Services
from apex_actors.protocol.scalars import format_timestamp

#: Tokens of the development sign-in live for a working day.
TOKEN_LIFE_S: Final = 12 * 3600


class DevelopmentSignIn(BaseModel):
    """Who wants a token."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    sub: str = Field(min_length=1, max_length=128)
    org: str | None = Field(default=None, min_length=1, max_length=128)


class DevelopmentToken(BaseModel):
    """A token, and when it expires."""

    token: str
    expires_at: str


def router() -> APIRouter:
    """The route; left out where there is no development sign-in."""
    routes = APIRouter(tags=["development"])

    @routes.post(
        "/dev/token", response_model=DevelopmentToken, responses=errors(400, 403, 413, 422)
    )
    async def development_token(
        request: Request, sign_in: DevelopmentSignIn, services: Services
    ) -> JSONResponse:
        """A token for the asking: in development mode, from this machine, only."""
        if not is_local(request):
            raise ApiError(403, "Development tokens are for this machine only.")
        assert services.issue_token is not None  # noqa: S101 - else there is no such route
        try:
            token, expires_at = services.issue_token(
                sub=sign_in.sub,
                org=sign_in.org or services.development_org,
                lifetime_s=TOKEN_LIFE_S,
            )
        except ValueError:
            raise ApiError(422, "sub, org: characters that can be printed, please.") from None
        return JSONResponse({"token": token, "expires_at": format_timestamp(expires_at)})

    return routes


def is_local(request: Request) -> bool:
    """Whether the request comes from this machine and was meant for it.

    The name it was asked under counts too: a page elsewhere may have a name of its own point to
    this machine, and would be let in as one of ours.
    """
    client = request.client
    return client is not None and _is_loopback(client.host) and _is_loopback(request.url.hostname)


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
