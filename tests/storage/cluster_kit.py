"""A cluster of Valkey servers on this machine, for tests."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.crc import key_slot

SLOTS = 16384

#: A cluster elects and agrees within this time, in seconds.
AGREES_S = 20.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Node:
    """One server; the same folder and port again after it was killed."""

    def __init__(self, program: str, folder: Path, *, missing: tuple[str, ...]) -> None:
        self._program = program
        self._missing = missing
        self._folder = folder
        self.port, self._bus_port = _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(port=self.port, decode_responses=True)

    def start(self) -> None:
        """Start and wait until it answers."""
        self._folder.mkdir(exist_ok=True)
        configuration = f"""
            bind 127.0.0.1
            port {self.port}
            cluster-port {self._bus_port}
            cluster-enabled yes
            cluster-config-file nodes.conf
            cluster-node-timeout 1000
            cluster-require-full-coverage no
            save ""
        """
        for command in self._missing:
            configuration += f'rename-command {command} ""\n'
        self._process = subprocess.Popen(
            [self._program, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(configuration.encode())
        self._process.stdin.close()
        _until(self._answers)

    def kill(self) -> None:
        """As if the machine lost its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Stop for good."""
        self.kill()
        self.client.close()

    @property
    def id(self) -> str:
        """By which the others know it."""
        return str(self.client.execute_command("CLUSTER", "MYID"))

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError, redis.BusyLoadingError):
            return bool(self.client.ping())
        return False


class Cluster:
    """Three servers that share the slots; they do not know the commands that are ``missing``."""

    def __init__(self, program: str, folder: Path, *, missing: tuple[str, ...] = ()) -> None:
        self.nodes = [
            Node(program, folder / f"node {number}", missing=missing) for number in range(3)
        ]

    @property
    def url(self) -> str:
        """Of its first node."""
        return f"redis://127.0.0.1:{self.nodes[0].port}"

    def start(self) -> None:
        """Start all, let them meet, and share the slots out."""
        for node in self.nodes:
            node.start()
        first, *others = self.nodes
        for node in others:
            node.client.execute_command("CLUSTER", "MEET", "127.0.0.1", first.port, first._bus_port)
        for number, node in enumerate(self.nodes):
            begin, end = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", begin, end)
        _until(self.agrees)

    def agrees(self) -> bool:
        """Whether every node knows all three and all slots."""
        wanted = {"cluster_state:ok", f"cluster_known_nodes:{len(self.nodes)}"}
        return all(
            wanted <= set(node.client.execute_command("CLUSTER", "INFO").split())
            for node in self.nodes
        )

    def owner(self, key: str) -> Node:
        """The node that has the key's slot."""
        slot = key_slot(key.encode())
        for node in self.nodes:
            with contextlib.suppress(redis.RedisError):
                for begin, end, (_, port, *_), *_ in node.client.execute_command(
                    "CLUSTER", "SLOTS"
                ):
                    if begin <= slot <= end:
                        return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def move(self, key: str) -> Node:
        """Give the key's slot, with what is in it, to another node; returns that one."""
        slot, giver = key_slot(key.encode()), self.owner(key)
        taker = next(node for node in self.nodes if node is not giver)
        taker.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", giver.id)
        giver.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", taker.id)
        while keys := giver.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            giver.client.execute_command(
                "MIGRATE", "127.0.0.1", taker.port, "", 0, 5000, "KEYS", *keys
            )
        for node in (taker, giver, *self.nodes):
            node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", taker.id)
        return taker

    def close(self) -> None:
        """Stop all."""
        for node in self.nodes:
            node.close()


@contextmanager
def running_cluster(
    program: str, folder: Path, *, missing: tuple[str, ...] = ()
) -> Iterator[Cluster]:
    """A cluster that is gone afterwards."""
    cluster = Cluster(program, folder, missing=missing)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def _until(condition) -> None:
    deadline = time.monotonic() + AGREES_S
    while not condition():
        assert time.monotonic() < deadline, "the cluster does not come together"
        time.sleep(0.05)
