"""Figures of several processes: amounts are added, states are not."""

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from apex_actors.gateway.metrics_sum import SummedMetrics


def process(*, connections, ready, pings):
    messages = CounterMetricFamily("apex_messages", "Messages.", labels=("type",))
    for kind, count in pings.items():
        messages.add_metric((kind,), count)
    return [
        GaugeMetricFamily("apex_connections", "Connections.", value=connections),
        GaugeMetricFamily("apex_ready", "Ready.", value=ready),
        messages,
    ]


def test_amounts_are_added_by_their_labels_and_the_least_ready_process_counts():
    summed = SummedMetrics(
        [
            process(connections=2, ready=1, pings={"ping": 1}),
            process(connections=3, ready=0, pings={"ping": 2, "ack": 5}),
        ]
    )
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in summed.collect()
        for sample in family.samples
    }
    assert found == {
        ("apex_connections",): 5,
        ("apex_ready",): 0,
        ("apex_messages_total", "ping"): 3,
        ("apex_messages_total", "ack"): 5,
    }
