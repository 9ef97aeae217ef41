"""Who may ask for what."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from apex_actors.gateway.auth import VerifiedToken
from apex_actors.gateway.handshake import Refused
from apex_actors.protocol.identity import Identity, Role

NOBODY = "00000000-0000-0000-0000-000000000000"

PRIVATE = [
    ("GET", "/api/threads"),
    ("GET", f"/api/threads/{NOBODY}"),
    ("GET", f"/api/runs/{NOBODY}"),
    ("GET", f"/api/runs/{NOBODY}/report.md"),
    ("GET", f"/api/runs/{NOBODY}/charts/cost-by-model.svg"),
    ("GET", "/api/usage/summary"),
    ("GET", "/api/usage/imports"),
    ("POST", "/api/usage"),
    ("DELETE", f"/api/usage/imports/{NOBODY}"),
    ("GET", "/api/admin/connections"),
]


async def test_everything_of_the_api_needs_a_token_in_the_header(http, bearer, subtests):
    for method, path in PRIVATE:
        with subtests.test(method=method, path=path):
            await check_that_it_needs_a_token(http, bearer, method, path)


async def check_that_it_needs_a_token(http, bearer, method, path):
    good = bearer()["Authorization"]
    token = good.removeprefix("Bearer ")
    for headers, query in (
        ({}, {}),
        ({"Authorization": "Bearer nonsense"}, {}),
        ({"Authorization": f"Basic {token}"}, {}),
        ({"Authorization": token}, {}),
        # As on /ws, a token in the query is refused, even beside a good one.
        ({}, {"token": token}),
        ({"Authorization": good}, {"token": token}),
        ({"Authorization": good}, {"access_token": token}),
        ({"Authorization": good}, {"jwt": token}),
        ([("Authorization", good), ("Authorization", good)], {}),
    ):
        answer = await http.request(method, path, headers=headers, params=query)
        assert answer.status_code == 401, (headers, query)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "unauthorized"
        assert token not in answer.text


async def test_the_name_of_the_scheme_may_be_written_in_any_case(http, bearer):
    token = bearer()["Authorization"].removeprefix("Bearer ")

    answer = await http.get("/api/usage/imports", headers={"Authorization": f"bEARER {token}"})

    assert answer.status_code == 200


async def test_the_check_of_tokens_may_wait_and_may_give_an_answer_of_its_own(serve):
    ann = VerifiedToken(Identity("ann", "ann"), datetime.now(UTC) + timedelta(hours=1))

    async def slowly(token):
        if token == "busy":
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", "Slower.", (("Retry-After", "2"),)
            )
        return ann

    http = serve(verify=slowly)
    good = await http.get("/api/usage/imports", headers={"Authorization": "Bearer good"})
    limited = await http.get("/api/usage/imports", headers={"Authorization": "Bearer busy"})

    assert good.status_code == 200
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "2")
    assert limited.json() == {"error": {"code": "rate_limited", "message": "Slower."}}


async def test_changing_data_of_an_organisation_needs_its_data_admin(http, bearer):
    member = bearer("ann", org="acme", roles=(Role.ADMIN,))
    data_admin = bearer("ann", org="acme", roles=(Role.DATA_ADMIN,))
    for method, path in (("POST", "/api/usage"), ("DELETE", f"/api/usage/imports/{NOBODY}")):
        refused = await http.request(method, path, headers=member)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        allowed = await http.request(method, path, headers=data_admin)
        assert allowed.status_code in {404, 422}


async def test_operation_needs_the_role_admin(http, bearer):
    for roles, status in (((), 403), ((Role.DATA_ADMIN,), 403), ((Role.ADMIN,), 200)):
        answer = await http.get("/api/admin/connections", headers=bearer(roles=roles))
        assert answer.status_code == status


QUERIES = [
    ("/api/usage/imports?limt=5", "limt"),
    ("/api/usage/imports?limit=5&limit=6", "limit"),
    ("/api/usage/imports?limit=0", "limit"),
    ("/api/usage/imports?limit=many", "limit"),
    ("/api/usage/imports?before=x", "before"),
    ("/api/threads?offset=1", "offset"),
    (f"/api/runs/{NOBODY}?verbose=1", "verbose"),
    (f"/api/runs/{NOBODY}/report.md?theme=dark", "theme"),
    ("/api/usage/summary?from=2026-01-01", "from"),
    ("/api/usage/summary?first_day=yesterday", "first_day"),
    ("/api/usage/summary?time_zone=Mars", "time_zone"),
    ("/api/usage/summary?first_day=2026-02-01&last_day=2026-01-01", "first_day"),
    ("/api/usage/summary?first_day=0001-01-01", "first_day"),
    ("/api/usage/summary?first_day=9999-12-31&last_day=9999-12-31", "first_day"),
    ("/api/admin/connections?user=ann", "user"),
    ("/api/admin/connections?before=never", "before"),
]


async def test_a_query_that_is_not_understood_is_refused_by_name_without_its_value(
    http, bearer, subtests
):
    for path, named in QUERIES:
        with subtests.test(path=path):
            answer = await http.get(path, headers=bearer(roles=(Role.ADMIN,)))
            assert answer.status_code == 422
            error = answer.json()["error"]
            assert error["code"] == "invalid_message"
            assert named in error["message"]
            assert not {"many", "yesterday", "Mars", "never"} & set(error["message"].split())
