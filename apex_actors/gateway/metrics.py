"""What the gateway counts, and how Prometheus reads it.

The counters are plain numbers of one event loop: adding to one is a few tens of nanoseconds, and no
lock is taken. They become metric families only when somebody reads them.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from apex_actors.protocol.codes import CloseCode
from apex_actors.protocol.payloads import RunStatus

#: Stands for every label value that a client could choose freely: series must not grow with them.
OTHER: Final = "other"

#: Upper bounds of the classes that requests are counted in, in seconds.
REQUEST_BUCKETS_S: Final = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)

_CLOSE_CODES: Final = frozenset(int(code) for code in CloseCode) | {1001, 1002, 1005, 1006}
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})


class GatewayMetrics(Collector):
    """The counters of one node. Every method is to be called in the node's event loop.

    Labels come from fixed sets: message types and error codes are those of the protocol, routes the
    templates of the routes.
    """

    def __init__(self) -> None:
        self._messages: dict[tuple[str, str], int] = {}
        self._refused: dict[str, int] = {}
        self._closed = dict.fromkeys((*map(str, sorted(_CLOSE_CODES)), OTHER), 0)
        self._rate_limited: dict[str, int] = {}
        self._finished = {status.value: 0 for status in RunStatus if status.is_terminal}
        self._opened = 0
        self._events = 0
        self._replayed = 0
        self._high_water = 0
        self._reaped = 0
        self._accepted = 0
        self._requests: dict[tuple[str, str, str], int] = {}
        self._durations = [0] * (len(REQUEST_BUCKETS_S) + 1)
        self._duration_s = 0.0

    # Connections.

    def connection_opened(self) -> None:
        """A handshake was completed."""
        self._opened += 1

    def connection_closed(self, code: int | None) -> None:
        """A connection is gone; ``code`` as the peers said it, None where neither said any."""
        label = "1006" if code is None else str(code)
        self._closed[label if label in self._closed else OTHER] += 1

    def handshake_refused(self, code: str) -> None:
        """A handshake was refused, with an error code of ours."""
        self._refused[code] = self._refused.get(code, 0) + 1

    def heartbeat_reaped(self) -> None:
        """A connection was silent for two intervals and is cut."""
        self._reaped += 1

    # Messages and events.

    def message(self, kind: str | None, outcome: str = "ok") -> None:
        """A message was handled: its canonical type (None: it has none), ``ok`` or an error code."""
        key = (kind or OTHER, outcome)
        self._messages[key] = self._messages.get(key, 0) + 1

    def events_sent(self, count: int = 1) -> None:
        """So many live events went out to one connection."""
        self._events += count

    def events_replayed(self, count: int) -> None:
        """So many events were read from the log for one connection."""
        self._replayed += count

    def high_water(self) -> None:
        """A connection's outbound queue has reached its high-water mark."""
        self._high_water += 1

    def rate_limited(self, bucket: str) -> None:
        """A bucket (``messages``, ``bytes``, ``handshakes``, ...) let something not through."""
        self._rate_limited[bucket] = self._rate_limited.get(bucket, 0) + 1

    # Runs.

    def run_accepted(self) -> None:
        """A message and its run are durable."""
        self._accepted += 1

    def run_finished(self, status: str) -> None:
        """A run has ended with a terminal status."""
        self._finished[status] = self._finished.get(status, 0) + 1

    # HTTP.

    def request(self, method: str, route: str, status: int, duration_s: float) -> None:
        """A request was answered; ``route`` is the template, never the path."""
        key = (method if method in _METHODS else OTHER, route, str(status))
        self._requests[key] = self._requests.get(key, 0) + 1
        self._durations[bisect_left(REQUEST_BUCKETS_S, duration_s)] += 1
        self._duration_s += duration_s

    # Reading.

    def collect(self) -> Iterator[Metric]:
        """All families as they are now."""
        yield _counter(
            "apex_messages", "Messages of clients handled.", ("type", "outcome"), self._messages
        )
        yield _counter(
            "apex_handshakes_refused", "Handshakes refused.", ("code",), _single(self._refused)
        )
        yield _counter(
            "apex_connections_closed",
            "Connections ended, by close code.",
            ("code",),
            _single(self._closed),
        )
        yield _counter(
            "apex_rate_limited",
            "What a rate limit did not let through.",
            ("bucket",),
            _single(self._rate_limited),
        )
        yield _counter("apex_runs_finished", "Runs ended.", ("status",), _single(self._finished))
        for name, text, value in (
            ("apex_connections_opened", "Handshakes completed.", self._opened),
            ("apex_events_sent", "Live events sent to connections.", self._events),
            ("apex_events_replayed", "Events sent to connections from the log.", self._replayed),
            ("apex_outbound_high_water", "High-water marks reached.", self._high_water),
            ("apex_heartbeat_reaps", "Silent connections cut.", self._reaped),
            ("apex_runs_accepted", "Messages accepted with a run.", self._accepted),
        ):
            yield CounterMetricFamily(name, text, value=value)
        yield _counter(
            "apex_http_requests",
            "HTTP requests answered.",
            ("method", "route", "status"),
            self._requests,
        )
        yield self._request_durations()

    def _request_durations(self) -> Metric:
        total, buckets = 0, []
        for bound, count in zip((*REQUEST_BUCKETS_S, "+Inf"), self._durations, strict=True):
            total += count
            buckets.append((str(bound), total))
        return HistogramMetricFamily(
            "apex_http_request_seconds",
            "Time from the head of a request to the end of its answer.",
            buckets=buckets,
            sum_value=self._duration_s,
        )


@dataclass(frozen=True, slots=True)
class NodeState:
    """How a node stands at one moment.

    :ivar actors: actors alive, of all kinds.
    :ivar tasks: tasks of the event loop.
    :ivar pool: statistics of the database pool, as psycopg_pool names them.
    :ivar components: ``up`` or ``down`` by component.
    """

    connections: int = 0
    users: int = 0
    actors: int = 0
    tasks: int = 0
    ready: bool = False
    draining: bool = False
    components: Mapping[str, str] = field(default_factory=dict)
    pool: Mapping[str, int] = field(default_factory=dict)


#: Statistics of the pool that only grow; the others go up and down.
_POOL_COUNTERS: Final = frozenset(
    {
        "requests_num", "requests_queued", "requests_wait_ms", "requests_errors", "usage_ms",
        "returns_bad", "connections_num", "connections_ms", "connections_errors",
        "connections_lost",
    }
)  # fmt: skip


class StateCollector(Collector):
    """The families of one NodeState."""

    def __init__(self) -> None:
        self.state = NodeState()

    def collect(self) -> Iterator[Metric]:
        """All families of the state."""
        state = self.state
        for name, text, value in (
            ("apex_connections", "Live connections.", state.connections),
            ("apex_users", "Users with a live connection.", state.users),
            ("apex_actors", "Actors alive.", state.actors),
            ("apex_tasks", "Tasks of the event loop.", state.tasks),
            ("apex_ready", "Whether new connections are welcome.", state.ready),
            ("apex_draining", "Whether the node is being stopped.", state.draining),
        ):
            yield GaugeMetricFamily(name, text, value=float(value))
        up = GaugeMetricFamily("apex_component_up", "Whether it answers.", labels=("component",))
        for component, how in state.components.items():
            up.add_metric((component,), float(how == "up"))
        yield up
        for name, value in state.pool.items():
            family = CounterMetricFamily if name in _POOL_COUNTERS else GaugeMetricFamily
            yield family(f"apex_database_{name}", "As psycopg_pool counts it.", value=value)


def _counter(name: str, text: str, labels: tuple[str, ...], counts: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _single(counts: Mapping[str, int]) -> Mapping[tuple[str, ...], int]:
    return {(label,): count for label, count in counts.items()}
