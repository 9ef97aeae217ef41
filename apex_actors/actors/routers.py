"""One address for many actors: who of them gets a message."""

import bisect
import hashlib
import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from apex_actors.actors.blocking import refuse_on_a_loop
from apex_actors.actors.errors import NoRouteeError
from apex_actors.actors.future import Future

if TYPE_CHECKING:
    from apex_actors.actors.ref import ActorRef

#: Points of each routee on the ring of a consistent hash: with 100, loads differ by about a tenth.
RING_POINTS = 100


class Routing(ABC):
    """A rule that picks among living routees; its methods may be called from any thread."""

    @abstractmethod
    def pick(self, message: Any, routees: "Sequence[ActorRef[Any]]") -> "Sequence[ActorRef[Any]]":
        """Who gets ``message``; ``routees`` is not empty."""


class RoundRobin(Routing):
    """One after the other."""

    def __init__(self) -> None:
        self._turn = itertools.count()

    def pick(self, message: Any, routees: "Sequence[ActorRef[Any]]") -> "Sequence[ActorRef[Any]]":
        """The next one."""
        del message
        return (routees[next(self._turn) % len(routees)],)


class Broadcast(Routing):
    """All of them; an ``ask`` is answered by a list of their replies, in the order of the routees."""

    def pick(self, message: Any, routees: "Sequence[ActorRef[Any]]") -> "Sequence[ActorRef[Any]]":
        """Everybody."""
        del message
        return routees


class ConsistentHash(Routing):
    """Messages of one key always to the same routee, as long as it lives.

    ``key`` takes a message and returns what is hashed, by its ``repr`` (or the bytes themselves).
    When a routee comes or goes, only about 1/n of the keys move.
    """

    def __init__(self, key: Callable[[Any], Any]) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._built_for: tuple[ActorRef[Any], ...] = ()
        self._points: list[int] = []
        self._owners: list[ActorRef[Any]] = []

    def pick(self, message: Any, routees: "Sequence[ActorRef[Any]]") -> "Sequence[ActorRef[Any]]":
        """The one whose point on the ring follows that of the key."""
        key = self._key(message)
        point = _hash(key if isinstance(key, bytes) else repr(key).encode())
        with self._lock:
            if self._built_for != tuple(routees):
                self._build(tuple(routees))
            at = bisect.bisect_right(self._points, point) % len(self._points)
            return (self._owners[at],)

    def _build(self, routees: "tuple[ActorRef[Any], ...]") -> None:
        ring = sorted(
            (_hash(f"{ref.name or ref.actor_urn}#{number}".encode()), index)
            for index, ref in enumerate(routees)
            for number in range(RING_POINTS)
        )
        self._points = [point for point, _ in ring]
        self._owners = [routees[index] for _, index in ring]
        self._built_for = routees


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())


class Router:
    """Sends each message on to one routee or several, without a mailbox of its own.

    Dead routees are passed over and forgotten; a restarted one keeps its place. May be used from any
    thread. Where no routee is left, ``tell`` raises NoRouteeError and ``ask`` is answered by it.
    """

    def __init__(self, routing: Routing, routees: "Iterable[ActorRef[Any]]" = ()) -> None:
        self._routing = routing
        self._lock = threading.Lock()
        self._routees: tuple[ActorRef[Any], ...] = tuple(routees)

    @property
    def routees(self) -> "tuple[ActorRef[Any], ...]":
        """The living routees."""
        if not all(ref.is_alive() for ref in self._routees):
            with self._lock:
                self._routees = tuple(ref for ref in self._routees if ref.is_alive())
        return self._routees

    def add(self, ref: "ActorRef[Any]") -> None:
        """One more routee; once more does no harm."""
        with self._lock:
            if ref not in self._routees:
                self._routees = (*self._routees, ref)

    def remove(self, ref: "ActorRef[Any]") -> None:
        """One routee less; it is not stopped."""
        with self._lock:
            self._routees = tuple(one for one in self._routees if one is not ref)

    def tell(self, message: Any) -> None:
        """Send ``message`` to whom the routing picks.

        All of them are sent to, also where one refuses it; the first refusal is raised then.
        """
        refused: Exception | None = None
        for ref in self._picked(message):
            try:
                ref.tell(message)
            except Exception as error:  # noqa: BLE001 - raised below
                refused = refused or error
        if refused is not None:
            raise refused

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """As ``ActorRef.ask``; several routees answer with a list."""
        if block:
            refuse_on_a_loop("ask()")
        try:
            asked = [ref.ask(message, block=False) for ref in self._picked(message)]
        except NoRouteeError as error:
            nobody: Future[Any] = Future()
            nobody.set_exception((NoRouteeError, error, None))
            asked = [nobody]
        all_answer = isinstance(self._routing, Broadcast)
        future = asked[0].join(*asked[1:]) if all_answer else asked[0]
        return future.get(timeout=timeout) if block else future

    def ask_async(self, message: Any) -> Awaitable[Any]:
        """As ``ActorRef.ask_async``; several routees answer with a list."""
        future: Future[Any] = self.ask(message, block=False)
        return future

    def _picked(self, message: Any) -> "Sequence[ActorRef[Any]]":
        routees = self.routees
        if routees:
            return self._routing.pick(message, routees)
        raise NoRouteeError("the router has no living routee: add one before sending")
