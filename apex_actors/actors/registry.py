"""Pykka's registry of all living actors, without its linear searches."""

import logging
import threading
import time
import weakref
from typing import Any, ClassVar, TypeVar

import pykka

from apex_actors.actors.blocking import refuse_on_a_loop
from apex_actors.actors.errors import ActorError

logger = logging.getLogger("apex_actors.actors")

A = TypeVar("A", bound=pykka.Actor)
Refs = dict["pykka.ActorRef[Any]", None]


class ActorRegistry(pykka.ActorRegistry):
    """All actors of the process that take messages, of every system; Pykka's interface.

    Entering, leaving and looking up by URN cost the same for ten actors and for a million;
    looking up by class costs as much as there are answers. An actor leaves when its end begins.
    """

    _lock: ClassVar[threading.RLock] = threading.RLock()
    # A dict is an ordered set: the order is that of the starts.
    _all: ClassVar[Refs] = {}
    _by_class: ClassVar[dict[type, Refs]] = {}
    _by_urn: ClassVar["weakref.WeakValueDictionary[str, pykka.ActorRef[Any]]"] = (
        weakref.WeakValueDictionary()
    )

    @classmethod
    def broadcast(cls, message: Any, target_class: str | type[pykka.Actor] | None = None) -> None:
        """Tell all, or all of a class: also where one has died meanwhile or takes no more."""
        if isinstance(target_class, str):
            targets = cls.get_by_class_name(target_class)
        elif target_class is not None:
            targets = cls.get_by_class(target_class)
        else:
            targets = cls.get_all()
        for ref in targets:
            try:
                ref.tell(message)
            except (pykka.ActorDeadError, ActorError) as error:
                logger.info("A broadcast did not reach %s: %s", ref, error)

    @classmethod
    def get_all(cls) -> list[pykka.ActorRef[Any]]:
        """All, in the order of their start."""
        with cls._lock:
            return list(cls._all)

    @classmethod
    def get_by_class(cls, actor_class: type[A]) -> list[pykka.ActorRef[A]]:
        """Those of the class and its subclasses."""
        with cls._lock:
            return [
                ref
                for kind, refs in cls._by_class.items()
                if issubclass(kind, actor_class)
                for ref in refs
            ]

    @classmethod
    def get_by_class_name(cls, actor_class_name: str) -> list[pykka.ActorRef[Any]]:
        """Those whose class has that name."""
        with cls._lock:
            return [
                ref
                for kind, refs in cls._by_class.items()
                if kind.__name__ == actor_class_name
                for ref in refs
            ]

    @classmethod
    def get_by_urn(cls, actor_urn: str) -> pykka.ActorRef[Any] | None:
        """The one with that URN, or None."""
        with cls._lock:
            ref = cls._by_urn.get(actor_urn)
            return ref if ref is not None and ref in cls._all else None

    @classmethod
    def note_urn(cls, urn: str, ref: pykka.ActorRef[Any]) -> None:
        """A ref has made its URN: nobody can have asked for it before."""
        with cls._lock:
            cls._by_urn[urn] = ref

    @classmethod
    def register(cls, actor_ref: pykka.ActorRef[Any]) -> None:
        """Enter; done by ``start``."""
        with cls._lock:
            cls._all[actor_ref] = None
            kind = actor_ref.actor_class
            refs = cls._by_class.get(kind)
            if refs is None:
                refs = cls._by_class[kind] = {}
            refs[actor_ref] = None
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("Registered %s", actor_ref)

    @classmethod
    def unregister(cls, actor_ref: pykka.ActorRef[Any]) -> None:
        """Leave; done when an actor ends. Once too often does no harm."""
        with cls._lock:
            known = actor_ref in cls._all
            if known:
                del cls._all[actor_ref]
                kind = actor_ref.actor_class
                refs = cls._by_class[kind]
                del refs[actor_ref]
                if not refs:
                    del cls._by_class[kind]
        if logger.isEnabledFor(logging.DEBUG):
            note = "" if known else " (not found in registry)"
            logger.debug("Unregistered %s%s", actor_ref, note)

    @classmethod
    def stop_all(cls, *, block: bool = True, timeout: float | None = None) -> list[Any]:
        """Stop all actors of the process, all at once.

        They are asked in the reverse order of their start and end side by side. Blocking, it waits
        at most ``timeout`` seconds for all of them together and returns which ones stopped in that
        time; else it returns futures. An actor whose event loop is closed is only forgotten.
        """
        if block:
            refuse_on_a_loop("stop_all()")
        asked: list[Any] = [ref.stop(block=False) for ref in reversed(cls.get_all())]
        if not block:
            return asked
        return _wait_for_all(asked, timeout)


def _wait_for_all(asked: list[Any], timeout_s: float | None) -> list[bool]:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    stopped: list[bool] = []
    for future in asked:
        if not isinstance(future, pykka.Future):
            stopped.append(bool(future))
            continue
        left_s = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        try:
            stopped.append(bool(future.get(timeout=left_s)))
        except pykka.Timeout:
            stopped.append(False)
    return stopped
