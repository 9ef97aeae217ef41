"""Settings: ``config/<mode>.toml``, overridden by ``APEX_…`` variables, overridden by flags."""

from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnreadableSettingError

from apex_actors.execution.settings import ExecutionSettings
from apex_actors.gateway.settings import Algorithm, AuthSettings, GatewaySettings
from apex_actors.storage.retention import RetentionSettings

#: What the embedded PostgreSQL lets in (100), less what `apex` commands and operators need.
EMBEDDED_CONNECTIONS: Final = 90


class Mode(StrEnum):
    """What a server is for; decides which file of settings is read."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class SettingsError(Exception):
    """The settings do not fit; the message names each of them and what to do, never a value."""


class UnknownModeError(Exception):
    """There is no such mode, and so no file of settings for it."""


class Settings(BaseSettings):
    """All settings of a server. Variables: ``APEX_PORT``, ``APEX_GATEWAY__REPLAY_LIMIT`` and so on."""

    model_config = SettingsConfigDict(
        env_prefix="APEX_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    mode: Mode = Mode.PRODUCTION
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes a free one."""
    processes: int = Field(default=1, ge=1, le=64)
    """Processes of `apex serve` and `apex worker`, all on one port. What is said below of connections, caps
    and runs is for each of them."""
    data_dir: Path | None = None
    """Folder of the embedded servers; None: the platform's place for such data."""
    database_url: SecretStr | None = None
    """PostgreSQL 15 or later; None: the embedded one."""
    redis_url: SecretStr | None = None
    """Redis 6.2 or later, or Valkey; None: the embedded one."""
    redis_cluster: bool = False
    """Whether redis_url names a node of a cluster; the others are found from there."""
    database_connections: int = Field(default=10, ge=2)
    """Connections to PostgreSQL at most, for the short transactions that keep a server alive."""
    bulk_connections: int = Field(default=4, ge=2)
    """Connections at most, beside those, for imports and analyses: what takes long waits its turn."""
    grace_period_s: float = Field(default=25.0, ge=0)
    """How long a server takes to stop after SIGTERM, at most: four fifths of it for running work to go
    on, the rest for connections to close. 25 suits platforms that kill after 30 seconds, 8 those that
    kill after 10; at least a second goes to connections."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    log_format: Literal["console", "json"] = "json"
    """For people or for machines."""
    auth: AuthSettings = AuthSettings()
    gateway: GatewaySettings = GatewaySettings()
    execution: ExecutionSettings = ExecutionSettings()
    retention: RetentionSettings = RetentionSettings()

    @model_validator(mode="after")
    def _safe_in_production(self) -> "Settings":
        shared = self.auth.algorithm is Algorithm.HS256
        if self.mode is Mode.PRODUCTION and shared and self.auth.secret is None:
            raise ValueError(
                "in production mode auth.secret is needed: "
                "set APEX_AUTH__SECRET to at least 32 random bytes"
            )
        if self.mode is Mode.DEVELOPMENT and not shared:
            raise ValueError("development mode issues its own tokens: auth.algorithm must be HS256")
        return self

    @model_validator(mode="after")
    def _imports_leave_room(self) -> "Settings":
        if self.bulk_connections <= self.gateway.http.uploads_at_once:
            raise ValueError(
                "bulk_connections must be above gateway.http.uploads_at_once: "
                "each import holds one for minutes, and analyses need one too"
            )
        return self

    @model_validator(mode="after")
    def _embedded_database_has_room(self) -> "Settings":
        wanted = self.processes * (self.database_connections + self.bulk_connections)
        if self.processes > 1 and self.database_url is None and wanted > EMBEDDED_CONNECTIONS:
            raise ValueError(
                f"processes must be fewer: together they would open {wanted} connections, and the "
                f"embedded PostgreSQL has {EMBEDDED_CONNECTIONS} to give. Lower "
                f"database_connections, or set APEX_DATABASE_URL to a PostgreSQL of your own"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - a .env file is not read
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then variables, then the file of the mode."""
        mode = (init_settings() | {}).get("mode") or env_settings().get("mode") or Mode.PRODUCTION
        if mode not in list(Mode):
            raise UnknownModeError(f"must be one of {', '.join(Mode)}")
        file = config_dir() / f"{mode}.toml"
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file))


def config_dir() -> Path:
    """Where the files of settings are: in the wheel, or beside the package in a checkout."""
    packaged = Path(__file__).parent / "config"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "config"


def load_settings(**flags: Any) -> Settings:
    """Read the settings; ``flags`` that are None count as not given.

    Raises SettingsError with one line for each setting that does not fit.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except UnreadableSettingError as error:
        # Its own message names the variable, and the cause would quote the value.
        raise SettingsError(f"{error}; lists and objects are written as JSON") from None
    except UnknownModeError as error:
        raise SettingsError(f"mode: {error}") from None
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'settings'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError("\n".join(lines)) from None
