"""Where published keys are read: a file, or a server asked by HTTPS."""

import asyncio
import logging
import os
import ssl
import stat
from collections.abc import Hashable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from apex_actors.gateway.auth.errors import KeysUnavailableError
from apex_actors.gateway.key_rules import checked_url

if TYPE_CHECKING:
    import httpx

# It logs the address of each request, at the level of news.
logging.getLogger("httpx").setLevel(logging.WARNING)

#: A larger set of keys is not read.
MAX_KEY_SET_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Published:
    """A set of keys as it was read, and what tells it from a later one."""

    data: bytes
    version: Hashable = None


class KeySource(Protocol):
    """Reads published keys; never blocks the event loop."""

    async def read(self, known: Hashable) -> Published | None:
        """What is published; None where that is still version ``known``.

        Raises KeysUnavailableError.
        """
        ...


class JwksFile:
    """A JWK set in a file, read again when the file is another or was written to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self, known: Hashable) -> Published | None:
        return await asyncio.to_thread(self._read, known)

    def _read(self, known: Hashable) -> Published | None:
        try:
            # O_NONBLOCK: to open a pipe that nobody writes to would hold the thread for ever.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise KeysUnavailableError("jwks_file is no regular file")
                version = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
                if version == known:
                    return None
                data = file.read(MAX_KEY_SET_BYTES + 1)
        except OSError as error:
            raise KeysUnavailableError(f"jwks_file cannot be read: {error.strerror}") from None
        if len(data) > MAX_KEY_SET_BYTES:
            raise KeysUnavailableError(f"jwks_file has more than {MAX_KEY_SET_BYTES} bytes")
        return Published(data, version)


class JwksUrl:
    """A JWK set on a server: one GET, no redirects, no proxy, at most MAX_KEY_SET_BYTES.

    The certificates that the machine trusts count. The caller limits the time.
    """

    def __init__(self, url: str) -> None:
        try:
            self._url = checked_url(url)
        except ValueError as error:
            raise ValueError(f"jwks_url {error}") from None
        self._tls: ssl.SSLContext | None = None

    async def read(self, known: Hashable) -> Published:  # noqa: ARG002 - what it is, the server knows
        # Imported when needed: a server with a shared secret does without it.
        import httpx  # noqa: PLC0415

        if self._tls is None:
            # Reads the machine's certificates: files.
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            async with (
                # trust_env would send passwords of ~/.netrc along and go through proxies.
                httpx.AsyncClient(
                    verify=self._tls,
                    trust_env=False,
                    follow_redirects=False,
                    timeout=None,  # noqa: S113 - the caller limits the whole, not each read
                ) as client,
                client.stream("GET", self._url, headers=headers) as response,
            ):
                return Published(await self._body(response))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise KeysUnavailableError(f"jwks_url: {type(error).__name__}") from None

    @staticmethod
    async def _body(response: "httpx.Response") -> bytes:
        if response.status_code != HTTPStatus.OK:
            raise KeysUnavailableError(f"jwks_url answers {response.status_code}, not 200")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise KeysUnavailableError("jwks_url answers compressed, which was not asked for")
        data = bytearray()
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > MAX_KEY_SET_BYTES:
                raise KeysUnavailableError(f"jwks_url sends more than {MAX_KEY_SET_BYTES} bytes")
        return bytes(data)
