"""What the gateway counts."""

import prometheus_client
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse

from apex_actors.gateway.metrics import GatewayMetrics, NodeState, StateCollector


def read(*collectors) -> dict[tuple[str, tuple[str, ...]], float]:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def test_everything_that_is_told_is_counted():
    metrics = GatewayMetrics()
    metrics.connection_opened()
    metrics.connection_closed(4408)
    metrics.connection_closed(None)
    metrics.handshake_refused("unauthorized")
    metrics.heartbeat_reaped()
    metrics.message("user_message")
    metrics.message("user_message", "rate_limited")
    metrics.message(None, "invalid_json")
    metrics.events_sent(3)
    metrics.events_sent()
    metrics.events_replayed(7)
    metrics.high_water()
    metrics.rate_limited("messages")
    metrics.run_accepted()
    metrics.run_finished("failed")

    found = read(metrics)

    assert found["apex_connections_opened_total", ()] == 1
    assert found["apex_connections_closed_total", ("4408",)] == 1
    assert found["apex_connections_closed_total", ("1006",)] == 1
    assert found["apex_handshakes_refused_total", ("unauthorized",)] == 1
    assert found["apex_heartbeat_reaps_total", ()] == 1
    assert found["apex_messages_total", ("ok", "user_message")] == 1
    assert found["apex_messages_total", ("rate_limited", "user_message")] == 1
    assert found["apex_messages_total", ("invalid_json", "other")] == 1
    assert found["apex_events_sent_total", ()] == 4
    assert found["apex_events_replayed_total", ()] == 7
    assert found["apex_outbound_high_water_total", ()] == 1
    assert found["apex_rate_limited_total", ("messages",)] == 1
    assert found["apex_runs_accepted_total", ()] == 1
    assert found["apex_runs_finished_total", ("failed",)] == 1


def test_what_has_not_happened_yet_is_there_with_zero():
    found = read(GatewayMetrics())

    for status in ("completed", "failed", "timed_out", "cancelled"):
        assert found["apex_runs_finished_total", (status,)] == 0
    assert found["apex_connections_closed_total", ("4401",)] == 0


def test_close_codes_that_a_client_makes_up_share_one_series():
    metrics = GatewayMetrics()
    for code in range(3000, 3100):
        metrics.connection_closed(code)

    found = read(metrics)

    assert found["apex_connections_closed_total", ("other",)] == 100
    assert len([1 for name, _ in found if name == "apex_connections_closed_total"]) < 25


def test_requests_are_counted_in_classes_of_time():
    metrics = GatewayMetrics()
    for duration_s in (0.001, 0.005, 0.3, 100.0):
        metrics.request("GET", "/healthz", 200, duration_s)

    found = read(metrics)

    assert found["apex_http_requests_total", ("GET", "/healthz", "200")] == 4
    assert found["apex_http_request_seconds_bucket", ("0.005",)] == 2
    assert found["apex_http_request_seconds_bucket", ("0.5",)] == 3
    assert found["apex_http_request_seconds_bucket", ("60.0",)] == 3
    assert found["apex_http_request_seconds_bucket", ("+Inf",)] == 4
    assert found["apex_http_request_seconds_count", ()] == 4


def test_the_state_of_a_node_is_told_as_it_is_set():
    collector = StateCollector()
    collector.state = NodeState(
        connections=5,
        users=2,
        ready=True,
        components={"database": "up", "cache": "down"},
        pool={"pool_size": 4, "requests_num": 17},
    )

    found = read(collector)

    assert found["apex_connections", ()] == 5
    assert found["apex_users", ()] == 2
    assert found["apex_ready", ()] == 1
    assert found["apex_draining", ()] == 0
    assert found["apex_component_up", ("database",)] == 1
    assert found["apex_component_up", ("cache",)] == 0
    assert found["apex_database_pool_size", ()] == 4
    assert found["apex_database_requests_num_total", ()] == 17


def test_nothing_is_in_the_registry_that_the_whole_process_shares():
    assert b"apex_" not in generate_latest(prometheus_client.REGISTRY)
