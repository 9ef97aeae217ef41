"""Limits and times of the gateway."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class AuthSettings(BaseModel):
    """How tokens are checked: HS256 with a shared secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: SecretStr | None = None
    """At least 32 bytes; in development mode one is made and kept in the data folder."""
    issuer: str = "apex"
    """What the claim iss must say."""
    audience: str = "apex"
    """What the claim aud must say."""
    max_lifetime_s: int = Field(default=86_400, ge=60)
    """A token that lives longer is refused."""
    leeway_s: int = Field(default=5, ge=0, le=60)
    """Tolerated difference between the clocks."""

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"must have at least {MIN_SECRET_BYTES} bytes")
        return secret


#: HS256 keys shorter than the digest weaken the signature (RFC 7518, section 3.2).
MIN_SECRET_BYTES = 32


class GatewaySettings(BaseModel):
    """Times in seconds, sizes in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    heartbeat_interval_s: float = Field(default=30.0, gt=0)
    """Between two pings; a connection silent for two of them is closed."""
    handshake_timeout_s: float = Field(default=5.0, gt=0)
    """A request head that takes longer is cut."""
    max_head_bytes: int = Field(default=32 * 1024, ge=1024)
    """A larger request head is answered 431."""
    max_header_line_bytes: int = Field(default=16 * 1024, ge=1024)
    """A longer header line is answered 431."""
    max_message_bytes: int = Field(default=8192, ge=256)
    """A message must be shorter than this."""
    max_frame_bytes: int = Field(default=64 * 1024, ge=1024)
    """A larger frame closes the connection (1009)."""
    max_fragments: int = Field(default=64, ge=1)
    """A message in more fragments closes the connection (1008)."""
    max_consecutive_errors: int = Field(default=5, ge=1)
    """So many errors in a row close the connection (1008)."""
    outbound_limit_bytes: int = Field(default=1024 * 1024, ge=64 * 1024)
    """A client that lets more than this pile up is too slow (4408)."""
    close_timeout_s: float = Field(default=5.0, gt=0)
    """A peer that does not finish the closing handshake is cut after this time."""
    replay_limit: int = Field(default=10_000, ge=1)
    """Most events that a resumed connection is sent; beyond it, the client reads afresh."""
    replay_page: int = Field(default=500, ge=1)
    """Events that are read from the log at a time."""
    poll_interval_s: float = Field(default=1.0, gt=0)
    """How often the log is looked at for wake-ups that were lost."""
    allowed_origins: tuple[str, ...] = ()
    """Scheme, host and port of each page that may connect; the server's own is always allowed."""
