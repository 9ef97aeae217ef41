"""What a node needs of its database before anything can be stored, laid as soon as it is there."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from apex_actors.actors import LoopActor
from apex_actors.gateway.auth import LinkSigner
from apex_actors.server.stores import Stores
from apex_actors.storage.database import Database
from apex_actors.storage.errors import StorageError, StorageUnavailableError
from apex_actors.storage.link_key import read_link_key
from apex_actors.storage.migrate import migrate

logger = logging.getLogger(__name__)

#: Between the first tries, in seconds: a database that starts beside the node is there by then.
RETRY_S: Final = 0.5

#: So many tries follow the first one at that pace; then the pauses grow.
QUICK_RETRIES: Final = 3

#: No pause is longer, in seconds: a server works again within two seconds of its database's return.
LONGEST_PAUSE_S: Final = 1.5

#: A try waits so long for an answer to its connecting, in seconds.
CONNECT_TIMEOUT_S: Final = 5

#: A try gives up what follows the migrations after this time, in seconds: it is a few round trips.
OPEN_TIMEOUT_S: Final = 15.0

#: Looks at the database before it is opened to everybody; raises StorageUnavailableError.
Preparation = Callable[[Database], Awaitable[None]]


def pause_s(failures: int, chance: float) -> float:
    """How long to wait after so many failures in a row, in seconds; ``chance`` is from 0 to 1.

    Half of a pause that has grown is left to chance: many nodes that wait for one database must
    not all come at the same moment.
    """
    if failures <= QUICK_RETRIES:
        return RETRY_S
    # Bounded before it is raised: a database may be away for days.
    grown = RETRY_S * 2.0 ** min(failures - QUICK_RETRIES, 16)
    return min(grown, LONGEST_PAUSE_S) * (1 + chance) / 2


class Foundation:
    """Schema, pools, and the key of links. Laid once; until then every statement fails at once.

    That is what keeps a half-made database from everybody: the pools are opened when the schema is
    there, the one that all use last of all.
    """

    def __init__(self, database_url: str, *, stores: Stores, links: LinkSigner) -> None:
        self._database_url = database_url
        self._stores = stores
        self._links = links
        self._preparations: list[Preparation] = []
        self._answered = asyncio.Event()
        self._tried = asyncio.Event()
        self._failure: Exception | None = None
        self._laid = asyncio.Event()

    @property
    def is_laid(self) -> bool:
        """Whether the node has had its database; it may have gone away again since."""
        return self._laid.is_set()

    async def is_up(self) -> bool:
        """The same, as a component of the node's health."""
        return self.is_laid

    def prepare_with(self, preparation: Preparation) -> None:
        """Have this done too before the database is opened to everybody, if it is not open yet."""
        self._preparations.append(preparation)

    async def lay(self) -> None:
        """Try it once. Raises StorageUnavailableError where the database is away.

        Raises DatabaseRefusedError and MigrationError where waiting alone will not help.
        """
        try:
            await migrate(
                self._database_url,
                connect_timeout_s=CONNECT_TIMEOUT_S,
                on_connected=self._answered.set,
            )
            await self._open()
        except Exception as error:
            if not self._tried.is_set():
                self._failure = error
            raise
        else:
            self._laid.set()
        finally:
            self._answered.set()
            self._tried.set()

    async def laid(self) -> None:
        """Wait for it, however long that takes."""
        await self._laid.wait()

    async def first_try(self, patience_s: float) -> None:
        """Wait for the end of the first try, but no longer for a database that does not answer.

        Raises what ended that try, where it was not that the database is away.
        """
        try:
            async with asyncio.timeout(patience_s):
                await self._answered.wait()
        except TimeoutError:
            return
        # It answers: migrations take the time that they take.
        await self._tried.wait()
        if self._failure is not None and not isinstance(self._failure, StorageUnavailableError):
            raise self._failure

    async def _open(self) -> None:
        stores = self._stores
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await stores.bulk.open()
                self._links.use(await read_link_key(stores.bulk))
                for preparation in self._preparations:
                    await preparation(stores.bulk)
                await stores.database.open()
        except TimeoutError as error:
            raise StorageUnavailableError("PostgreSQL takes too long to answer") from error


@dataclass(frozen=True, slots=True)
class _Try:
    pass


class BringUp(LoopActor):
    """Lays the foundation of a node: once at its start, and again and again until it is laid.

    Sends itself one message a try and receives nothing else. Owns the try under way, which ends
    with it; has nothing more to do when one has worked. Says what is wrong when that changes, not
    once a try. A fault that ends the node's start when it is found at once ends nothing later:
    those who are connected keep what they have, and whoever mends it need not start the node again.
    When it dies the node stops: nobody would look for the database any more.
    """

    def __init__(self, *, foundation: Foundation) -> None:
        super().__init__()
        self._foundation = foundation
        self._failures = 0
        self._said = ""

    def on_start(self) -> None:
        self.ref.tell(_Try())

    def on_receive(self, message: object) -> object:
        if isinstance(message, _Try):
            return self._try()
        return super().on_receive(message)

    async def _try(self) -> None:
        try:
            await self._foundation.lay()
        except Exception as error:  # noqa: BLE001 - whatever it was: it is said and tried again
            self._failures += 1
            self._say(error)
            self.tell_later(pause_s(self._failures, random.random()), _Try())  # noqa: S311 - no secret
            return
        if self._failures:
            logger.warning("the database is there: the server does all it can from now on")

    def _say(self, error: Exception) -> None:
        said = str(error)
        if isinstance(error, StorageUnavailableError) and error.__cause__ is not None:
            # The words of PostgreSQL and its library: they name host and user, never the password.
            said = f"{said} ({' '.join(str(error.__cause__).split())})"
        if said == self._said:
            return
        self._said = said
        if isinstance(error, StorageUnavailableError):
            logger.warning("the database is away and looked for, nothing is stored yet: %s", said)
        else:
            # Of what is known and said in words, the place in the code tells nothing.
            place = None if isinstance(error, StorageError) else error
            logger.error("the database cannot be used and is tried again: %s", said, exc_info=place)
