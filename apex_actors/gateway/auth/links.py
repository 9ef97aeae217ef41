"""Links that open one artifact for a short time, without a token."""

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from apex_actors.storage.errors import StorageUnavailableError

MIN_KEY_BYTES: Final = 32

#: Keeps these signatures apart from any other use of the key.
_PURPOSE: Final = b"apex link v1\n"

#: A path of this server, as it stands in a request: nothing that could end it or begin a query.
_PATH: Final = re.compile(r"/[A-Za-z0-9/._~-]*")

_EXPIRES: Final = re.compile(r"[1-9][0-9]{0,10}")


class LinkSigner:
    """Signs paths, and knows its own signatures again; every node with the key does.

    :param key: at least MIN_KEY_BYTES random bytes; None: it is not known before ``use``.
    :param lifetime_s: how long a link is good.
    """

    def __init__(
        self,
        *,
        key: bytes | None = None,
        lifetime_s: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if lifetime_s <= 0:
            raise ValueError("lifetime_s must be more than 0")
        self._key: bytes | None = None
        self._lifetime_s = lifetime_s
        self._now = now
        if key is not None:
            self.use(key)

    def use(self, key: bytes) -> None:
        """Sign and verify with ``key`` from now on."""
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the key of links must have at least {MIN_KEY_BYTES} bytes")
        self._key = key

    def sign(self, path: str) -> str:
        """``path`` with ``?expires=…&signature=…``; raises ValueError for what is no plain path.

        Raises StorageUnavailableError as long as the key is not known.
        """
        if _PATH.fullmatch(path) is None:
            raise ValueError("only a path without query, fragment and escapes can be signed")
        expires = str(int(self._now().timestamp()) + self._lifetime_s)
        return f"{path}?expires={expires}&signature={self._signature(path, expires)}"

    def verify(self, path: str, expires: str, signature: str) -> bool:
        """Whether this key has signed ``path`` until ``expires``, and that is still to come.

        ``path``, ``expires`` and ``signature`` as they stand in the request. Raises
        StorageUnavailableError as long as the key is not known, and nothing else.
        """
        if (
            _PATH.fullmatch(path) is None
            or _EXPIRES.fullmatch(expires) is None
            or not signature.isascii()
        ):
            return False
        good = secrets.compare_digest(self._signature(path, expires), signature)
        return good and self._now().timestamp() < int(expires)

    def _signature(self, path: str, expires: str) -> str:
        if self._key is None:
            raise StorageUnavailableError("the key of links has not been read yet")
        message = _PURPOSE + f"{expires}\n{path}".encode("ascii")
        digest = hmac.digest(self._key, message, "sha256")
        return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
