"""Threads and runs over HTTP are what the wire says of them."""

import json
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from websockets.asyncio.client import connect

from apex_actors.protocol.notices import ThreadHistory, Threads


async def test_threads_and_histories_are_those_of_the_wire(http, bearer, node, answered):
    async with connect(
        node.url.replace("http", "ws") + "/ws", additional_headers=bearer()
    ) as socket:

        async def ask(**message):
            await socket.send(json.dumps(message))
            while True:
                frame = json.loads(await socket.recv())
                if frame["type"] in {"threads", "thread_history", "run"}:
                    return frame

        wire_threads = await ask(type="list_threads")
        thread_id = wire_threads["threads"][0]["thread_id"]
        wire_history = await ask(type="get_thread_history", thread_id=thread_id)
        wire_run = await ask(type="get_run", run_id=str(answered))

    threads = await http.get("/api/threads", headers=bearer())
    history = await http.get(f"/api/threads/{thread_id}", headers=bearer())
    run = (await http.get(f"/api/runs/{answered}", headers=bearer())).json()

    assert threads.json() == wire_threads
    assert history.json() == wire_history
    assert {key: value for key, value in run.items() if key != "artifacts"} == wire_run
    Threads.model_validate_json(threads.content)
    ThreadHistory.model_validate_json(history.content)


async def test_a_run_names_its_artifacts_with_links_that_open_without_a_token(
    http, bearer, answered
):
    run = (await http.get(f"/api/runs/{answered}", headers=bearer())).json()

    assert [(each["name"], each["kind"]) for each in run["artifacts"]] == [
        ("report.md", "markdown"),
        ("report.html", "html"),
        ("report.json", "json"),
        ("report.csv", "csv"),
        ("cost-by-model.svg", "chart"),
        ("cost-by-feature.svg", "chart"),
        ("cost-by-day.svg", "chart"),
        ("savings-by-lever.svg", "chart"),
    ]
    for each in run["artifacts"]:
        assert (await http.get(each["url"])).status_code == 200
        bare = urlsplit(each["url"]).path
        assert (await http.get(bare)).status_code == 401
    tampered = run["artifacts"][0]["url"].replace(str(answered), str(uuid4()))
    assert (await http.get(tampered)).status_code == 401


async def test_a_run_without_an_answer_has_no_artifacts(http, bearer, node, answered):
    async with node.stores.database.connection() as connection:
        await connection.execute("delete from apex.results")

    run = (await http.get(f"/api/runs/{answered}", headers=bearer())).json()

    assert (run["status"], run["artifacts"]) == ("completed", [])


async def test_threads_are_listed_page_by_page(http, bearer, store_answer, node):
    for _ in range(5):
        await store_answer(node, "# Hello", "{}")

    seen, before = [], {}
    while True:
        page = (
            await http.get("/api/threads", params={"limit": 2} | before, headers=bearer())
        ).json()
        seen += [thread["thread_id"] for thread in page["threads"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}

    assert len(seen) == len(set(seen)) == 5


async def test_what_is_not_the_users_has_the_answer_of_what_is_not_there(
    http, bearer, node, answered
):
    async with node.stores.database.connection() as connection:
        cursor = await connection.execute("select id from apex.threads")
        (row,) = await cursor.fetchall()

    answers = [
        await http.get(f"/api/{kind}/{number}", headers=bearer(sub, org=org))
        for sub, org in (("bob", "ann"), ("ann", "bob"))
        for kind, number in (("threads", row["id"]), ("runs", answered))
    ]
    absent = [
        await http.get(f"/api/{kind}/{number}", headers=bearer())
        for number in (UUID(int=0), "nonsense")
        for kind in ("threads", "runs")
    ]

    assert {answer.status_code for answer in (*answers, *absent)} == {404}
    assert {answer.text for answer in answers} == {answer.text for answer in absent}
    assert {answer.json()["error"]["code"] for answer in answers} == {
        "thread_not_found",
        "run_not_found",
    }


async def test_a_place_that_is_none_is_refused(http, bearer, node, answered):
    async with node.stores.database.connection() as connection:
        cursor = await connection.execute("select id from apex.threads")
        (row,) = await cursor.fetchall()
    for path in ("/api/threads", f"/api/threads/{row['id']}"):
        answer = await http.get(path, params={"before": "nonsense"}, headers=bearer())
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_message")
    assert answered
