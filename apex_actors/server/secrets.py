"""The token secret of development mode: made once, kept where only its owner reads it."""

import contextlib
import os
import secrets
from pathlib import Path

SECRET_BYTES = 48


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
