"""What a run answered, in every form."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from uuid import uuid4

import pytest

from apex_actors.costs.report import CostReport
from apex_actors.gateway.chart_renderer import ChartsBusyError
from apex_actors.gateway.http.chart_cache import ChartCache
from apex_actors.protocol.identity import Role
from apex_actors.storage.errors import StorageUnavailableError

FORMS = {
    "md": "text/markdown; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8; header=present",
}


async def test_a_report_comes_in_each_form_with_a_safe_name_and_from_no_cache(
    http, bearer, answered, subtests
):
    for ending in FORMS:
        with subtests.test(form=ending):
            await check_the_form(http, bearer, answered, ending)


async def check_the_form(http, bearer, answered, ending):
    answer = await http.get(f"/api/runs/{answered}/report.{ending}", headers=bearer())

    assert answer.status_code == 200
    assert answer.headers["content-type"] == FORMS[ending]
    how = "inline" if ending == "html" else "attachment"
    assert answer.headers["content-disposition"] == (
        f'{how}; filename="cost-report-{answered}.{ending}"'
    )
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "<script>alert" not in answer.text or ending in {"json", "csv", "md"}


async def test_the_json_is_the_stored_report_to_the_letter(http, bearer, node, answered):
    async with node.stores.database.connection() as connection:
        cursor = await connection.execute("select report::text as report from apex.results")
        stored = (await cursor.fetchone())["report"]

    answer = await http.get(f"/api/runs/{answered}/report.json", headers=bearer())

    assert answer.text == stored


async def test_the_csv_has_the_reports_figures_and_no_cell_that_is_a_formula(
    http, bearer, answered
):
    report = CostReport.model_validate(
        (await http.get(f"/api/runs/{answered}/report.json", headers=bearer())).json(),
        strict=False,
    )

    answer = await http.get(f"/api/runs/{answered}/report.csv", headers=bearer())

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    (total,) = [row for row in rows if row["section"] == "total"]
    assert total["cost_usd"] == f"{report.totals.cost:f}"
    assert int(total["requests"]) == report.totals.requests == 202
    assert any(row["name"].startswith("'=cmd") for row in rows)
    for row in rows:
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_chart_is_an_svg_without_scripts(http, bearer, answered, theme):
    answer = await http.get(
        f"/api/runs/{answered}/charts/cost-by-feature.svg",
        params={"theme": theme},
        headers=bearer(),
    )

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "sandbox" in answer.headers["content-security-policy"]
    root = ET.fromstring(answer.text)  # noqa: S314 - our own SVG
    assert root.tag.endswith("}svg")
    assert not [e for e in root.iter() if e.tag.endswith(("}script", "}image", "}foreignObject"))]
    texts = ["".join(e.itertext()) for e in root.iter() if e.tag.endswith("}text")]
    assert "search" in texts
    assert any("$" in text for text in texts)
    assert ("#15181c" in answer.text) == (theme == "dark")


async def test_a_chart_is_drawn_once_and_then_read_from_the_cache(
    bearer, answered, serve, services
):
    drawn = []

    class Renderer:
        async def render(self, spec):
            drawn.append(spec)
            return await services.charts.render(spec)

    http = serve(charts=Renderer())
    path = f"/api/runs/{answered}/charts/cost-by-day.svg"
    first = await http.get(path, headers=bearer())
    second = await http.get(path, headers=bearer())

    assert first.text == second.text
    assert len(drawn) == 1

    # As a deletion of its thread does.
    await ChartCache(services.cache).forget([answered])
    await http.get(path, headers=bearer())
    assert len(drawn) == 2


async def test_a_chart_that_cannot_be_drawn_now_is_asked_for_again(bearer, answered, serve):
    class Busy:
        async def render(self, _spec):
            raise ChartsBusyError

    answer = await serve(charts=Busy()).get(
        f"/api/runs/{answered}/charts/cost-by-model.svg", headers=bearer()
    )

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] == "charts_busy"


@pytest.mark.parametrize(
    "path",
    [
        "{other}/report.md",
        "{none}/report.json",
        "nonsense/report.html",
        "{hex}/report.csv",
        "%7B{none}%7D/report.md",
        "{own}/charts/nothing.svg",
        "{other}/charts/cost-by-model.svg",
    ],
)
async def test_what_is_no_id_anothers_or_not_there_has_one_answer(
    http, bearer, node, answered, path
):
    filled = path.format(own=answered, other=answered, none=uuid4(), hex=answered.hex)
    # As another user of the same organisation, an operator too.
    stranger = bearer("bob", org="ann", roles=(Role.ADMIN, Role.DATA_ADMIN))
    who = bearer() if "{own}" in path else stranger

    answer = await http.get(f"/api/runs/{filled}", headers=who)

    assert answer.status_code == 404
    what = "chart" if "nothing" in path else "report"
    assert answer.json() == {"error": {"code": "not_found", "message": f"There is no such {what}."}}
    assert node.port


async def test_an_answer_that_is_no_cost_report_has_words_and_no_figures(
    http, bearer, node, store_answer
):
    run_id = await store_answer(node, "# Hello", json.dumps({"kind": "greeting"}))
    codes = {}
    for ending in FORMS:
        answer = await http.get(f"/api/runs/{run_id}/report.{ending}", headers=bearer())
        codes[ending] = answer.status_code
    chart = await http.get(f"/api/runs/{run_id}/charts/cost-by-model.svg", headers=bearer())

    assert codes == {"md": 200, "html": 200, "json": 200, "csv": 404}
    assert chart.status_code == 404


async def test_the_report_of_a_thread_that_is_being_deleted_is_gone(http, bearer, node, answered):
    async with node.stores.database.connection() as connection:
        await connection.execute("update apex.threads set delete_requested_at = now()")

    answer = await http.get(f"/api/runs/{answered}/report.md", headers=bearer())

    assert answer.status_code == 404


async def test_a_signed_link_opens_its_path_and_no_other(answered, serve):
    signed = f"/api/runs/{answered}/report.html"
    chart = f"/api/runs/{answered}/charts/cost-by-model.svg"
    http = serve(
        verify_link=lambda path, expires, signature: (
            path in {signed, chart} and (expires, signature) == ("99", "good")
        )
    )

    async def status(path, **query):
        return (await http.get(path, params=query)).status_code

    assert await status(signed, expires="99", signature="good") == 200
    assert await status(chart, expires="99", signature="good", theme="dark") == 200
    assert await status(signed, expires="99", signature="bad") == 401
    assert await status(signed, signature="good") == 401
    assert await status(signed, expires="99") == 401
    assert await status(f"/api/runs/{answered}/report.md", expires="99", signature="good") == 401
    assert (
        await status(signed.replace("/report", "/%72eport"), expires="99", signature="good") == 401
    )
    # Only artifacts are read by link.
    for other in (f"/api/runs/{answered}", "/api/threads", "/api/usage/imports"):
        assert await status(other, expires="99", signature="good") in {401, 422}
    assert await status(f"/api/runs/{answered}/report.md") == 401


async def test_signed_artifacts_can_be_shown_on_pages_of_other_origins(answered, serve):
    http = serve(verify_link=lambda *_: True)

    answer = await http.get(
        f"/api/runs/{answered}/report.html", params={"expires": "1", "signature": "s"}
    )

    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert re.search(r"<article class=.report.>", answer.text)


async def test_without_the_database_the_answer_says_when_to_try_again(bearer, answered, serve):
    class Away:
        async def of_user(self, *_):
            raise StorageUnavailableError("PostgreSQL is away")

    answer = await serve(reports=Away()).get(f"/api/runs/{answered}/report.md", headers=bearer())

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] == "service_degraded"
