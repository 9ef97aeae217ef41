"""Several processes on one port: all serve, one may die, and they end together."""

import asyncio
import signal
import socket
from contextlib import contextmanager, suppress

import httpx
import psutil
import pytest

from apex_actors.client import ApexClient
from apex_actors.gateway.auth import TokenAuthority
from apex_actors.gateway.settings import AuthSettings
from apex_actors.protocol import LogCheck
from apex_actors.protocol.identity import Role

LEASE = {"APEX_EXECUTION__LEASE_S": "2"}


async def finish(client, check, run_id):
    async with asyncio.timeout(60):
        async for event in client.events():
            check.feed(event)
            if event.type == "run_finished" and event.run_id == run_id:
                return event
    raise AssertionError("the stream ended")


async def test_all_processes_serve_the_one_port(start_group):
    with start_group("--processes", "2") as group:
        first, second = group.children
        assert ", 2 processes" in group.said
        clients = []
        while not (group.connected(first) and group.connected(second)):
            assert len(clients) < 200, "one process gets all connections"
            client = ApexClient(group.url, token=group.token(f"ann{len(clients)}"))
            clients.append(await client.__aenter__())
        for client in clients:
            await client.__aexit__(None, None, None)
        assert group.stop() == 0


async def test_promise_4_a_client_of_a_killed_process_gets_every_event_once_from_another(
    start_group, eventually
):
    with start_group("--processes", "2", **LEASE) as group:
        before = {child.pid for child in group.children}
        async with ApexClient(group.url, token=group.token("ann")) as client:
            check = LogCheck(client.welcome.seq)
            accepted = await client.send_message("Analyze my AI costs")
            check.accepted(accepted.message_id, accepted.run_id)
            [serving] = [child for child in group.children if group.connected(child)]
            serving.kill()
            finished = await finish(client, check, accepted.run_id)
            assert finished.payload["status"] == "completed"
            assert check.close() == []
        await eventually(lambda: len(group.children) == 2, timeout_s=30)
        assert {child.pid for child in group.children} - before
        assert "signal SIGKILL; it is started again" in group.said
        assert group.stop() == 0


async def test_a_signal_drains_all_of_them_and_leaves_no_process(start_group):
    with start_group("--processes", "3") as group:
        children = group.children
        async with ApexClient(group.url, token=group.token("ann")) as client:
            await client.send_message("Analyze my AI costs")
            assert await asyncio.to_thread(group.stop) == 0
        assert psutil.wait_procs(children, timeout=0)[1] == []
        with pytest.raises(httpx.ConnectError):
            status(group, "/healthz")
        assert "Traceback" not in group.said


async def test_a_service_manager_may_signal_parent_and_processes_at_once(start_group):
    with start_group("--processes", "2") as group:
        for process in (*group.children, group.process):
            process.send_signal(signal.SIGTERM)
        assert group.process.wait(timeout=40) == 0


async def test_one_process_may_be_replaced_in_order(start_group, eventually):
    with start_group("--processes", "2") as group:
        first, second = group.children
        first.terminate()
        await eventually(lambda: not first.is_running(), timeout_s=30)
        assert status(group, "/readyz")[0] == 200, "the other one serves on"
        await eventually(
            lambda: len(group.children) == 2 and first not in group.children, timeout_s=30
        )
        assert second in group.children
        assert group.stop() == 0


async def test_processes_end_with_their_parent_however_that_ends(start_group, data_dir):
    temporary = {"TMPDIR": str(data_dir.parent)}
    with start_group("--processes", "2", APEX_GRACE_PERIOD_S="1", **temporary) as group:
        children = group.children
        assert list(data_dir.parent.glob("apex-*"))
        group.process.kill()
        assert psutil.wait_procs(children, timeout=40)[1] == []
        assert list(data_dir.parent.glob("apex-*")) == []


async def test_workers_are_a_group_without_a_port_and_gateways_one_without_runs(start_group):
    with (
        start_group("--role", "gateway", "--processes", "2") as gateways,
        start_group("--role", "worker", "--processes", "2") as workers,
    ):
        assert workers.url is None
        assert len(workers.children) == 2
        async with ApexClient(gateways.url, token=gateways.token("ann")) as client:
            check = LogCheck(client.welcome.seq)
            accepted = await client.send_message("Analyze my AI costs")
            finished = await finish(client, check, accepted.run_id)
        assert finished.payload["status"] == "completed"
        assert (gateways.stop(), workers.stop()) == (0, 0)


def servers_of(data_dir, name):
    """Processes of the embedded servers in this folder."""
    found = []
    for process in psutil.process_iter(["name", "cmdline", "cwd"]):
        text = " ".join([*(process.info["cmdline"] or ()), process.info["cwd"] or ""])
        if process.info["name"].startswith(name) and str(data_dir) in text:
            found.append(process)
    return found


@contextmanager
def take_from(data_dir, port):
    """Kill the embedded Valkey and listen on its port before it can come back there."""
    for _ in range(50):
        killed = servers_of(data_dir, "valkey")
        for process in killed:
            process.kill()
        psutil.wait_procs(killed, timeout=10)
        with socket.socket() as taken, suppress(OSError):
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
            yield
            return
    raise AssertionError("Valkey was faster each time")


def status(group, path):
    """The HTTP status and the body of a path."""
    answer = httpx.get(group.url + path)
    return answer.status_code, answer.text


async def test_the_parent_owns_the_embedded_servers_and_says_where_a_moved_valkey_is(
    start_bare_group, data_dir, eventually
):
    with start_bare_group("--processes", "2", APEX_DATA_DIR=str(data_dir)) as group:
        port_file = data_dir / "valkey" / "port"
        before = port_file.read_text()
        with take_from(data_dir, int(before)):
            await eventually(lambda: port_file.read_text() != before, timeout_s=30)
            # Both are asked often enough, whichever answers.
            for _ in range(10):
                await eventually(
                    lambda: '"cache":"up"' in status(group, "/readyz")[1], timeout_s=30
                )
        assert group.stop() == 0
    assert servers_of(data_dir, "valkey") == servers_of(data_dir, "postgres") == []


async def test_a_port_that_is_taken_is_said_so_before_anything_starts(start_group, live_server):
    port = live_server.url.rsplit(":", 1)[1]
    production = {"APEX_AUTH__SECRET": "x" * 40}
    with start_group(
        "--processes", "2", "--mode", "production", "--port", port, **production
    ) as group:
        assert group.process.wait(timeout=40) == 1
        assert "--port" in group.said
        assert "Traceback" not in group.said


def figures(group):
    """The samples without labels of /metrics."""
    lines = [line.split() for line in status(group, "/metrics")[1].splitlines()]
    return {line[0]: float(line[1]) for line in lines if len(line) == 2}


async def test_metrics_and_the_view_of_connections_span_the_processes(start_group, eventually):
    secret = {"APEX_AUTH__SECRET": "s" * 40}
    with start_group("--processes", "2", **secret) as group:
        authority = TokenAuthority(secret="s" * 40, settings=AuthSettings())
        admin, _ = authority.issue(sub="root", org="root", roles=[Role.ADMIN], lifetime_s=600)
        first, second = group.children
        clients = []
        while not (group.connected(first) and group.connected(second)):
            assert len(clients) < 200, "one process gets all connections"
            client = ApexClient(group.url, token=group.token(f"ann{len(clients)}"))
            clients.append(await client.__aenter__())
        # Whichever process answers, it answers for both.
        for _ in range(10):
            await eventually(lambda: figures(group)["apex_connections"] == len(clients))
            found = figures(group)
            assert (found["apex_group_processes"], found["apex_group_answering"]) == (2, 2)
            listed = httpx.get(  # noqa: ASYNC210
                f"{group.url}/api/admin/connections?limit=100",
                headers={"Authorization": f"Bearer {admin}"},
            ).json()
            assert listed["total"] == len(clients)
        assert len({line["node"] for line in listed["connections"]}) == 2
        first.suspend()
        try:
            # New connections may wait for it, but some reach the other: it answers for itself.
            await eventually(lambda: answered_alone(group), timeout_s=30)
        finally:
            first.resume()
        for client in clients:
            await client.__aexit__(None, None, None)
        assert group.stop() == 0


def answered_alone(group):
    try:
        answer = httpx.get(f"{group.url}/metrics", timeout=2)
    except httpx.TimeoutException:
        return False
    return "apex_group_answering 1.0" in answer.text
