"""PostgreSQL and Valkey together: what the rest of the system sees."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from apex_actors.storage.embedded.account import choose_account
from apex_actors.storage.embedded.data_folder import ServerFolder, prepare_data_folder
from apex_actors.storage.embedded.errors import EmbeddedServerError, explain_os_error
from apex_actors.storage.embedded.postgres import PostgresLauncher
from apex_actors.storage.embedded.shared_server import Launcher, SharedServer
from apex_actors.storage.embedded.valkey import ValkeyLauncher

_LOG = logging.getLogger(__name__)

_MIN_VALKEY_MEMORY_MB = 8
"""Below that Valkey would evict nearly everything it is given."""


class EmbeddedServers:
    """A PostgreSQL and a Valkey in a data folder, shared by all processes that use it.

    The first user starts them, the last one out stops them; a user that was killed does not
    count. They run in sessions of their own, so that Ctrl-C does not reach them before their
    users have drained. All methods block, and may be called from any thread.

    :param data_dir: the folder for data, passwords and logs; made when missing.
    :param postgres: whether PostgreSQL is wanted.
    :param valkey: whether Valkey is wanted.
    :param start_timeout_s: how long a start, a recovery or waiting for another process may take.
    :param valkey_max_memory_mb: above it the keys unused for longest are dropped.
    :param account: who runs the servers when we are root, who may not; by default the owner of
        the data already there, else ``apex-actors``, ``postgres`` or ``nobody``.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        postgres: bool = True,
        valkey: bool = True,
        start_timeout_s: float = 30.0,
        valkey_max_memory_mb: int = 128,
        account: str | None = None,
    ) -> None:
        if not (postgres or valkey):
            raise ValueError("at least one of postgres and valkey must be wanted")
        if start_timeout_s <= 0:
            raise ValueError(f"start_timeout_s must be positive, got {start_timeout_s}")
        if valkey_max_memory_mb < _MIN_VALKEY_MEMORY_MB:
            raise ValueError(
                f"valkey_max_memory_mb must be at least {_MIN_VALKEY_MEMORY_MB}, "
                f"got {valkey_max_memory_mb}"
            )
        # The servers run in another working folder, and links are followed only once.
        self._data_dir = data_dir.absolute()
        self._wants_postgres = postgres
        self._wants_valkey = valkey
        self._start_timeout_s = start_timeout_s
        self._valkey_max_memory_mb = valkey_max_memory_mb
        self._account_name = account
        self._postgres: PostgresLauncher | None = None
        self._valkey: ValkeyLauncher | None = None
        self._shared: tuple[SharedServer, ...] = ()

    def __repr__(self) -> str:
        return (
            f"EmbeddedServers(data_dir={str(self._data_dir)!r}, "
            f"postgres={self._wants_postgres}, valkey={self._wants_valkey})"
        )

    @property
    def data_dir(self) -> Path:
        """The data folder, absolute."""
        return self._data_dir

    @property
    def database_url(self) -> str:
        """Where PostgreSQL is, with its password: never log it.

        Raises EmbeddedServerError when it was not wanted or not started.
        """
        if self._postgres is None:
            raise EmbeddedServerError("The embedded PostgreSQL was not started.")
        return self._postgres.url

    @property
    def redis_url(self) -> str:
        """Where Valkey is, with its password: never log it.

        The port may be another one after :meth:`ensure_running` returned True.
        Raises EmbeddedServerError when it was not wanted or not started.
        """
        if self._valkey is None:
            raise EmbeddedServerError("The embedded Valkey was not started.")
        return self._valkey.url

    def start(self) -> None:
        """Start or adopt the servers; returns when each has served a real connection.

        Idempotent. Raises EmbeddedServerError; then nothing that we started is left running.
        """
        if self._shared:
            return
        self._shared = self._prepare()
        try:
            _call_in_parallel([shared.start for shared in self._shared])
        except BaseException:
            # Also Ctrl-C while waiting: the starts still under way give up.
            self._abandon()
            raise

    def ensure_running(self) -> bool:
        """Start again what died; True when something had to be started.

        Cheap while all is well (a few milliseconds); meant to be called every second. Does nothing before
        :meth:`start` and after :meth:`stop`. Raises EmbeddedServerError.
        """
        restarted = False
        failures: list[EmbeddedServerError] = []
        for shared in self._shared:
            try:
                restarted |= shared.ensure_running()
            except EmbeddedServerError as error:
                # The other server is looked after all the same.
                failures.append(error)
        if failures:
            raise failures[0]
        return restarted

    def stop(self) -> None:
        """Stop using the servers; the last user's call really stops them. Idempotent.

        Close all connections first. Raises EmbeddedServerError when a server does not end.
        """
        stopping, self._shared = self._shared, ()
        self._postgres = self._valkey = None
        _call_in_parallel([shared.stop for shared in stopping])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _prepare(self) -> tuple[SharedServer, ...]:
        try:
            data_dir = self._data_dir.resolve()
            account = choose_account(
                self._account_name,
                data_folders=[data_dir / "postgres" / "data", data_dir / "valkey" / "data"],
            )
            prepare_data_folder(data_dir, account=account)
        except OSError as error:
            raise explain_os_error(error, attempt="The data folder cannot be used") from error
        binaries = data_dir / "binaries"
        shared = []
        if self._wants_postgres:
            folder = ServerFolder(path=data_dir / "postgres", account=account)
            self._postgres = PostgresLauncher(folder=folder, binaries=binaries)
            shared.append(self._share(self._postgres, folder))
        if self._wants_valkey:
            folder = ServerFolder(path=data_dir / "valkey", account=account)
            self._valkey = ValkeyLauncher(
                folder=folder, binaries=binaries, max_memory_mb=self._valkey_max_memory_mb
            )
            shared.append(self._share(self._valkey, folder))
        return tuple(shared)

    def _share(self, launcher: Launcher, folder: ServerFolder) -> SharedServer:
        return SharedServer(launcher=launcher, folder=folder, start_timeout_s=self._start_timeout_s)

    def _abandon(self) -> None:
        """Stop what a failed start has started; its error is the one that counts."""
        try:
            self.stop()
        except EmbeddedServerError as error:
            _LOG.warning("after a failed start: %s", error)


def _call_in_parallel(calls: Sequence[Callable[[], None]]) -> None:
    """Call all of them, each in a thread; then raise the first error, if any."""
    if not calls:
        return
    with ThreadPoolExecutor(len(calls), thread_name_prefix="embedded") as executor:
        futures = [executor.submit(call) for call in calls]
    for future in futures:
        future.result()
