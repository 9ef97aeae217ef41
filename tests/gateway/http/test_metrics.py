"""/metrics: who may read it, and what it says."""

from prometheus_client.parser import text_string_to_metric_families as parse

from apex_actors.gateway.settings import HttpSettings
from apex_actors.protocol.identity import Role


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


async def test_this_machine_reads_everything_counted(http, services, bearer):
    services.metrics.message("ping")
    services.metrics.run_finished("completed")
    await http.get("/api/runs/0/report.md", headers=bearer())

    answer = await http.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = samples(answer.text)
    assert found["apex_connections", ()] == 0
    assert found["apex_ready", ()] == 1
    assert found["apex_component_up", (("component", "database"),)] == 1
    assert found["apex_messages_total", (("outcome", "ok"), ("type", "ping"))] == 1
    assert found["apex_runs_finished_total", (("status", "completed"),)] == 1
    assert found["apex_database_pool_size", ()] >= 1
    assert found["process_resident_memory_bytes", ()] > 0
    route = (("method", "GET"), ("route", "/api/runs/{run_id}/report.md"), ("status", "404"))
    assert found["apex_http_requests_total", route] == 1


async def test_others_need_a_token_with_the_role_admin(serve, bearer):
    http = serve()

    assert (await http.get("/metrics")).status_code == 401
    assert (await http.get("/metrics", headers=bearer())).status_code == 403
    admin = await http.get("/metrics", headers=bearer(roles=(Role.ADMIN,)))
    assert admin.status_code == 200


async def test_a_proxy_on_this_machine_does_not_open_it_to_the_world(http):
    for headers in (
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Host": "chat.example.com"},
    ):
        assert (await http.get("/metrics", headers=headers)).status_code == 401


async def test_a_setting_opens_it(serve):
    answer = await serve(settings=HttpSettings(metrics_open=True)).get("/metrics")

    assert answer.status_code == 200


async def test_two_applications_in_one_process_have_registries_of_their_own(serve):
    open_to_all = HttpSettings(metrics_open=True)
    for http in (serve(settings=open_to_all), serve(settings=open_to_all)):
        assert (await http.get("/metrics")).status_code == 200


async def test_series_do_not_grow_with_what_clients_ask_for(http):
    for number in range(20):
        await http.get(f"/nothing/{number}")
        await http.request(f"METHOD{number}", "/healthz")
        await http.get(f"/api/runs/{number}/charts/{number}.svg")

    found = samples((await http.get("/metrics")).text)

    routes = {dict(labels)["route"] for name, labels in found if name == "apex_http_requests_total"}
    assert routes <= {
        "other",
        "/healthz",
        "/metrics",
        "/api/runs/{run_id}/charts/{name}.svg",
    }
