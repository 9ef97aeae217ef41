"""EmbeddedServers, used by one process."""

import os
import threading
import time
from pathlib import Path

import psycopg
import pytest
import redis

from apex_actors.storage import embedded
from apex_actors.storage.embedded import EmbeddedServerError, EmbeddedServers
from apex_actors.storage.embedded.locks import FileLock

_LONG_NAME = "/".join(["a folder with quite a long name"] * 6)


def _remember(servers: EmbeddedServers, value: str) -> None:
    with psycopg.connect(servers.database_url) as connection:
        connection.execute("create table if not exists kept (value text)")
        connection.execute("insert into kept values (%s)", [value])
    with redis.Redis.from_url(servers.redis_url) as client:
        client.rpush("kept", value)


def _remembered(servers: EmbeddedServers) -> tuple[list[str], list[str]]:
    with psycopg.connect(servers.database_url) as connection:
        rows = [row[0] for row in connection.execute("select value from kept")]
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        return rows, client.lrange("kept", 0, -1)


@pytest.mark.parametrize(
    "name", ["a data folder", _LONG_NAME, 'quote\' "double", comma, größe %41 $HOME']
)
def test_a_second_start_finds_the_data_of_the_first(
    base: Path, name: str, closed_installation: bool
) -> None:
    """Whatever the path of the data folder looks like."""
    data_dir = base / name
    if closed_installation and os.geteuid() == 0 and "$" in name:
        # The programs are copied into the data folder then, and cannot run from such a path.
        with pytest.raises(EmbeddedServerError, match="cannot run from"):
            EmbeddedServers(data_dir=data_dir).start()
        return
    with EmbeddedServers(data_dir=data_dir) as servers:
        _remember(servers, "first")
    with EmbeddedServers(data_dir=data_dir) as servers:
        assert _remembered(servers) == (["first"], ["first"])


def test_a_stop_leaves_no_process_and_no_socket(base: Path) -> None:
    """Also where the socket had to be put outside of the data folder."""
    servers = EmbeddedServers(data_dir=base / _LONG_NAME, valkey=False)
    servers.start()
    socket_folder = Path(psycopg.conninfo.conninfo_to_dict(servers.database_url)["host"])
    assert socket_folder.is_dir()
    assert not socket_folder.is_relative_to(base)

    servers.stop()

    assert not socket_folder.exists()
    assert not list(base.rglob(".s.PGSQL*"))


def test_stop_ends_both_servers_and_may_be_repeated(servers, probe) -> None:
    assert probe.is_running()
    servers.stop()
    assert not probe.is_running()
    servers.stop()


def test_start_may_be_repeated_and_keeps_the_servers(shared, shared_probe) -> None:
    before = shared_probe.started_at(shared.database_url)
    shared.start()
    assert shared_probe.started_at(shared.database_url) == before


def test_ensure_running_has_nothing_to_do_while_all_is_well(shared, shared_probe) -> None:
    before = shared_probe.started_at(shared.database_url)
    assert shared.ensure_running() is False
    assert shared_probe.started_at(shared.database_url) == before


def test_ensure_running_does_not_raise_the_stopped(servers, probe) -> None:
    """A supervisor may come once more after the stop."""
    servers.stop()
    assert servers.ensure_running() is False
    assert not probe.is_running()


def test_one_server_alone(new_data_dir: Path) -> None:
    with EmbeddedServers(data_dir=new_data_dir, postgres=False) as servers:
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.ping()
        with pytest.raises(EmbeddedServerError, match="PostgreSQL was not started"):
            _ = servers.database_url
    assert not (new_data_dir / "postgres").exists()


def test_urls_exist_only_while_the_servers_are_used(new_data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir=new_data_dir, postgres=False)
    with pytest.raises(EmbeddedServerError, match="not started"):
        _ = servers.redis_url
    with servers:
        assert servers.redis_url
    with pytest.raises(EmbeddedServerError, match="not started"):
        _ = servers.redis_url


def test_one_object_can_be_started_again(new_data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir=new_data_dir, postgres=False)
    for _ in range(2):
        with servers, redis.Redis.from_url(servers.redis_url) as client:
            assert client.ping()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"postgres": False, "valkey": False}, "at least one"),
        ({"start_timeout_s": 0}, "start_timeout_s"),
        ({"valkey_max_memory_mb": 1}, "valkey_max_memory_mb"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(data_dir: Path, arguments, problem) -> None:
    with pytest.raises(ValueError, match=problem):
        EmbeddedServers(data_dir=data_dir, **arguments)


def test_the_database_is_safe_utf8_and_checks_its_pages(shared) -> None:
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "TimeZone": "UTC",
        "log_statement": "none",
        "max_connections": "100",
    }
    with psycopg.connect(shared.database_url) as connection:
        found = dict(
            connection.execute(
                "select name, setting from pg_settings where name = any(%s)", [list(expected)]
            ).fetchall()
        )
    assert found == expected


def test_valkey_is_bounded_and_writes_what_it_is_told(shared) -> None:
    with redis.Redis.from_url(shared.redis_url, decode_responses=True) as client:
        assert client.config_get("maxmemory", "maxmemory-policy", "appendonly", "appendfsync") == {
            "maxmemory": str(128 * 1024 * 1024),
            "maxmemory-policy": "allkeys-lru",
            "appendonly": "yes",
            "appendfsync": "everysec",
        }


def test_a_failed_start_leaves_nothing_running(data_dir_to_spoil: Path, probe_of) -> None:
    (data_dir_to_spoil / "postgres" / "data" / "PG_VERSION").write_text("13\n")

    with pytest.raises(EmbeddedServerError, match="made by PostgreSQL 13"):
        EmbeddedServers(data_dir=data_dir_to_spoil).start()

    assert not probe_of(data_dir_to_spoil).is_running()


def test_waiting_for_another_starter_is_bounded(new_data_dir: Path) -> None:
    with EmbeddedServers(data_dir=new_data_dir, postgres=False) as servers:
        other = FileLock(new_data_dir / "valkey" / "gate.lock")
        assert other.try_exclusive()
        late = EmbeddedServers(data_dir=new_data_dir, postgres=False, start_timeout_s=0.2)
        with pytest.raises(EmbeddedServerError, match="still busy starting or stopping"):
            late.start()
        other.release()
        assert servers.ensure_running() is False


def test_a_stop_ends_a_start_that_waits(new_data_dir: Path) -> None:
    """Ctrl-C while starting does not have to wait for the time limit."""
    with EmbeddedServers(data_dir=new_data_dir, postgres=False):
        pass
    gate = FileLock(new_data_dir / "valkey" / "gate.lock")
    assert gate.try_exclusive()
    servers = EmbeddedServers(data_dir=new_data_dir, postgres=False, start_timeout_s=60)
    failures: list[EmbeddedServerError] = []

    def start() -> None:
        try:
            servers.start()
        except EmbeddedServerError as error:
            failures.append(error)

    starting = threading.Thread(target=start)
    began_s = time.monotonic()
    starting.start()
    while not servers._shared:
        time.sleep(0.001)
    servers.stop()
    starting.join()
    gate.release()

    assert "given up" in str(failures[0])
    assert time.monotonic() - began_s < 10


def test_the_package_exports_its_public_names() -> None:
    assert embedded.__all__ == ["EmbeddedServerError", "EmbeddedServers", "default_data_dir"]
    for name in embedded.__all__:
        assert hasattr(embedded, name)
