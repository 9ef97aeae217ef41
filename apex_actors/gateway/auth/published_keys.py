"""The published keys in use: found without I/O, looked for anew by one look for all."""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable

from apex_actors.gateway.auth.errors import KeysUnavailableError
from apex_actors.gateway.auth.jwks import JwksFile, JwksUrl, KeySource
from apex_actors.gateway.auth.keys import NO_KEYS, Check, KeySet, parse_key_set, unknown_key
from apex_actors.gateway.settings import Algorithm, AuthSettings

logger = logging.getLogger(__name__)


class PublishedKeys:
    """Keys of RS256, ES256 or EdDSA; a Keys of the verifier.

    Keys that were read stay in use until others are: a look that fails changes nothing. Who names
    an unknown key causes one look; then, whether it helped or not, nobody of the kind causes
    another for ``cooldown_s``. All methods are of one event loop.

    :param timeout_s: how long a look may take.
    """

    def __init__(
        self,
        *,
        source: KeySource,
        algorithm: Algorithm,
        timeout_s: float,
        cooldown_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if algorithm is Algorithm.HS256:
            raise ValueError("keys of HS256 are secrets: they are not published")
        if timeout_s <= 0 or cooldown_s <= 0:
            raise ValueError("timeout_s and cooldown_s must be more than 0")
        self.algorithm = algorithm
        self._source = source
        self._timeout_s = timeout_s
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._keys: KeySet = NO_KEYS
        self._version: Hashable = None
        self._looking: asyncio.Task[bool] | None = None
        self._no_look_before = clock()
        self._failing = False

    @classmethod
    def of(cls, settings: AuthSettings) -> "PublishedKeys":
        """The keys that these settings name; raises ValueError where they name none."""
        source: KeySource
        if settings.jwks_file is not None:
            source = JwksFile(settings.jwks_file)
        elif settings.jwks_url is not None:
            source = JwksUrl(settings.jwks_url)
        else:
            raise ValueError("neither jwks_file nor jwks_url is set")
        return cls(
            source=source,
            algorithm=settings.algorithm,
            timeout_s=settings.jwks_timeout_s,
            cooldown_s=settings.jwks_cooldown_s,
        )

    @property
    def is_failing(self) -> bool:
        """Whether the latest look failed."""
        return self._failing

    def find(self, key_id: str | None) -> Check:
        check = self._keys.get(key_id)
        if check is None:
            # A token that names no key is no reason to look, unless there is none at all.
            sought = key_id is not None or self._keys is NO_KEYS
            raise unknown_key(may_look=sought and self._may_look())
        return check

    async def refresh(self) -> bool:
        if not self._may_look():
            return False
        if self._looking is None:
            # Set before the look, so that nothing of the flood behind this one starts another.
            self._no_look_before = self._clock() + self._timeout_s + self._cooldown_s
            self._start_look().add_done_callback(lambda _: self._cool_down())
        return await self.look()

    async def look(self) -> bool:
        """Read the keys, or wait for the look that is under way; True when they were read anew.

        False where it failed, which is logged, or nothing has changed. Never raises. Whoever waits
        may go away: the look goes on for the others.
        """
        looking = self._looking or self._start_look()
        await asyncio.wait([looking])
        return not looking.cancelled() and looking.result()

    async def close(self) -> None:
        """Cancel a look that is under way."""
        looking = self._looking
        if looking is not None:
            looking.cancel()
            await asyncio.wait([looking])

    def _may_look(self) -> bool:
        return self._looking is not None or self._clock() >= self._no_look_before

    def _cool_down(self) -> None:
        self._no_look_before = self._clock() + self._cooldown_s

    def _start_look(self) -> asyncio.Task[bool]:
        looking = asyncio.get_running_loop().create_task(self._look(), name="look for keys")
        self._looking = looking
        looking.add_done_callback(self._look_ended)
        return looking

    def _look_ended(self, _: asyncio.Task[bool]) -> None:
        self._looking = None

    async def _look(self) -> bool:
        try:
            async with asyncio.timeout(self._timeout_s):
                published = await self._source.read(self._version)
            keys = None
            if published is not None:
                # A large set takes longer than the loop should wait.
                keys = await asyncio.to_thread(parse_key_set, published.data, self.algorithm)
        except TimeoutError:
            self._failed(f"no answer within {self._timeout_s} s")
        except KeysUnavailableError as error:
            self._failed(str(error))
        except Exception:
            # Whatever else it is, the keys known so far are as good as before.
            if not self._failing:
                logger.exception("looking for published keys broke; the known ones stay in use")
            self._failing = True
        else:
            if self._failing:
                logger.warning("published keys are read again")
                self._failing = False
            if published is not None and keys is not None:
                self._keys, self._version = keys, published.version
                return True
        return False

    def _failed(self, reason: str) -> None:
        if not self._failing:
            logger.warning("published keys cannot be read, the known ones stay in use: %s", reason)
        self._failing = True
