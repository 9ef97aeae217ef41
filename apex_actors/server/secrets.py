"""Secrets of the settings, and the token secret of development mode, made once and kept safe."""

import contextlib
import os
import secrets
from pathlib import Path

from pydantic import SecretStr

SECRET_BYTES = 48


def revealed(secret: SecretStr | None) -> str | None:
    """What is behind ``secret``, for the one who uses it."""
    return None if secret is None else secret.get_secret_value()


def development_secret(data_dir: Path) -> str:
    """The secret in ``data_dir``, made at the first call.

    Two processes that make it at once agree on one.
    """
    path = data_dir / "token-secret"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"token-secret.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(SECRET_BYTES))
        # Whole or not at all, and only where there is none: the first process wins.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text(encoding="ascii").strip()
