"""Servers that were killed, and what they leave behind."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from apex_actors.storage.embedded import EmbeddedServerError, EmbeddedServers, valkey
from apex_actors.storage.embedded.account import choose_account
from apex_actors.storage.embedded.binaries import postgres_programs

_BUSY = "do $$ begin loop end loop; end $$"
"""Never looks up, and so never notices that the postmaster died."""


def _port(redis_url: str) -> int:
    return int(redis_url.rsplit(":", 1)[1].removesuffix("/0"))


@contextmanager
def _somebody_listens(port: int) -> Iterator[socket.socket]:
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        stranger.settimeout(0)
        yield stranger


def test_a_killed_postgresql_comes_back_with_what_was_committed(servers, probe) -> None:
    with psycopg.connect(servers.database_url) as connection:
        connection.execute("create table survivor as select 42 as value")
    before = servers.database_url
    os.kill(probe.main_pid("postgres"), signal.SIGKILL)

    assert servers.ensure_running() is True

    assert servers.database_url == before
    with psycopg.connect(servers.database_url) as connection:
        assert connection.execute("select value from survivor").fetchone() == (42,)
    assert servers.ensure_running() is False


def test_orphans_of_a_killed_postgresql_are_ended(servers, probe, wait_until) -> None:
    """A backend that computes does not notice; its server cannot start beside it."""
    with closing(psycopg.connect(servers.database_url, autocommit=True)) as client:
        client.pgconn.send_query(_BUSY.encode())
        client.pgconn.flush()
        backend = client.info.backend_pid
        with psycopg.connect(servers.database_url, autocommit=True) as watcher:
            active = "select state = 'active' from pg_stat_activity where pid = %s"
            wait_until(lambda: watcher.execute(active, [backend]).fetchone() == (True,))
        os.kill(probe.main_pid("postgres"), signal.SIGKILL)

        assert servers.ensure_running() is True

        assert backend not in [entry.pid for entry in probe.processes("postgres")]


def test_a_frozen_server_is_reported_and_not_doubled(new_data_dir: Path, probe_of) -> None:
    servers = EmbeddedServers(data_dir=new_data_dir, postgres=False, start_timeout_s=1)
    probe = probe_of(new_data_dir)
    with servers:
        frozen = probe.main_pid("valkey")
        os.kill(frozen, signal.SIGSTOP)
        try:
            with pytest.raises(EmbeddedServerError, match="does not answer"):
                servers.ensure_running()
            assert probe.main_pid("valkey") == frozen
        finally:
            os.kill(frozen, signal.SIGCONT)
        assert servers.ensure_running() is False


def test_a_killed_valkey_comes_back_with_its_keys(servers, probe) -> None:
    with redis.Redis.from_url(servers.redis_url) as client:
        client.set("kept", "value")
    os.kill(probe.main_pid("valkey"), signal.SIGKILL)

    assert servers.ensure_running() is True

    with redis.Redis.from_url(servers.redis_url) as client:
        assert client.get("kept") == b"value"


def test_a_server_that_died_is_started_by_any_of_its_users(servers, data_dir, probe) -> None:
    with EmbeddedServers(data_dir=data_dir) as other:
        os.kill(probe.main_pid("valkey"), signal.SIGKILL)
        os.kill(probe.main_pid("postgres"), signal.SIGKILL)
        assert other.ensure_running() is True
        assert servers.ensure_running() is False


def test_a_half_written_last_command_is_cut_off(new_data_dir: Path) -> None:
    with (
        EmbeddedServers(data_dir=new_data_dir, postgres=False) as servers,
        redis.Redis.from_url(servers.redis_url) as client,
    ):
        client.set("kept", "value")
    (log,) = (new_data_dir / "valkey" / "data" / "appendonlydir").glob("*.incr.aof")
    with log.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nha")
    with (
        EmbeddedServers(data_dir=new_data_dir, postgres=False) as servers,
        redis.Redis.from_url(servers.redis_url) as client,
    ):
        assert client.keys() == [b"kept"]


def test_a_taken_port_is_left_alone_and_another_chosen(new_data_dir: Path) -> None:
    with (
        EmbeddedServers(data_dir=new_data_dir, postgres=False) as servers,
        redis.Redis.from_url(servers.redis_url) as client,
    ):
        client.set("kept", "value")
        before = _port(servers.redis_url)
    with (
        _somebody_listens(before) as stranger,
        EmbeddedServers(data_dir=new_data_dir, postgres=False) as servers,
    ):
        assert _port(servers.redis_url) != before
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.get("kept") == b"value"
        with pytest.raises(BlockingIOError):
            stranger.accept()


def test_a_port_taken_after_it_was_chosen(new_data_dir: Path, monkeypatch) -> None:
    """Between our look and Valkey's bind anybody may come."""
    with EmbeddedServers(data_dir=new_data_dir, postgres=False) as servers:
        taken = _port(servers.redis_url)
    really_free = valkey._is_free
    looks: list[int] = []

    def is_free(port: int) -> bool:
        looks.append(port)
        return True if len(looks) == 1 else really_free(port)

    monkeypatch.setattr(valkey, "_is_free", is_free)
    with (
        _somebody_listens(taken),
        EmbeddedServers(data_dir=new_data_dir, postgres=False) as servers,
    ):
        assert looks[0] == taken
        assert _port(servers.redis_url) != taken


def test_the_port_of_a_killed_valkey_is_not_asked_for_the_password(servers, probe) -> None:
    """Whoever takes the port next must not be told our password."""
    port = _port(servers.redis_url)
    os.kill(probe.main_pid("valkey"), signal.SIGKILL)
    servers._shared[1]._wait_until_dead(10.0)
    with _somebody_listens(port) as stranger:
        assert servers.ensure_running() is True
        assert _port(servers.redis_url) != port
        with pytest.raises(BlockingIOError):
            stranger.accept()


def test_a_pid_file_that_names_an_unrelated_process(data_dir_to_spoil: Path) -> None:
    """After a reboot the number of the old server may be anybody's."""
    account = choose_account(None, data_folders=[data_dir_to_spoil / "postgres" / "data"])
    unrelated = subprocess.Popen(["/bin/sleep", "60"], **account.popen_identity())
    pid_file = data_dir_to_spoil / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{unrelated.pid}\n{pid_file.parent}\n1700000000\n5432\n\n\n")
    try:
        with EmbeddedServers(data_dir=data_dir_to_spoil, valkey=False) as servers:
            assert servers.ensure_running() is False
        assert unrelated.poll() is None
    finally:
        unrelated.kill()
        unrelated.wait()


def test_what_a_killed_initdb_left_is_no_obstacle(base: Path) -> None:
    data_dir = base / "new"
    draft = data_dir / "postgres" / "data.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    for folder in (data_dir, data_dir / "postgres"):
        folder.chmod(0o711)
    with EmbeddedServers(data_dir=data_dir, valkey=False) as servers:
        assert servers.ensure_running() is False
    assert not draft.exists()


def test_a_postgresql_started_by_hand_is_reported(data_dir_to_spoil: Path, wait_until) -> None:
    data = data_dir_to_spoil / "postgres" / "data"
    account = choose_account(None, data_folders=[data])
    program = postgres_programs(account=account, binaries=data_dir_to_spoil / "binaries").postgres
    by_hand = subprocess.Popen(
        [program, "-D", data, "-h", "", "-k", data],
        stderr=subprocess.DEVNULL,
        cwd="/",
        **account.popen_identity(),
    )
    try:
        wait_until((data / ".s.PGSQL.5432").exists)
        with pytest.raises(EmbeddedServerError, match="not started by apex"):
            EmbeddedServers(data_dir=data_dir_to_spoil, valkey=False).start()
        assert by_hand.poll() is None
    finally:
        by_hand.send_signal(signal.SIGINT)
        by_hand.wait()


def test_data_of_another_version_is_refused_with_advice(data_dir_to_spoil: Path) -> None:
    (data_dir_to_spoil / "postgres" / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedServerError, match=r"by PostgreSQL 16, .* needs 18.*pg_dump"):
        EmbeddedServers(data_dir=data_dir_to_spoil, valkey=False).start()


def test_a_lost_password_is_reported(data_dir_to_spoil: Path) -> None:
    (data_dir_to_spoil / "postgres" / "password").unlink()
    with pytest.raises(EmbeddedServerError, match="password of PostgreSQL is missing"):
        EmbeddedServers(data_dir=data_dir_to_spoil, valkey=False).start()


def test_a_wrong_password_is_reported_without_telling_it(data_dir_to_spoil: Path) -> None:
    (data_dir_to_spoil / "postgres" / "password").write_text("not-the-password\n")
    with pytest.raises(EmbeddedServerError, match="does not accept the password") as caught:
        EmbeddedServers(data_dir=data_dir_to_spoil, valkey=False).start()
    assert "not-the-password" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_damaged_files_are_reported_with_what_the_server_says(data_dir_to_spoil: Path) -> None:
    (data_dir_to_spoil / "postgres" / "data" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(EmbeddedServerError, match=r"It says: .*pg_control.*server\.log"):
        EmbeddedServers(data_dir=data_dir_to_spoil, valkey=False).start()


def test_a_folder_of_something_else_is_left_alone(base: Path) -> None:
    data = base / "new" / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "holiday.jpg").touch()
    for folder in (base / "new", base / "new" / "postgres"):
        folder.chmod(0o711)
    with pytest.raises(EmbeddedServerError, match="holds no PostgreSQL data"):
        EmbeddedServers(data_dir=base / "new", valkey=False).start()
    assert (data / "holiday.jpg").exists()
