"""The documents of the routes and of the wire, served without a token."""

import pytest
from jsonschema import Draft202012Validator

from apex_actors import __version__
from apex_actors.protocol.identity import Role

OPEN = {"/healthz", "/readyz", "/ws", "/dev/token", "/metrics"}


@pytest.fixture
async def openapi(http):
    return (await http.get("/openapi.json")).json()


async def test_the_openapi_document_names_every_route_and_what_it_needs(openapi):
    assert openapi["openapi"].startswith("3.1")
    assert openapi["info"]["version"] == __version__
    assert openapi["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert set(openapi["paths"]) == OPEN | {
        "/api/threads",
        "/api/threads/{thread_id}",
        "/api/runs/{run_id}",
        *(f"/api/runs/{{run_id}}/report.{ending}" for ending in ("md", "html", "json", "csv")),
        "/api/runs/{run_id}/charts/{name}.svg",
        "/api/usage",
        "/api/usage/summary",
        "/api/usage/overlaps",
        "/api/prices",
        "/api/prices/rates",
        "/api/usage/currencies",
        "/api/usage/imports",
        "/api/usage/imports/{import_id}",
        "/api/admin/connections",
    }
    for path, methods in openapi["paths"].items():
        for operation in methods.values():
            if path not in OPEN:
                assert operation["security"] == [{"bearer": []}]
                assert "401" in operation["responses"]


async def test_every_error_has_the_one_body(openapi):
    body = {"$ref": "#/components/schemas/ErrorBody"}
    for path, methods in openapi["paths"].items():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status.startswith(("4", "5")) and (path, status) != ("/readyz", "503"):
                    assert response["content"]["application/json"]["schema"] == body
    assert "HTTPValidationError" not in openapi["components"]["schemas"]


async def test_answers_have_the_fields_that_the_document_promises(http, openapi, bearer, answered):
    def promised(path: str) -> set[str]:
        schema = openapi["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        name = schema["schema"]["$ref"].rpartition("/")[2]
        return set(openapi["components"]["schemas"][name]["properties"])

    for template, path in (
        ("/api/threads", "/api/threads"),
        ("/api/runs/{run_id}", f"/api/runs/{answered}"),
        ("/api/usage/summary", "/api/usage/summary"),
        ("/api/usage/imports", "/api/usage/imports"),
        ("/readyz", "/readyz"),
    ):
        answer = (await http.get(path, headers=bearer())).json()
        assert set(answer) <= promised(template)
        assert promised(template) - set(answer) <= {"request_id"}


async def test_the_asyncapi_document_names_the_server_that_was_asked(http, node):
    answer = await http.get("/asyncapi.json")

    document = answer.json()
    assert document["asyncapi"].startswith("3.")
    (server,) = document["servers"].values()
    assert (server["host"], server["protocol"]) == (node.url.removeprefix("http://"), "ws")
    assert document["info"]["version"] == __version__


class Contract:
    """Holds answers against what the document says of their route and status."""

    def __init__(self, document):
        self._document = document

    def check(self, method, template, answer):
        responses = self._document["paths"][template][method]["responses"]
        content = responses[str(answer.status_code)]["content"]["application/json"]
        # References count from the document's root.
        schema = content["schema"] | {"components": self._document["components"]}
        Draft202012Validator(schema).validate(answer.json())


async def test_real_answers_and_errors_are_what_the_document_says(http, openapi, bearer, answered):
    contract, mine = Contract(openapi), bearer()
    [thread] = (await http.get("/api/threads", headers=mine)).json()["threads"]
    thread_id = thread["thread_id"]
    unknown = "00000000-0000-4000-8000-000000000000"
    for template, path, headers, status in (
        ("/healthz", "/healthz", {}, 200),
        ("/readyz", "/readyz", {}, 200),
        ("/api/threads", "/api/threads", mine, 200),
        ("/api/threads", "/api/threads", {}, 401),
        ("/api/threads", "/api/threads?limit=0", mine, 422),
        ("/api/threads/{thread_id}", f"/api/threads/{thread_id}", mine, 200),
        ("/api/threads/{thread_id}", f"/api/threads/{unknown}", mine, 404),
        ("/api/runs/{run_id}", f"/api/runs/{answered}", mine, 200),
        ("/api/runs/{run_id}", f"/api/runs/{unknown}", mine, 404),
        ("/api/runs/{run_id}/report.json", f"/api/runs/{answered}/report.json", {}, 401),
        ("/api/usage/summary", "/api/usage/summary", mine, 200),
        ("/api/usage/imports", "/api/usage/imports", mine, 200),
        ("/api/usage/overlaps", "/api/usage/overlaps", mine, 200),
        ("/api/prices", "/api/prices", mine, 200),
        ("/api/prices/rates", "/api/prices/rates", mine, 200),
        ("/api/usage/currencies", "/api/usage/currencies", mine, 200),
        ("/api/prices", "/api/prices?at=now", mine, 422),
        ("/api/admin/connections", "/api/admin/connections", bearer(roles=[Role.ADMIN]), 200),
        ("/api/admin/connections", "/api/admin/connections", mine, 403),
        ("/ws", "/ws", {}, 426),
    ):
        answer = await http.get(path, headers=headers)
        assert (path, answer.status_code) == (path, status)
        contract.check("get", template, answer)
