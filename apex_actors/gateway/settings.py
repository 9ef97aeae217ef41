"""Limits and times of the gateway."""

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from apex_actors.gateway.key_rules import checked_url, secret_bytes


class Algorithm(StrEnum):
    """How tokens are signed; a server takes exactly one of them."""

    HS256 = "HS256"
    RS256 = "RS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"


class AuthSettings(BaseModel):
    """How tokens are checked: one algorithm, with a shared secret or with published keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    algorithm: Algorithm = Algorithm.HS256
    """HS256 with `secret`; the others with `jwks_file` or `jwks_url`."""
    secret: SecretStr | None = None
    """At least 32 bytes; in development mode one is made and kept in the data folder."""
    jwks_file: Path | None = None
    """Public keys as a JWK set; read again when the file changes."""
    jwks_url: str | None = None
    """The same by HTTPS (plain HTTP from this machine only)."""
    jwks_refresh_s: float = Field(default=300.0, gt=0)
    """How often published keys are read again."""
    jwks_cooldown_s: float = Field(default=10.0, gt=0)
    """After a look for an unknown key id, none of the kind causes another for this time."""
    jwks_timeout_s: float = Field(default=3.0, gt=0)
    """How long a look for published keys may take; a handshake waits no longer."""
    issuer: str = "apex"
    """What the claim iss must say."""
    audience: str = "apex"
    """What the claim aud must say."""
    max_lifetime_s: int = Field(default=86_400, ge=60)
    """A token that lives longer is refused."""
    leeway_s: int = Field(default=5, ge=0, le=60)
    """Tolerated difference between the clocks."""
    revocation_poll_s: float = Field(default=1.0, gt=0, le=2.0)
    """How often revoked tokens are looked up."""
    artifact_lifetime_s: int = Field(default=3600, ge=60)
    """How long a signed link to a report or a chart is good."""

    @field_validator("secret")
    @classmethod
    def _secret_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            secret_bytes(secret.get_secret_value())
        return secret

    @field_validator("jwks_url")
    @classmethod
    def _safe_to_fetch(cls, url: str | None) -> str | None:
        return None if url is None else checked_url(url)

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> "AuthSettings":
        published = [source for source in (self.jwks_file, self.jwks_url) if source is not None]
        if self.algorithm is Algorithm.HS256:
            if published:
                raise ValueError("jwks_file and jwks_url need algorithm RS256, ES256 or EdDSA")
        elif len(published) != 1 or self.secret is not None:
            raise ValueError(
                f"algorithm {self.algorithm} needs either jwks_file or jwks_url, and no secret"
            )
        return self


class LimitSettings(BaseModel):
    """How much one user or address may ask for: buckets that fill at a rate up to a burst."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages_per_s: float = Field(default=20.0, gt=0)
    """Messages of one user, over all connections and nodes."""
    messages_burst: int = Field(default=100, ge=1)
    """Messages of one user at once."""
    bytes_per_s: float = Field(default=65_536.0, gt=0)
    """Bytes of messages of one user, over all connections and nodes."""
    bytes_burst: int = Field(default=524_288, ge=8192)
    """Bytes of messages of one user at once."""
    handshakes_per_s: float = Field(default=20.0, gt=0)
    """Handshakes from one address, over all nodes; an IPv6 network of 64 bits counts as one."""
    handshakes_burst: int = Field(default=200, ge=1)
    """Handshakes from one address at once."""
    connections_per_user: int = Field(default=20, ge=1)
    """Live connections of one user, over all nodes."""
    connections_per_node: int = Field(default=20_000, ge=1)
    """Live connections of one process."""
    flood_messages: int = Field(default=100, ge=1)
    """So many messages over the rate in a row close the connection (4429)."""
    sync_interval_s: float = Field(default=0.2, gt=0)
    """How often processes tell each other through Redis or Valkey what they let through."""


class HttpSettings(BaseModel):
    """What plain HTTP requests may ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upload_max_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    """A larger file of usage records is answered 413."""
    upload_unpacked_max_bytes: int = Field(default=4 * 1024**3, ge=1024)
    """The same for what comes out of a gzip file."""
    upload_timeout_s: float = Field(default=600.0, gt=0)
    """A file that has not arrived after this time is refused."""
    uploads_at_once: int = Field(default=2, ge=1)
    """Files received or imported at the same time; one of each organisation."""
    metrics_open: bool = False
    """Whoever reaches the port may read /metrics; else this machine, and tokens with role admin."""


class GatewaySettings(BaseModel):
    """Times in seconds, sizes in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    heartbeat_interval_s: float = Field(default=30.0, gt=0)
    """Between two pings; a connection silent for two of them is closed."""
    handshake_timeout_s: float = Field(default=5.0, gt=0)
    """A request head that takes longer is cut."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """An upload that brings less than 1 KiB in this time is cut; so is who takes no answer."""
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
    outbound_high_water_bytes: int = Field(default=64 * 1024, ge=1024)
    """A replay waits for its reader when more than this is not taken yet."""
    outbound_low_water_bytes: int = Field(default=16 * 1024, ge=0)
    """It goes on when less than this is left."""
    outbound_limit_bytes: int = Field(default=1024 * 1024, ge=64 * 1024)
    """A client that lets more than this pile up is too slow (4408)."""
    inbound_limit: int = Field(default=64, ge=1)
    """Messages of one connection that may wait; beyond it, nothing more is read from the socket."""
    close_timeout_s: float = Field(default=5.0, gt=0)
    """A peer that does not finish the closing handshake is cut after this time."""
    replay_limit: int = Field(default=10_000, ge=1)
    """Most events that a resumed connection is sent; beyond it, the client reads afresh."""
    replay_page: int = Field(default=500, ge=1)
    """Events that are read from the log at a time."""
    greeting_timeout_s: float = Field(default=1.5, gt=0)
    """How long a welcome waits for the log before it is said without it."""
    token_notice_s: float = Field(default=60.0, ge=0)
    """So long before a token expires its connection is told."""
    token_grace_s: float = Field(default=0.0, ge=0, le=300)
    """So long after a token has expired its connection is closed (4401)."""
    session_interval_s: float = Field(default=5.0, gt=0)
    """How often the sessions that have changed are stored."""
    poll_interval_s: float = Field(default=1.0, gt=0)
    """How often the log is looked at for wake-ups that were lost."""
    allowed_origins: tuple[str, ...] = ()
    """Scheme, host and port of each page that may connect, the server's own under a name too."""
    limits: LimitSettings = LimitSettings()
    http: HttpSettings = HttpSettings()

    @model_validator(mode="after")
    def _ordered(self) -> "GatewaySettings":
        if not (
            self.outbound_low_water_bytes
            < self.outbound_high_water_bytes
            < self.outbound_limit_bytes
        ):
            raise ValueError(
                "outbound_low_water_bytes < outbound_high_water_bytes < outbound_limit_bytes "
                "must hold"
            )
        return self
