"""Headers of every answer, HEAD, and pages of other origins."""

import pytest

from apex_actors.gateway.http.headers import DEFAULT_HEADERS

ELSEWHERE = "https://chat.example.com"


@pytest.fixture
def with_origin(serve, bearer):
    def make(**changes):
        client = serve(allowed_origins=(ELSEWHERE,), **changes)
        client.headers.update(bearer())
        return client

    return make


async def test_every_answer_has_the_security_headers(http):
    for path in ("/", "/healthz", "/readyz", "/nothing", "/ws", "/openapi.json"):
        answer = await http.get(path)
        for name, value in DEFAULT_HEADERS.items():
            assert answer.headers[name] == value
        assert answer.headers["vary"] == "Origin"


async def test_nothing_of_a_user_stays_in_a_cache_errors_neither(http, bearer):
    for path in ("/api/usage/imports", "/api/runs/x", "/api/nothing"):
        answer = await http.get(path, headers=bearer())
        assert answer.headers["cache-control"] == "no-store"


async def test_head_is_get_without_the_body(http, bearer):
    for path in ("/", "/healthz", "/api/usage/imports", "/nothing", "/metrics"):
        got = await http.get(path, headers=bearer())
        head = await http.head(path, headers=bearer())
        assert head.status_code == got.status_code
        assert head.content == b""
        assert head.headers["content-type"] == got.headers["content-type"]
        if path != "/metrics":
            assert head.headers["content-length"] == got.headers["content-length"]


async def test_a_page_of_an_allowed_origin_may_ask_and_read(with_origin):
    http = with_origin()

    preflight = await http.options(
        "/api/usage",
        headers={
            "Origin": ELSEWHERE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    answer = await http.get("/api/usage/imports", headers={"Origin": ELSEWHERE})

    assert preflight.status_code == 204
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for each in (preflight, answer):
        assert each.headers["access-control-allow-origin"] == ELSEWHERE
        assert "access-control-allow-credentials" not in each.headers
        assert each.headers["vary"] == "Origin"


async def test_the_servers_own_page_may_too_where_its_address_is_no_name(with_origin):
    for origin, host, allowed in (
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("https://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://rebound.example", "rebound.example", False),
    ):
        headers = {"Origin": origin, "Host": host}
        answer = await with_origin().get("/api/usage/imports", headers=headers)
        assert ("access-control-allow-origin" in answer.headers) is allowed


FOREIGN = [
    "https://evil.example",
    "http://chat.example.com",
    "https://chat.example.com.evil.example",
    "https://chat.example.com:8443",
    "https://chat.example.com/",
    "HTTPS://CHAT.EXAMPLE.COM",
    "null",
    "*",
    "",
]


async def test_a_page_of_another_origin_reads_nothing_and_changes_nothing(with_origin, subtests):
    http = with_origin()
    for origin in FOREIGN:
        with subtests.test(origin=origin):
            await check_that_it_is_kept_out(http, origin)


async def check_that_it_is_kept_out(http, origin):
    preflight = await http.options(
        "/api/usage", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    change = await http.post("/api/usage", headers={"Origin": origin})
    read = await http.get("/api/usage/imports", headers={"Origin": origin})

    for refused in (preflight, change):
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "origin_not_allowed"
    for answer in (preflight, change, read):
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Origin"


async def test_errors_can_be_read_by_allowed_pages_too(with_origin):
    answer = await with_origin().get("/api/runs/x", headers={"Origin": ELSEWHERE})

    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == ELSEWHERE
