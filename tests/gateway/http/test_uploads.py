"""Files of usage records come in over HTTP, and are taken back."""

import asyncio
import gzip
import json
from decimal import Decimal
from uuid import UUID

import pytest
from fastapi import Request
from websockets.asyncio.client import connect

from apex_actors.gateway.http.errors import ApiError
from apex_actors.gateway.http.uploads import UploadQuery, UploadSlots, file_name
from apex_actors.gateway.settings import HttpSettings
from apex_actors.protocol.identity import Identity, Role


@pytest.fixture
def row():
    def make(number: int = 0, **fields):
        return {
            "record_id": f"r{number}",
            "occurred_at": f"2026-11-02T{number // 60 % 24:02}:{number % 60:02}:00Z",
            "provider": "anthropic",
            "model": "claude-sonnet-4-5",
            "input_tokens": 1000,
            "output_tokens": 100,
            **fields,
        }

    return make


def jsonl(rows) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


@pytest.fixture
def events(node):
    """All events of a user so far."""

    async def read(sub: str = "ann", org: str | None = None):
        log = node.stores.log
        position = await log.open(Identity(org=org or sub, sub=sub))
        return await log.read(position.user_id, after=0, limit=100)

    return read


async def test_an_upload_is_imported_for_the_users_organisation(http, bearer, events, row):
    answer = await http.post(
        "/api/usage",
        params={"name": "../may/usage.jsonl"},
        content=jsonl([row(1), row(2), row(2), {"broken": True}]),
        headers=bearer("ann", org="acme", roles=(Role.DATA_ADMIN,)),
    )

    assert answer.status_code == 200
    summary = answer.json()
    assert (summary["tenant"], summary["name"]) == ("acme", "usage.jsonl")
    assert (summary["rows"], summary["inserted"]) == (4, 2)
    assert (summary["duplicates"], summary["rejected"]) == (1, 1)
    assert summary["first_rejects"][0][0] == 4
    assert Decimal(summary["computed_cost"]) == Decimal("0.009")
    (event,) = await events("ann", "acme")
    assert event.payload == {
        "import_id": summary["import_id"],
        "name": "usage.jsonl",
        "inserted": 2,
        "duplicates": 1,
        "rejected": 1,
        "undone": False,
    }


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
async def test_gzip_is_seen_through_as_a_file_and_as_an_encoding(http, bearer, row, headers):
    answer = await http.post(
        "/api/usage", content=gzip.compress(jsonl([row(1)])), headers=bearer() | headers
    )

    assert (answer.status_code, answer.json()["inserted"]) == (200, 1)


async def test_what_a_trace_does_not_say_is_said_in_the_query(http, bearer):
    trace = b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n"
    bare = await http.post("/api/usage", content=trace, headers=bearer())
    told = await http.post(
        "/api/usage",
        params={
            "provider": "openai",
            "model": "gpt-5",
            "start": "2026-11-02T00:00:00Z",
            "deferrable": "true",
            "processing": "batch",
        },
        content=trace,
        headers=bearer() | {"Content-Disposition": 'attachment; filename="trace.csv"'},
    )

    assert (bare.status_code, bare.json()["error"]["code"]) == (422, "invalid_file")
    assert (told.status_code, told.json()["inserted"]) == (200, 1)
    assert told.json()["name"] == "trace.csv"


async def next_event(socket):
    """The next message that is no heartbeat: an import may take longer than one."""
    while (message := json.loads(await asyncio.wait_for(socket.recv(), 10)))["type"] == "ping":
        pass
    return message


async def test_an_upload_reaches_the_users_connections(http, bearer, node, row):
    async with connect(
        node.url.replace("http", "ws") + "/ws", additional_headers=bearer()
    ) as socket:
        while json.loads(await socket.recv())["type"] != "ping":
            pass
        uploaded = await http.post("/api/usage", content=jsonl([row()]), headers=bearer())
        frame = await next_event(socket)
        import_id = uploaded.json()["import_id"]
        undone = await http.delete(f"/api/usage/imports/{import_id}", headers=bearer())
        again = await next_event(socket)

    assert (frame["type"], frame["payload"]["import_id"]) == ("usage_imported", import_id)
    assert undone.json()["removed"] == 1
    assert (again["type"], again["payload"]["undone"]) == ("usage_imported", True)
    assert again["seq"] == frame["seq"] + 1


REFUSED = [
    (b"", {}, {}, (422, "invalid_file")),
    (b"nonsense", {}, {}, (422, "invalid_file")),
    (b"\x1f\x8bnonsense", {}, {}, (422, "invalid_file")),
    (b"{}", {}, {"Content-Type": "multipart/form-data; boundary=x"}, (415, None)),
    (b"{}", {}, {"Content-Encoding": "br"}, (415, None)),
    (b"{}", {"name": "a\nb"}, {}, (422, "invalid_message")),
    (b"{}", {"name": "a" * 201}, {}, (422, "invalid_message")),
    (b"{}", {"name": ".."}, {}, (422, "invalid_file")),
    (b"{}", {"names": "a"}, {}, (422, "invalid_message")),
    (b"{}", {"processing": "quick"}, {}, (422, "invalid_message")),
    (b"{}", {"model": "a\x00"}, {}, (422, "invalid_message")),
]


async def test_what_is_no_upload_is_refused_and_leaves_nothing(http, bearer, events, subtests):
    for body, query, headers, (status, code) in REFUSED:
        with subtests.test(body=body, query=query, headers=headers):
            answer = await http.post(
                "/api/usage", params=query, content=body, headers=bearer() | headers
            )
            assert answer.status_code == status
            assert code in {None, answer.json()["error"]["code"]}

    listed = await http.get("/api/usage/imports", headers=bearer())
    assert listed.json() == {"imports": [], "next": None}
    assert await events() == []


async def test_a_file_over_the_limit_is_refused_packed_or_unpacked(serve, bearer, row):
    settings = HttpSettings(upload_max_bytes=100_000, upload_unpacked_max_bytes=1_000_000)
    http = serve(settings=settings)
    bomb = gzip.compress(jsonl(row(number) for number in range(20_000)), 9)
    small = gzip.compress(jsonl([row()]) + b"\n" * 5_000_000)
    assert len(bomb) > 100_000 > len(small)

    async def pieces():
        for _ in range(20):
            yield b"x" * 10_000

    for content in (bomb, pieces(), small):
        answer = await http.post("/api/usage", content=content, headers=bearer())
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "content_too_large"


async def test_a_file_that_does_not_come_in_time_is_refused(serve, bearer):
    http = serve(settings=HttpSettings(upload_timeout_s=0.05))
    never = asyncio.Event()

    async def pieces():
        yield b"{"
        await never.wait()

    answer = await http.post("/api/usage", content=pieces(), headers=bearer())

    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "request_timeout")


async def test_one_file_of_an_organisation_and_a_few_in_all_are_taken_at_once():
    slots = UploadSlots(2)
    with slots.taken("a"), slots.taken("b"):
        for tenant, status in (("a", 429), ("c", 503)):
            with pytest.raises(ApiError) as refused, slots.taken(tenant):
                pass
            assert refused.value.status_code == status
            assert refused.value.headers["Retry-After"] == "5"
    with slots.taken("c"):
        pass


def test_a_files_name_is_its_last_part_and_can_be_printed():
    def name(query: str | None, disposition: str = "") -> str:
        headers = [(b"content-disposition", disposition.encode())] if disposition else []
        request = Request({"type": "http", "headers": headers})
        return file_name(request, UploadQuery(name=query))

    assert name(None) == "upload"
    assert name("C:\\data\\may.csv") == "may.csv"
    assert name("/etc/passwd") == "passwd"
    assert name(None, 'attachment; filename="a b.csv"') == "a b.csv"
    assert name(None, "attachment; filename*=UTF-8''%e2%82%ac.csv") == "€.csv"
    assert name("q.csv", 'attachment; filename="h.csv"') == "q.csv"


async def test_undo_has_one_answer_for_what_is_not_there(http, bearer, row):
    mine = await http.post("/api/usage", content=jsonl([row()]), headers=bearer())
    import_id = mine.json()["import_id"]

    for path, who in (
        (import_id, bearer("bob")),
        ("17", bearer()),
        (UUID(int=0), bearer()),
    ):
        answer = await http.delete(f"/api/usage/imports/{path}", headers=who)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    first = await http.delete(f"/api/usage/imports/{import_id}", headers=bearer())
    second = await http.delete(f"/api/usage/imports/{import_id}", headers=bearer())

    assert (first.status_code, first.json()["removed"]) == (200, 1)
    assert second.status_code == 404


async def test_imports_are_listed_page_by_page(http, bearer, row):
    for number in range(3):
        await http.post(
            "/api/usage",
            params={"name": f"f{number}"},
            content=jsonl([row(number)]),
            headers=bearer(),
        )

    first = (await http.get("/api/usage/imports", params={"limit": 2}, headers=bearer())).json()
    second = (
        await http.get(
            "/api/usage/imports", params={"limit": 2, "before": first["next"]}, headers=bearer()
        )
    ).json()

    assert [each["name"] for each in first["imports"]] == ["f2", "f1"]
    assert [each["name"] for each in second["imports"]] == ["f0"]
    assert second["next"] is None


async def test_the_summary_sums_up_the_days_that_are_asked_for(http, bearer, row):
    rows = [row(number, feature="search") for number in range(4)]
    rows.append(row(9, occurred_at="2026-11-03T12:00:00Z", model="orion-7b"))
    await http.post("/api/usage", content=jsonl(rows), headers=bearer())

    answer = await http.get(
        "/api/usage/summary",
        params={"first_day": "2026-11-02", "last_day": "2026-11-02"},
        headers=bearer(),
    )
    both = await http.get(
        "/api/usage/summary",
        params={"first_day": "2026-11-02", "last_day": "2026-11-03", "time_zone": "Asia/Tokyo"},
        headers=bearer(),
    )
    theirs = await http.get("/api/usage/summary", headers=bearer("bob"))

    day = answer.json()
    assert (day["totals"]["requests"], Decimal(day["totals"]["cost"])) == (4, Decimal("0.018"))
    assert [each["dimension"] for each in day["breakdowns"]] == ["model", "feature"]
    assert day["breakdowns"][1]["rows"][0]["name"] == "search"
    assert day["time_range"]["time_zone"] == "UTC"
    assert len(both.json()["daily"]) == 2
    assert both.json()["totals"]["requests"] == 5
    assert theirs.json()["totals"]["requests"] == 0
    assert len(theirs.json()["daily"]) == 30


async def test_the_event_loop_goes_on_while_a_file_is_imported(http, bearer, row):
    body = jsonl(row(number) for number in range(15_000))
    turns = 0
    uploading = asyncio.create_task(http.post("/api/usage", content=body, headers=bearer()))

    while not uploading.done():
        assert (await http.get("/healthz")).status_code == 200
        turns += 1

    assert (await uploading).json()["inserted"] == 15_000
    # Done on the loop, the import would let one request through, or two.
    assert turns > 4
