"""From errors to words and exit codes: 0 done, 1 it did not work, 2 the call is wrong."""

import contextlib
import sys
from collections.abc import Generator
from typing import Final

import typer

FAILED: Final = 1


@contextlib.contextmanager
def explained() -> Generator[None]:
    """Turn the errors that a user can do something about into one message and exit code 1."""
    # Imported when needed: `apex --help` answers without the whole server.
    from apex_actors.costs.importers.errors import UsageFileError  # noqa: PLC0415
    from apex_actors.server.member_keeper import GroupFailedError  # noqa: PLC0415
    from apex_actors.server.node import NodeFailedError  # noqa: PLC0415
    from apex_actors.server.settings import SettingsError  # noqa: PLC0415
    from apex_actors.server.uvicorn_server import PortTakenError  # noqa: PLC0415
    from apex_actors.storage.embedded import EmbeddedServerError  # noqa: PLC0415
    from apex_actors.storage.errors import StorageError  # noqa: PLC0415

    try:
        yield
    except (
        EmbeddedServerError,
        GroupFailedError,
        NodeFailedError,
        PortTakenError,
        SettingsError,
        StorageError,
        UsageFileError,
    ) as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def fail(message: str) -> None:
    """Say what is wrong on standard error, and end."""
    sys.stderr.write(f"apex: {message}\n")
    raise typer.Exit(FAILED)
