"""One server, shared by all processes that use its data folder."""

import logging
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from apex_actors.storage.embedded.data_folder import ServerFolder
from apex_actors.storage.embedded.deadline import Deadline
from apex_actors.storage.embedded.errors import EmbeddedServerError, explain_os_error
from apex_actors.storage.embedded.instance import instance_tag
from apex_actors.storage.embedded.locks import FileLock
from apex_actors.storage.embedded.processes import (
    ProcessEntry,
    ServerProcess,
    list_processes,
    send_signal,
)

_LOG = logging.getLogger(__name__)

_LAUNCH_ATTEMPTS = 5
"""A launch is repeated only for what may go better at once, like a port that was just taken."""
_LIFE_LOCK_TIMEOUT_S = 2.0
"""Whoever only looks at the lock holds it for microseconds."""
_REAP_TIMEOUT_S = 2.0
_ORPHAN_GRACE_S = 2.0
"""Children of a killed server notice its death by themselves, most of them at once."""
_LOOK_AGAIN_S = 0.1
_POLL_S = 0.01


class Launcher(Protocol):
    """What is particular to PostgreSQL or Valkey."""

    @property
    def name(self) -> str:
        """How people call it."""

    @property
    def stop_steps(self) -> Sequence[tuple[signal.Signals, float]]:
        """Signals that stop it, the gentlest first, each with the seconds it is given."""

    def launch(self, *, life_fd: int, tag: str, deadline: Deadline) -> ServerProcess:
        """Prepare the data where needed and start the process; it inherits ``life_fd``."""

    def answers(self) -> bool:
        """Whether a real, authenticated connection is served now."""

    def finish_start(self) -> None:
        """Called each time a user comes, when the server answers."""

    def may_launch_again(self) -> bool:
        """Asked after it died at launch: whether another attempt can do better."""

    def explain_exit(self) -> str:
        """Why it died at launch, from its log, and what to do."""

    def is_main_process(self, command: str, tag: str) -> bool:
        """Whether a command line is that of the server process with this tag."""

    def is_any_process(self, command: str, tag: str) -> bool:
        """The same for the server process or one of its children."""

    def clean_up(self) -> None:
        """Called when it was stopped for good."""


class SharedServer:
    """Starts a server for its first user and stops it for its last.

    Three locks in the server's folder, all held by the kernel for a process's life, so that a
    killed process counts no longer, and no process number is ever trusted:

    ``gate.lock``
        held alone by whoever starts or stops; all decisions are made under it.
    ``holders.lock``
        held shared by every user. Who gets it alone, under the gate, is the last one out.
    ``server.lock``
        inherited by the server and its children: free means that none of them lives, whoever
        started them. So two servers can never work on the same files, a server left behind by a
        killed parent is found and adopted, and one still recovering is waited for.

    Thread-safe, and for one use: after :meth:`stop` make another object.
    """

    def __init__(self, *, launcher: Launcher, folder: ServerFolder, start_timeout_s: float) -> None:
        self._launcher = launcher
        self._folder = folder
        self._start_timeout_s = start_timeout_s
        self._mutex = threading.Lock()
        self._stop_asked = threading.Event()
        self._gate = FileLock(folder.path / "gate.lock")
        self._holder = FileLock(folder.path / "holders.lock")
        self._life_path = folder.path / "server.lock"

    def start(self) -> None:
        """Become a user: start the server, or adopt the one that runs. Idempotent.

        Raises EmbeddedServerError.
        """
        with self._mutex, self._explained("start"):
            if self._holder.is_locked:
                return
            deadline = self._deadline()
            deadline.check()
            self._folder.create()
            with self._gate_held(deadline):
                if not self._holder.try_shared():
                    raise EmbeddedServerError(
                        f"Another program has locked {self._folder.path / 'holders.lock'}. "
                        f"End it, or choose another data folder."
                    )
                try:
                    self._bring_up(deadline)
                    self._launcher.finish_start()
                except BaseException:
                    self._leave_after_failure()
                    raise

    def ensure_running(self) -> bool:
        """Start the server again if it died; True when it had to be started.

        Cheap while all is well: one look at a lock and one connection. Does nothing before
        :meth:`start` and after :meth:`stop`. Raises EmbeddedServerError.
        """
        with self._mutex, self._explained("restart"):
            if not self._holder.is_locked or (self._is_alive() and self._launcher.answers()):
                return False
            deadline = self._deadline()
            with self._gate_held(deadline):
                return self._bring_up(deadline)

    def stop(self) -> None:
        """Stop being a user; the last one stops the server and waits for its end. Idempotent.

        Raises EmbeddedServerError when it does not end.
        """
        # A start or restart under way in another thread gives up and lets go of the mutex; one
        # that is yet to come finds the mark.
        self._stop_asked.set()
        with self._mutex, self._explained("stop"):
            if not self._holder.is_locked:
                return
            try:
                with self._gate_held(Deadline(self._start_timeout_s)):
                    self._leave()
            finally:
                self._holder.release()

    def _deadline(self) -> Deadline:
        return Deadline(self._start_timeout_s, cancelled=self._stop_asked)

    @contextmanager
    def _explained(self, attempt: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise explain_os_error(
                error, attempt=f"{self._launcher.name}: cannot {attempt}"
            ) from error

    @contextmanager
    def _gate_held(self, deadline: Deadline) -> Iterator[None]:
        while not self._gate.try_exclusive():
            deadline.pause(
                f"{self._launcher.name}: another process is still busy starting or stopping it "
                f"in {self._folder.path}. Try again, or end that process."
            )
        try:
            yield
        finally:
            self._gate.release()

    def _is_alive(self) -> bool:
        probe = FileLock(self._life_path)
        if not probe.try_shared():
            return True
        probe.release()
        return False

    def _bring_up(self, deadline: Deadline) -> bool:
        """Under the gate: return when the server answers; True when it was launched by us."""
        if self._wait_while_alive(deadline):
            return False
        tag = self._tag()
        for _ in range(_LAUNCH_ATTEMPTS):
            process = self._launch(tag, deadline)
            if self._wait_while_alive(deadline):
                _LOG.info("%s started, process %d", self._launcher.name, process.pid)
                return True
            process.wait(_REAP_TIMEOUT_S)
            if not self._launcher.may_launch_again():
                break
        raise EmbeddedServerError(
            f"{self._launcher.name} did not start. {self._launcher.explain_exit()}"
        )

    def _launch(self, tag: str, deadline: Deadline) -> ServerProcess:
        life = FileLock(self._life_path)
        waiting = Deadline(_LIFE_LOCK_TIMEOUT_S)
        while not life.try_exclusive():
            waiting.pause(f"{self._launcher.name}: {self._life_path} is locked")
        try:
            return self._launcher.launch(life_fd=life.fileno(), tag=tag, deadline=deadline)
        finally:
            life.hand_over()

    def _wait_while_alive(self, deadline: Deadline) -> bool:
        """True as soon as the server answers, False when no process of it lives."""
        look_s = time.monotonic() + _ORPHAN_GRACE_S
        while self._is_alive():
            if self._launcher.answers():
                return True
            if time.monotonic() >= look_s:
                look_s += _ORPHAN_GRACE_S
                main, others = self._processes()
                if not main:
                    # Their server is dead, so nothing they do can be committed any more, but
                    # they keep its memory and files busy.
                    self._signal(others, signal.SIGKILL)
            deadline.pause(
                f"{self._launcher.name} runs in {self._folder.path} but does not answer. See its "
                f"log there; if it hangs, end it and start again."
            )
        return False

    def _leave(self) -> None:
        """Under the gate: the last user stops the server."""
        if self._holder.try_exclusive():
            self._stop_server()
        self._holder.release()

    def _leave_after_failure(self) -> None:
        try:
            self._leave()
        except (EmbeddedServerError, OSError):
            # The failed start is what the caller must hear of.
            _LOG.warning("%s could not be stopped after a failed start", self._launcher.name)
        finally:
            self._holder.release()

    def _stop_server(self) -> None:
        for number, patience_s in self._launcher.stop_steps:
            end_s = time.monotonic() + patience_s
            signalled: set[int] = set()
            # Looked up again and again: a server just launched gets its title a moment later.
            while self._is_alive() and time.monotonic() < end_s:
                main, others = self._processes()
                fresh = [entry for entry in main or others if entry.pid not in signalled]
                self._signal(fresh, number)
                signalled.update(entry.pid for entry in fresh)
                self._wait_until_dead(_LOOK_AGAIN_S)
        if self._is_alive():
            raise EmbeddedServerError(
                f"{self._launcher.name} in {self._folder.path} does not stop. End its processes "
                f"by hand; their titles contain {self._tag()!r}."
            )
        self._launcher.clean_up()
        _LOG.info("%s stopped", self._launcher.name)

    def _wait_until_dead(self, patience_s: float) -> None:
        end_s = time.monotonic() + patience_s
        while self._is_alive() and time.monotonic() < end_s:
            time.sleep(_POLL_S)

    def _tag(self) -> str:
        return instance_tag(self._folder.path / "instance")

    def _processes(self) -> tuple[list[ProcessEntry], list[ProcessEntry]]:
        """The server process (none or one) and its children, living or left behind."""
        tag = self._tag()
        ours = [
            entry
            for entry in list_processes()
            if entry.uid == self._folder.account.uid
            and self._launcher.is_any_process(entry.command, tag)
        ]
        main = [entry for entry in ours if self._launcher.is_main_process(entry.command, tag)]
        return main, [entry for entry in ours if entry not in main]

    def _signal(self, entries: Sequence[ProcessEntry], number: signal.Signals) -> None:
        for entry in entries:
            send_signal(entry.pid, number)
