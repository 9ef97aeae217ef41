"""Reads published keys again and again, so that an issuer may change them without a restart."""

from dataclasses import dataclass
from typing import Final

from apex_actors.actors import LoopActor
from apex_actors.gateway.auth.published_keys import PublishedKeys
from apex_actors.gateway.settings import AuthSettings

#: How soon is looked again after a look that failed, in seconds; a shorter interval stays.
RETRY_S: Final = 10.0

#: How often a file is looked at, in seconds: that costs one look at its time and size.
FILE_INTERVAL_S: Final = 2.0


def watch_interval_s(settings: AuthSettings) -> float:
    """How often the keys of these settings are looked at, in seconds."""
    if settings.jwks_file is not None:
        return min(settings.jwks_refresh_s, FILE_INTERVAL_S)
    return settings.jwks_refresh_s


@dataclass(frozen=True, slots=True)
class _Look:
    pass


class KeyWatch(LoopActor):
    """Keeps published keys fresh; started when the first look has ended, well or not.

    Sends itself one message a look and receives nothing else. Owns the looks at the keys, those
    that tokens cause too: they end with it. When it dies the keys stay as they are,
    and the node stops.

    :param interval_s: between two looks.
    """

    def __init__(self, *, keys: PublishedKeys, interval_s: float) -> None:
        super().__init__()
        if interval_s <= 0:
            raise ValueError("interval_s must be more than 0")
        self._keys = keys
        self._interval_s = interval_s

    async def on_start(self) -> None:  # type: ignore[override]  # hooks of the loop may be async
        await self._look()

    async def on_stop(self) -> None:  # type: ignore[override]
        await self._keys.close()

    def on_receive(self, message: object) -> object:
        match message:
            case _Look():
                return self._look()
            case _:
                return super().on_receive(message)

    async def _look(self) -> None:
        await self._keys.look()
        failing = self._keys.is_failing
        self.tell_later(min(self._interval_s, RETRY_S) if failing else self._interval_s, _Look())
