"""Who can get at the servers, and what they give away."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apex_actors.storage.embedded import EmbeddedServers

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

_STRAY = {
    "PGDATA": "/stray-marker",
    "PGOPTIONS": "-c search_path=stray-marker",
    "PGPASSFILE": "/stray-marker",
    "APEX_SECRET": "stray-marker",
    "LD_PRELOAD": "/stray-marker.so",
}


def _passwords(data_dir: Path) -> list[str]:
    return [(data_dir / name / "password").read_text().strip() for name in ("postgres", "valkey")]


def _files_of_all_processes(name: str) -> Iterator[bytes]:
    for path in Path("/proc").glob(f"[0-9]*/{name}"):
        try:
            yield path.read_bytes()
        except OSError:
            continue


@pytest.mark.parametrize("password", ["wrong", None])
def test_postgresql_serves_only_who_has_the_password(shared, password) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(shared.database_url, password=password or "")


@pytest.mark.parametrize("password", ["wrong", None])
def test_valkey_serves_only_who_has_the_password(shared, password) -> None:
    port = int(shared.redis_url.rsplit(":", 1)[1].removesuffix("/0"))
    with (
        redis.Redis(port=port, password=password, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


@on_linux
def test_nothing_listens_beyond_loopback(shared, shared_probe) -> None:
    """PostgreSQL has its socket only, Valkey one port on 127.0.0.1."""
    inodes: set[str] = set()
    for server in ("postgres", "valkey"):
        for link in Path(f"/proc/{shared_probe.main_pid(server)}/fd").iterdir():
            target = link.readlink().name
            if target.startswith("socket:["):
                inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    listening = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (table.startswith("udp") or fields[3] == "0A"):
                listening.append((table, fields[1]))
    port = int(shared.redis_url.rsplit(":", 1)[1].removesuffix("/0"))
    assert listening == [("tcp", f"0100007F:{port:04X}")]


def test_files_are_for_their_owner_only(shared) -> None:
    """Folders that root shares with the servers' account may be passed through, not read."""
    data_dir = shared.data_dir
    passable = 0o711 if os.geteuid() == 0 else 0o700
    programs = data_dir / "binaries"
    for path in (data_dir, *data_dir.rglob("*")):
        if path == programs or programs in path.parents:
            continue  # copied where the installed ones cannot be reached; nothing of ours is in them
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_socket():
            assert mode == 0o700, path
        elif path in (data_dir, data_dir / "postgres", data_dir / "valkey"):
            assert mode == passable, path
        elif path.is_dir():
            assert mode == 0o700, path
        else:
            assert mode == 0o600, path


def test_a_password_file_that_others_can_read_is_closed_again(new_data_dir: Path) -> None:
    with EmbeddedServers(data_dir=new_data_dir, postgres=False):
        pass
    password_file = new_data_dir / "valkey" / "password"
    password_file.chmod(0o644)
    with EmbeddedServers(data_dir=new_data_dir, postgres=False):
        assert stat.S_IMODE(password_file.stat().st_mode) == 0o600


@on_linux
def test_no_process_shows_a_password(shared) -> None:
    for password in _passwords(shared.data_dir):
        for name in ("cmdline", "environ"):
            assert all(password.encode() not in text for text in _files_of_all_processes(name))


@on_linux
def test_our_environment_does_not_reach_the_servers(data_dir, probe, monkeypatch) -> None:
    for name, value in _STRAY.items():
        monkeypatch.setenv(name, value)
    with EmbeddedServers(data_dir=data_dir):
        for server in ("postgres", "valkey"):
            environment = Path(f"/proc/{probe.main_pid(server)}/environ").read_bytes()
            assert b"stray-marker" not in environment


def test_neither_the_object_nor_the_logs_tell_a_password(shared) -> None:
    shared.ensure_running()
    logs = "".join(path.read_text() for path in shared.data_dir.glob("*/server.log"))
    assert logs
    for password in _passwords(shared.data_dir):
        assert password not in repr(shared) + str(shared) + logs
        assert password not in repr(shared._postgres) + repr(shared._valkey)


def test_what_users_write_stays_out_of_the_log(shared) -> None:
    """Errors quote values; they go to the client that caused them and nowhere else."""
    with psycopg.connect(shared.database_url, autocommit=True) as connection:
        for statement in ("select 'secret-text'::int", "select 'secret-text' from nowhere"):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
        with pytest.raises(psycopg.Error, match="secret-text"):
            connection.execute("select %s::int", ["secret-text"])
        connection.execute("do $$ begin raise warning 'secret-text'; end $$")
    assert "secret-text" not in (shared.data_dir / "postgres" / "server.log").read_text()
