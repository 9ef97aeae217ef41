"""Who offers what: living actors by key or by kind, for those who look for them."""

import threading
from typing import TYPE_CHECKING, Any, TypeVar

from apex_actors.actors.messages import Listing

if TYPE_CHECKING:
    from apex_actors.actors.actor import Actor
    from apex_actors.actors.ref import ActorRef

A = TypeVar("A", bound="Actor")


class Receptionist:
    """The directory of one system.

    An actor that ends leaves by itself. Subscribers are told a Listing at once and after each
    change. All methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._offers: dict[str, dict[ActorRef[Any], None]] = {}
        self._keys: dict[ActorRef[Any], set[str]] = {}
        self._subscribers: dict[str, dict[ActorRef[Any], None]] = {}
        self._subscriptions: dict[ActorRef[Any], set[str]] = {}
        self._kinds: dict[type, dict[ActorRef[Any], None]] = {}

    def register(self, key: str, ref: "ActorRef[Any]") -> None:
        """``ref`` offers ``key`` from now on, as others may."""
        with self._lock:
            if not ref.is_alive():
                return
            self._offers.setdefault(key, {})[ref] = None
            self._keys.setdefault(ref, set()).add(key)
            self._tell_subscribers(key)

    def unregister(self, key: str, ref: "ActorRef[Any]") -> None:
        """``ref`` offers ``key`` no more."""
        with self._lock:
            offers = self._offers.get(key)
            if offers is None or ref not in offers:
                return
            del offers[ref]
            if not offers:
                del self._offers[key]
            self._keys[ref].discard(key)
            if not self._keys[ref]:
                del self._keys[ref]
            self._tell_subscribers(key)

    def find(self, key: str) -> "tuple[ActorRef[Any], ...]":
        """The living who offer ``key``, in the order of registration."""
        with self._lock:
            return tuple(ref for ref in self._offers.get(key, ()) if ref.is_alive())

    def of_kind(self, kind: type[A]) -> "tuple[ActorRef[A], ...]":
        """The living of the system that are of class ``kind`` or a subclass."""
        with self._lock:
            return tuple(
                ref
                for known, refs in self._kinds.items()
                if issubclass(known, kind)
                for ref in refs
                if ref.is_alive()
            )

    def subscribe(self, key: str, subscriber: "ActorRef[Any]") -> None:
        """Tell ``subscriber`` a Listing now and whenever who offers ``key`` changes."""
        with self._lock:
            if not subscriber.is_alive():
                return
            self._subscribers.setdefault(key, {})[subscriber] = None
            self._subscriptions.setdefault(subscriber, set()).add(key)
            subscriber.cell.notify(Listing(key, self.find(key)))

    def unsubscribe(self, key: str, subscriber: "ActorRef[Any]") -> None:
        """Tell ``subscriber`` nothing more of ``key``."""
        with self._lock:
            self._forget_subscriber(key, subscriber)
            keys = self._subscriptions.get(subscriber)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._subscriptions[subscriber]

    # For the system.

    def entered(self, ref: "ActorRef[Any]") -> None:
        """An actor of the system has been started."""
        kind = ref.actor_class
        with self._lock:
            refs = self._kinds.get(kind)
            if refs is None:
                refs = self._kinds[kind] = {}
            refs[ref] = None

    def left(self, ref: "ActorRef[Any]") -> None:
        """An actor of the system has ended."""
        with self._lock:
            refs = self._kinds.get(ref.actor_class)
            if refs is not None:
                refs.pop(ref, None)
                if not refs:
                    del self._kinds[ref.actor_class]
            for key in self._subscriptions.pop(ref, ()):
                self._forget_subscriber(key, ref)
            for key in list(self._keys.get(ref, ())):
                self.unregister(key, ref)

    def _forget_subscriber(self, key: str, subscriber: "ActorRef[Any]") -> None:
        subscribers = self._subscribers.get(key)
        if subscribers is not None:
            subscribers.pop(subscriber, None)
            if not subscribers:
                del self._subscribers[key]

    def _tell_subscribers(self, key: str) -> None:
        listing = Listing(key, self.find(key))
        for subscriber in self._subscribers.get(key, ()):
            if subscriber.is_alive():
                subscriber.cell.notify(listing)
