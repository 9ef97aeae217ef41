"""What a client is told when a request is not served."""

import asyncio
import logging

import httpx
import pytest

from apex_actors.gateway.http.body_limit import MAX_BODY_BYTES
from apex_actors.gateway.http.errors import ErrorGuard


def shape(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    return answer.status_code, body["error"]["code"]


async def test_a_path_that_is_none_is_404_and_nobody_is_sent_elsewhere(http):
    for path in ("/nothing", "/api", "/api/", "/api/threads/", "/readyz/", "/static"):
        assert shape(await http.get(path)) == (404, "not_found")


METHODS = [
    ("POST", "/healthz", "GET, HEAD"),
    ("PUT", "/api/usage", "POST"),
    ("GET", "/api/usage", "POST"),
    ("OPTIONS", "/api/usage/imports", "GET, HEAD"),
    ("GET", "/api/usage/imports/1", "DELETE"),
    ("DELETE", "/dev/token", "POST"),
    ("TRACE", "/", "GET, HEAD"),
    ("POST", "/api/runs/1/report.md", "GET, HEAD"),
]


async def test_a_method_that_a_path_does_not_take_is_405_with_those_it_takes(http, subtests):
    for method, path, allowed in METHODS:
        with subtests.test(method=method, path=path):
            answer = await http.request(method, path)
            assert shape(answer) == (405, "method_not_allowed")
            assert answer.headers["allow"] == allowed


BODIES = [
    (b'{"sub": hidden}', (400, "invalid_json")),
    (b"\xff\xfe", (400, "invalid_json")),
    (b"[" * 20_000, (400, "bad_request")),
    (b'"hidden"', (422, "invalid_message")),
    (b'{"sub": 17}', (422, "invalid_message")),
    (b'{"sub": "ann", "hidden": 1}', (422, "invalid_message")),
    (b'{"sub": "a\\u0000hidden"}', (422, "invalid_message")),
    (b"", (422, "invalid_message")),
]


async def test_a_bad_body_is_refused_without_quoting_it(http, subtests):
    for body, expected in BODIES:
        with subtests.test(body=body[:30]):
            answer = await http.post(
                "/dev/token", content=body, headers={"Content-Type": "application/json"}
            )
            assert shape(answer) == expected
            # The name of an unknown field is told; no value is.
            message = answer.json()["error"]["message"]
            assert "hidden" not in message.replace("body.hidden:", "")


async def test_a_body_over_the_limit_is_refused_and_the_connection_goes_on(http):
    announced = await http.post("/dev/token", content=b"x" * (MAX_BODY_BYTES + 1))

    async def pieces():
        for _ in range(100):
            yield b"x" * 10_000

    streamed = await http.post("/dev/token", content=pieces())

    for answer in (announced, streamed):
        assert shape(answer) == (413, "content_too_large")
    assert (await http.get("/healthz")).status_code == 200


async def test_what_nobody_expected_is_told_by_a_report_id_alone(serve, caplog):
    def broken(_token):
        raise RuntimeError("secret detail")

    answer = await serve(verify=broken).get("/api/threads", headers={"Authorization": "Bearer x"})

    assert shape(answer) == (500, "internal_error")
    assert "secret" not in answer.text
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.args[0] in answer.json()["error"]["message"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_answer_that_breaks_off_is_not_followed_by_another():
    sent = []

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    async def send(message):
        sent.append(message["type"])

    with pytest.raises(RuntimeError):
        await ErrorGuard(app)({"type": "http", "path": "/"}, None, send)

    assert sent == ["http.response.start"]


async def test_a_client_that_goes_away_is_no_error(node, bearer, caplog):
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    authorization = bearer()["Authorization"]
    writer.write(
        b"POST /api/usage HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        b"Authorization: " + authorization.encode() + b"\r\n\r\nhalf"
    )
    await writer.drain()
    await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()
    async with httpx.AsyncClient(base_url=node.url) as http:
        # The slot of the upload is free again as soon as the server has noticed.
        for _ in range(100):
            answer = await http.post("/api/usage", content=b"", headers=bearer())
            if answer.status_code != 429:
                break
            await asyncio.sleep(0.01)
    assert answer.status_code == 422
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert reader
