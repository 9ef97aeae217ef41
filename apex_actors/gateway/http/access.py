"""Who may ask for what: bearer tokens, signed links, roles."""

import inspect
from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from apex_actors.gateway.auth import InvalidTokenError, VerifiedToken
from apex_actors.gateway.http.errors import ApiError
from apex_actors.gateway.http.services import HttpServices, Services
from apex_actors.protocol.identity import Identity, Role

#: Query strings end in logs and histories: a token that came in one is refused, good or not.
TOKEN_PARAMETERS: Final = frozenset({"token", "access_token", "jwt"})

#: Names the scheme in the OpenAPI document; the check itself is below.
BEARER: Final = HTTPBearer(auto_error=False, bearerFormat="JWT", scheme_name="bearer")

Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]


async def check_bearer(request: Request, services: HttpServices) -> VerifiedToken:
    """Who the request's one token speaks for; raises ApiError with 401."""
    headers = request.headers.getlist("authorization")
    if len(headers) != 1 or not TOKEN_PARAMETERS.isdisjoint(request.query_params):
        raise _unauthorized()
    scheme, _, credentials = headers[0].partition(" ")
    if scheme.lower() != "bearer":
        raise _unauthorized()
    try:
        verified = services.verify(credentials.strip())
        return await verified if inspect.isawaitable(verified) else verified
    except InvalidTokenError:
        raise _unauthorized() from None


def _unauthorized() -> ApiError:
    return ApiError(
        401,
        "A valid token is needed, as Authorization: Bearer.",
        headers={"WWW-Authenticate": "Bearer"},
    )


async def _token(request: Request, services: Services, _: Credentials) -> VerifiedToken:
    return await check_bearer(request, services)


Token = Annotated[VerifiedToken, Depends(_token)]


async def _identity(token: Token) -> Identity:
    return token.identity


User = Annotated[Identity, Depends(_identity)]


async def _data_changer(user: User) -> Identity:
    if not user.may_change_data():
        raise ApiError(
            403, "Usage data of the organisation is changed with a token with role data_admin."
        )
    return user


DataChanger = Annotated[Identity, Depends(_data_changer)]


async def _admin(user: User) -> Identity:
    if Role.ADMIN not in user.roles:
        raise ApiError(403, "A token with role admin is needed.")
    return user


Admin = Annotated[Identity, Depends(_admin)]


async def _reader(request: Request, services: Services, _: Credentials) -> Identity | None:
    query = request.query_params
    if "signature" not in query and "expires" not in query:
        return (await check_bearer(request, services)).identity
    if not TOKEN_PARAMETERS.isdisjoint(query):
        raise _unauthorized()
    # To the letter as it was signed: an escaped path is another one.
    path = request.scope.get("raw_path", b"").partition(b"?")[0].decode("ascii", "replace")
    if not services.verify_link(path, query.get("expires", ""), query.get("signature", "")):
        raise ApiError(
            401,
            "The link has expired or is not whole: get a new one from /api/runs.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return None


Reader = Annotated[Identity | None, Depends(_reader)]
"""Whose artifact may be read: this user's, or with None anybody's, for a signed link was checked."""


def only_query(*names: str) -> Callable[[Request], None]:
    """A dependency that refuses every query parameter but these, and these twice."""
    known = frozenset(names)

    def check(request: Request) -> None:
        given = [name for name, _ in request.query_params.multi_items()]
        if not TOKEN_PARAMETERS.isdisjoint(given):
            raise _unauthorized()
        unknown = sorted({name for name in given if name not in known})
        if unknown:
            takes = f"it takes {', '.join(names)}" if names else "it takes none"
            raise ApiError(422, f"{unknown[0][:64]}: not a parameter of this path; {takes}.")
        twice = sorted({name for name in given if given.count(name) > 1})
        if twice:
            raise ApiError(422, f"{twice[0]}: given more than once.")

    return check
