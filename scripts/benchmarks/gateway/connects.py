"""What an authenticated connection costs the server's process in CPU time, from its SYN to its end.

A client sends the handshake with a token, waits for the first frame (the baselines have none to
send: for their 101), closes, and waits until the server has closed too. Some clients do so at the
same time, over and over. The users have been there before, so that none of them is made meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.figures import Goal, Target
from benchmarks.gateway import visitors
from benchmarks.gateway.clients import Handshakes
from benchmarks.gateway.servers import Server
from benchmarks.gateway.visitors import Tickets
from benchmarks.settings import Settings

CONNECTS: Final = 1_000

CPU: Final = "connect_cpu_us"
ONE_USER_CPU: Final = "connect_one_user_cpu_us"

GOALS: Final = (
    Goal(
        CPU,
        "us",
        Target("ratio", ">=", 0.5),
        f"each of {CONNECTS:,} users once a round",
        is_cost=True,
    ),
    Goal(ONE_USER_CPU, "us", note="always the same user", is_cost=True),
)


class Comers:
    """Those who come and go, at one server."""

    def __init__(self, server: Server, tickets: Tickets, settings: Settings) -> None:
        count = settings.size(CONNECTS)
        self._server = server
        self._many = tickets.requests(server, [f"comer-{number}" for number in range(count)])
        self._one = tickets.requests(server, ["regular"] * count)
        self._cost_us(self._many)

    def come_and_go(self) -> Mapping[str, float]:
        """One measurement."""
        return {CPU: self._cost_us(self._many), ONE_USER_CPU: self._cost_us(self._one)}

    def _cost_us(self, requests: Sequence[bytes]) -> float:
        before = self._server.used()
        Handshakes(self._server.port, requests, visitors.greeting(self._server.side)).close()
        return 1e6 * self._server.used().since(before).cpu_s / len(requests)
