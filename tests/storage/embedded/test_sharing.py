"""Several users of one instance, some of which die."""

import os
import pwd
import signal
import threading
from pathlib import Path

import psycopg
import pytest
import redis

from apex_actors.storage.embedded import EmbeddedServers

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def test_the_last_one_out_stops_the_servers(start_user, probe) -> None:
    first, second = start_user(), start_user()
    ready = first.hear()
    assert second.hear() == ready
    started_at = probe.started_at(ready["database_url"])

    first.stop()

    assert probe.started_at(ready["database_url"]) == started_at
    second.stop()
    assert not probe.is_running()


def test_two_users_in_one_process_are_two_users(servers, data_dir: Path, probe) -> None:
    with EmbeddedServers(data_dir=data_dir) as second:
        assert second.database_url == servers.database_url
    assert servers.ensure_running() is False
    servers.stop()
    assert not probe.is_running()


def test_a_killed_user_does_not_count(start_user, servers, probe) -> None:
    other = start_user()
    other.hear()
    other.process.kill()
    other.process.wait()

    servers.stop()

    assert not probe.is_running()


def test_servers_left_by_a_killed_parent_are_adopted(start_user, data_dir: Path, probe) -> None:
    parent = start_user()
    left = parent.hear()
    started_at = probe.started_at(left["database_url"])
    run_id = probe.run_id(left["redis_url"])
    with psycopg.connect(left["database_url"]) as connection:
        connection.execute("create table adopted ()")
    parent.process.kill()
    parent.process.wait()
    assert probe.is_running()

    with EmbeddedServers(data_dir=data_dir) as servers:
        assert probe.started_at(servers.database_url) == started_at
        assert probe.run_id(servers.redis_url) == run_id
        with psycopg.connect(servers.database_url) as connection:
            connection.execute("select from adopted")

    assert not probe.is_running()


def test_ctrl_c_does_not_reach_the_servers(start_user, probe) -> None:
    """The terminal signals the user's whole process group; the user drains and stops last."""
    user = start_user()
    ready = user.hear()
    started_at = probe.started_at(ready["database_url"])
    run_id = probe.run_id(ready["redis_url"])

    for server in ("postgres", "valkey"):
        assert os.getsid(probe.main_pid(server)) != os.getsid(user.process.pid)

    os.killpg(user.process.pid, signal.SIGINT)

    assert user.hear() == {"event": "interrupted"}
    assert probe.started_at(ready["database_url"]) == started_at
    assert probe.run_id(ready["redis_url"]) == run_id
    user.stop()
    assert not probe.is_running()


def test_starting_and_stopping_at_the_same_time(data_dir: Path, probe) -> None:
    """Each user finds working servers, however its start meets the stops of the others."""
    failures: list[BaseException] = []

    def use_several_times() -> None:
        try:
            for _ in range(4):
                with EmbeddedServers(data_dir=data_dir) as servers:
                    with psycopg.connect(servers.database_url) as connection:
                        connection.execute("select 1")
                    with redis.Redis.from_url(servers.redis_url) as client:
                        client.ping()
        except BaseException as error:
            failures.append(error)
            raise

    users = [threading.Thread(target=use_several_times) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()

    assert failures == []
    assert not probe.is_running()


def test_a_copied_data_folder_is_another_instance(servers, base: Path, data_dir: Path) -> None:
    """A backup put beside the original never touches the original's servers."""
    copy = base / "copy"
    copy.mkdir(mode=0o711)
    copy.chmod(0o711)
    (copy / "valkey").mkdir()
    for name in ("instance", "password", "port"):
        content = (data_dir / "valkey" / name).read_text()
        (copy / "valkey" / name).write_text(content)

    with EmbeddedServers(data_dir=copy, postgres=False) as second:
        assert second.redis_url != servers.redis_url

    assert servers.ensure_running() is False


@as_root
@pytest.mark.usefixtures("open_installation")
def test_an_ordinary_user_runs_the_servers_itself(start_user, base: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    folder = base / "an ordinary user"
    folder.mkdir(mode=0o700)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    user = start_user(uid=nobody.pw_uid, folder=folder / "data")
    ready = user.hear()
    assert ready["event"] == "ready"
    for server in ("postgres", "valkey"):
        for path in (folder / "data" / server).rglob("*"):
            assert path.stat().st_uid == nobody.pw_uid
    with psycopg.connect(ready["database_url"]) as connection:
        connection.execute("select 1")
    user.stop()


@as_root
@pytest.mark.usefixtures("open_installation")
def test_a_user_without_a_name_is_told_to_get_one(start_user, base: Path) -> None:
    """As in a container started with a number; initdb insists."""
    folder = base / "nameless"
    folder.mkdir(mode=0o700)
    os.chown(folder, 54321, 54321)
    answer = start_user(uid=54321, folder=folder / "data").hear()
    assert answer["event"] == "error"
    assert "/etc/passwd" in answer["message"]


@as_root
def test_an_ordinary_user_is_told_which_folder_it_cannot_use(start_user, base: Path) -> None:
    answer = start_user(uid=54321, folder=base / "data").hear()
    assert answer["event"] == "error"
    assert str(base) in answer["message"]
    assert "another data folder" in answer["message"]
