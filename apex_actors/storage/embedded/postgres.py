"""The embedded PostgreSQL: how it is made, started, asked and recognised."""

import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from apex_actors.storage.embedded.binaries import (
    POSTGRES_MAJOR,
    PostgresPrograms,
    postgres_programs,
)
from apex_actors.storage.embedded.data_folder import ServerFolder, give_to
from apex_actors.storage.embedded.deadline import Deadline
from apex_actors.storage.embedded.errors import EmbeddedServerError
from apex_actors.storage.embedded.log_file import LogFile
from apex_actors.storage.embedded.private_files import (
    read_or_create_password,
    read_private,
    sync_folder,
    write_private,
)
from apex_actors.storage.embedded.processes import (
    ServerProcess,
    list_processes,
    run_tool,
    spawn_server,
)
from apex_actors.storage.embedded.socket_folder import (
    POSTGRES_PORT,
    choose_socket_folder,
    forget_socket_folder,
    remembered_socket_folder,
)

_USER = "apex"
_DATABASE = "apex"
_MAINTENANCE_DATABASE = "postgres"
_CONNECT_TIMEOUT_S = 2
"""libpq's smallest; a live server answers within milliseconds."""

_INITIAL_SETTINGS = {
    # Sizes for a small server; whoever needs more edits postgresql.conf.
    "max_connections": "100",
    "shared_buffers": "128MB",
    "wal_compression": "on",
    # Stretching protects passwords that can be guessed; ours is 256 random bits. A connection
    # takes 2 ms instead of 7.
    "scram_iterations": "1",
}
"""Written into postgresql.conf once, by initdb."""

_FIXED_SETTINGS = {
    "listen_addresses": "",
    "port": str(POSTGRES_PORT),
    "unix_socket_permissions": "0700",
    # What was acknowledged survives a crash and a power failure.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # No user's text in the log. An ERROR may quote a value ("invalid input syntax … : …"), so
    # only LOG, FATAL and PANIC are written; errors reach the client that caused them.
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
}
"""Given on the command line, where no file can override them."""

# The server's messages are not translated (LC_ALL=C), and libpq hands over no SQLSTATE for a
# connection that failed.
_SAYS_FULL = ("too many clients already", "remaining connection slots are reserved")
_SAYS_WRONG_PASSWORD = "password authentication failed"  # noqa: S105  (a message, no password)
_SERIOUS = re.compile(r"\b(?:FATAL|PANIC):\s+(?P<text>.*)")
_POSTGRES_COMMAND = re.compile(r"(?:^|/)(?:postgres|postmaster)(?=[:\s]|$)")
_ADVICE = (
    ("No space left on device", "The disk is full: free some space and start again."),
    (
        'lock file "postmaster.pid" already exists',
        (
            "A PostgreSQL that was not started by apex may be using this folder: stop it. If "
            "there is none, delete postmaster.pid in the data folder."
        ),
    ),
    (
        "pre-existing shared memory block",
        "Processes of an earlier server are still ending: wait or end them, and start again.",
    ),
    (
        "user does not exist",
        "initdb wants a name for this user: add it to /etc/passwd, or run as one that has a name.",
    ),
    ("could not create shared memory segment", "Free some shared memory (/dev/shm)."),
)
_EXPLAINED_LINES = 3


class PostgresLauncher:
    """PostgreSQL on a Unix socket, with SCRAM passwords and a database ``apex``."""

    name = "PostgreSQL"
    stop_steps: Sequence[tuple[signal.Signals, float]] = (
        # Fast shutdown: cut the clients off, write a checkpoint.
        (signal.SIGINT, 30.0),
        # Immediate shutdown: like a crash, recovered at the next start.
        (signal.SIGQUIT, 5.0),
    )

    def __init__(self, *, folder: ServerFolder, binaries: Path) -> None:
        self._folder = folder
        self._binaries = binaries
        self._data = folder.path / "data"
        self._password_path = folder.path / "password"
        self._log = LogFile(folder.path / "server.log")

    @property
    def url(self) -> str:
        """A libpq URL with the password in it.

        Raises EmbeddedServerError when the server was never started.
        """
        socket_folder = remembered_socket_folder(self._folder)
        if socket_folder is None:
            raise EmbeddedServerError("PostgreSQL is not running: call start() first.")
        return (
            f"postgresql://{_USER}:{quote(self._password(), safe='')}@/{_DATABASE}"
            f"?host={quote(str(socket_folder), safe='')}&port={POSTGRES_PORT}"
        )

    def launch(self, *, life_fd: int, tag: str, deadline: Deadline) -> ServerProcess:
        """Make the data where there is none and start the server.

        Raises EmbeddedServerError, OSError.
        """
        programs = postgres_programs(account=self._folder.account, binaries=self._binaries)
        if self._has_data():
            self._check_data()
            self._remove_stale_pid_file()
        else:
            self._create_data(programs, life_fd=life_fd, deadline=deadline)
        socket_folder = choose_socket_folder(self._folder, tag=tag)
        quoted = str(socket_folder).replace('"', '""')
        settings = {
            **_FIXED_SETTINGS,
            "unix_socket_directories": f'"{quoted}"',
            # Shown in the title of every process of this server; see is_any_process().
            "cluster_name": tag,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self._log.open_for_launch() as log:
            return spawn_server(
                [programs.postgres, "-D", self._data, *options],
                name=self.name,
                account=self._folder.account,
                folder=Path("/"),
                log=log,
                life_fd=life_fd,
            )

    def answers(self) -> bool:
        """Whether a connection with our password is served.

        Raises EmbeddedServerError when the server refuses the password.
        """
        if remembered_socket_folder(self._folder) is None:
            return False
        try:
            with self._connect() as connection:
                connection.execute("select 1")
        except psycopg.OperationalError as error:
            message = str(error)
            if _SAYS_WRONG_PASSWORD in message:
                # Not chained: the driver's error holds the connection's parameters.
                raise EmbeddedServerError(
                    f"PostgreSQL does not accept the password in {self._password_path}. Put the "
                    f"right file back, or choose another data folder."
                ) from None
            return any(text in message for text in _SAYS_FULL)
        return True

    def finish_start(self) -> None:
        """Create the database where it is missing.

        Raises EmbeddedServerError.
        """
        try:
            with self._connect() as connection:
                found = connection.execute(
                    "select from pg_catalog.pg_database where datname = %s", [_DATABASE]
                ).fetchone()
                if found is None:
                    connection.execute(
                        sql.SQL("create database {}").format(sql.Identifier(_DATABASE))
                    )
        except psycopg.Error as error:
            raise EmbeddedServerError(
                f"PostgreSQL answers, but its database {_DATABASE!r} cannot be found or made "
                f"(SQLSTATE {error.sqlstate}). See {self._log.path}."
            ) from None

    def may_launch_again(self) -> bool:
        """Nothing of PostgreSQL goes better by trying again at once."""
        return False

    def explain_exit(self) -> str:
        """What its log says, and what to do about it."""
        found = [
            match["text"].rstrip(".")
            for line in self._log.lines_since_launch()
            if (match := _SERIOUS.search(line))
        ]
        return _explain("; ".join(found[-_EXPLAINED_LINES:]), log=self._log.path)

    def is_main_process(self, command: str, tag: str) -> bool:
        """The postmaster keeps the command line that we gave it."""
        return _POSTGRES_COMMAND.search(command) is not None and (
            f" --cluster_name={tag}" in command
        )

    def is_any_process(self, command: str, tag: str) -> bool:
        """Its children call themselves "postgres: <cluster_name>: …"."""
        return command.startswith(f"postgres: {tag}: ") or self.is_main_process(command, tag)

    def clean_up(self) -> None:
        """Remove the socket's folder where it is outside of the data folder."""
        forget_socket_folder(self._folder)

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            make_conninfo(
                self.url,
                dbname=_MAINTENANCE_DATABASE,
                connect_timeout=_CONNECT_TIMEOUT_S,
                application_name="apex-embedded",
            ),
            autocommit=True,
        )

    def _password(self) -> str:
        password = read_private(self._password_path)
        if password is None:
            raise EmbeddedServerError(
                f"The password of PostgreSQL is missing ({self._password_path}). Put the file "
                f"back from a backup, or choose another data folder."
            )
        return password

    def _has_data(self) -> bool:
        return self._data.is_dir() and any(self._data.iterdir())

    def _check_data(self) -> None:
        try:
            version = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise EmbeddedServerError(
                f"{self._data} is not empty and holds no PostgreSQL data. Choose another data "
                f"folder, or move that one away."
            ) from None
        if version != str(POSTGRES_MAJOR):
            raise EmbeddedServerError(
                f"The data in {self._data} was made by PostgreSQL {version}, this version of "
                f"apex needs {POSTGRES_MAJOR}. Dump it with PostgreSQL {version} (pg_dump) and "
                f"load it into a new data folder, or use the version of apex that made it."
            )
        self._password()

    def _create_data(self, programs: PostgresPrograms, *, life_fd: int, deadline: Deadline) -> None:
        """Run initdb beside and rename, so that a killed one leaves nothing half-made.

        An initdb that survives us keeps ``life_fd`` locked: nobody starts another beside it.
        """
        draft = self._folder.path / "data.new"
        password_file = self._folder.path / "initdb.new"
        for leftover in (draft, password_file):
            shutil.rmtree(leftover, ignore_errors=True)
        folder = self._folder.owned_folder(password_file.name)
        self._folder.owned_folder(draft.name)
        # Root's own file cannot be read by the account that runs initdb.
        readable = folder / "password"
        try:
            write_private(readable, read_or_create_password(self._password_path))
            give_to(self._folder.account, readable)
            code, output = run_tool(
                [
                    programs.initdb,
                    "--pgdata",
                    draft,
                    f"--username={_USER}",
                    f"--pwfile={readable}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--data-checksums",
                    "--no-instructions",
                    *(f"--set={name}={value}" for name, value in _INITIAL_SETTINGS.items()),
                ],
                account=self._folder.account,
                life_fd=life_fd,
                timeout_s=deadline.remaining_s,
            )
        except subprocess.TimeoutExpired:
            raise EmbeddedServerError(
                f"initdb did not end in time ({self._data}). Is the disk very slow? Start again "
                f"with a longer time limit."
            ) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if code != 0:
            said = [
                line.removeprefix("initdb: ").removeprefix("error: ")
                for line in output.splitlines()
                if line.startswith("initdb: ") or _SERIOUS.search(line)
            ]
            shutil.rmtree(draft, ignore_errors=True)
            raise EmbeddedServerError(
                "PostgreSQL's data could not be made. "
                + _explain("; ".join(said[-_EXPLAINED_LINES:]), log=None)
            )
        draft.replace(self._data)
        sync_folder(self._folder.path)

    def _remove_stale_pid_file(self) -> None:
        """Remove a postmaster.pid that names a living process which is no PostgreSQL.

        PostgreSQL takes any living process of its account for a server and refuses to start;
        after a reboot, or in a container, the number soon belongs to somebody else. We hold the
        life lock: no server that we started is alive. A possible PostgreSQL is left to be judged
        by PostgreSQL.
        """
        path = self._data / "postmaster.pid"
        try:
            pid = path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].strip()
        except FileNotFoundError:
            return
        named = [entry for entry in list_processes() if str(entry.pid) == pid]
        if named and not any(_POSTGRES_COMMAND.search(entry.command) for entry in named):
            path.unlink()


def _explain(problem: str, *, log: Path | None) -> str:
    advice = [text for needle, text in _ADVICE if needle in problem]
    parts = [f"It says: {problem}." if problem else "", *advice]
    if log is not None:
        parts.append(f"Its log: {log}")
    return " ".join(part for part in parts if part)
