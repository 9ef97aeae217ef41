"""A later token for a connection that is to outlive its first one."""

from apex_actors.gateway.auth import (
    InvalidTokenError,
    Revocations,
    TokenVerifier,
    UnknownKeyError,
    VerifiedToken,
)
from apex_actors.gateway.errors import ConnectionEnded
from apex_actors.gateway.router import Handler
from apex_actors.gateway.session import Session
from apex_actors.protocol.codes import CloseCode, ErrorCode
from apex_actors.protocol.messages import ClientMessage, RefreshToken
from apex_actors.protocol.notices import TokenRefreshed
from apex_actors.protocol.violation import ProtocolViolation


class TokenHandlers:
    """Checks a new token as the handshake would, and lets the connection live as long as it."""

    def __init__(self, *, verifier: TokenVerifier, revocations: Revocations) -> None:
        self._verifier = verifier
        self._revocations = revocations

    def table(self) -> dict[type[ClientMessage], Handler]:
        """Handler by type of message."""
        return {RefreshToken: self.refresh_token}

    async def refresh_token(self, message: RefreshToken, session: Session) -> TokenRefreshed:
        """Take the new token; one that is no good changes nothing, one of somebody else ends it."""
        try:
            token = await self._verified(message.token.get_secret_value())
            self._revocations.check(token)
        except InvalidTokenError:
            raise ProtocolViolation(
                ErrorCode.UNAUTHORIZED,
                "The new token is not valid: the connection lives on with the old one.",
            ) from None
        before = session.identity
        if (token.identity.org, token.identity.sub) != (before.org, before.sub):
            raise ConnectionEnded(CloseCode.TOKEN_EXPIRED, "the new token is another user's")
        session.token = token
        return TokenRefreshed(token_expires_at=token.expires_at)

    async def _verified(self, encoded: str) -> VerifiedToken:
        try:
            return self._verifier.verify(encoded)
        except UnknownKeyError:
            await self._verifier.refresh_keys()
            return self._verifier.verify(encoded)
