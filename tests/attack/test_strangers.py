"""What belongs to somebody else is answered like what is not there."""

import asyncio
import uuid
from dataclasses import dataclass

import pytest
from attack_kit.wire import Closed, Wire, handshake, message, request


@dataclass(frozen=True)
class Belongings:
    """Ids of ann's, who is of the org "acme"."""

    thread: str
    run: str


async def someone(target, sub, org=None):
    """A connection of this user."""
    wire = await target.wire()
    wire.send(handshake(target.token(sub, org=org)))
    await wire.welcomed()
    return wire


async def asked(wire: Wire, *frames: bytes):
    """The first direct reply."""
    wire.send(*frames)
    async for reply in wire.replies():
        return reply
    return None


@pytest.fixture(scope="module")
def belongings(target):
    """A thread and a run of ann's."""

    async def make():
        async with await someone(target, "ann", "acme") as wire:
            accepted = await asked(wire, message("user_message", text="Analyze my AI costs"))
            return Belongings(accepted["thread_id"], accepted["run_id"])

    return asyncio.run(make())


STRANGERS = {
    "another user of the org": ("bob", "acme"),
    "a user of the same name in another org": ("ann", "other"),
    "a user whose name is the org": ("acme", None),
    "a user whose org is the name": ("acme", "ann"),
}

#: What is asked: of a thread or of a run, and with what else.
QUESTIONS = {
    "get_thread_history": ("thread", {}),
    "switch_thread": ("thread", {}),
    "rename_thread": ("thread", {"title": "mine now"}),
    "delete_thread": ("thread", {}),
    "user_message": ("thread", {"text": "hello"}),
    "start_agent": ("thread", {"user_request": "hello"}),
    "stop_agent": ("thread", {}),
    "get_run": ("run", {}),
    "cancel_run": ("run", {}),
    "retry_run": ("run", {}),
}


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("kind", QUESTIONS)
async def test_ids_of_others_are_answered_like_ids_of_nobody(target, belongings, kind, stranger):
    what, fields = QUESTIONS[kind]
    async with await someone(target, *STRANGERS[stranger]) as wire:
        theirs, nobodys = [
            await asked(wire, message(kind, **{f"{what}_id": one}, **fields))
            for one in (getattr(belongings, what), str(uuid.uuid4()))
        ]
    assert not isinstance(theirs, Closed)
    assert theirs == nobodys
    assert theirs["code"] == f"{what}_not_found"


async def test_a_run_of_another_cannot_be_stopped_in_older_words(target, belongings):
    async with await someone(target, "bob", "acme") as wire:
        assert (await asked(wire, message("stop_agent", run_id=belongings.run)))["code"] == (
            "run_not_found"
        )


async def test_a_message_id_of_another_is_free_for_everybody_else(target):
    ids = set()
    for sub, org in (("ann", "acme"), ("bob", "acme"), ("ann", "other")):
        async with await someone(target, sub, org) as wire:
            accepted = await asked(
                wire, message("user_message", text=f"hi from {sub} {org}", client_message_id="1")
            )
            assert accepted["duplicate"] is False
            ids.add(accepted["message_id"])
    assert len(ids) == 3


async def test_nothing_of_one_reaches_another(target):
    watchers = [
        await someone(target, "dave", "acme"),
        await someone(target, "carol", "other"),
        await someone(target, "acme", "carol"),
    ]
    async with await someone(target, "carol", "acme") as wire:
        accepted = await asked(wire, message("user_message", text="Analyze my AI costs"))
        async with asyncio.timeout(30):
            while not any(
                notice.get("type") == "run_finished" and notice["run_id"] == accepted["run_id"]
                for notice in wire.notices
            ):
                wire.notices.append(await wire.next())
    for watcher in watchers:
        await watcher.exchange()
        assert [notice for notice in watcher.notices if "event_id" in notice] == []
        await watcher.leave()


HTTP_PATHS = [
    "/api/runs/{run}/report.md",
    "/api/runs/{run}/report.html",
    "/api/runs/{run}/report.json",
    "/api/runs/{run}/report.csv",
    "/api/runs/{run}/charts/spend.svg",
    "/api/runs/{run}",
    "/api/threads/{thread}",
]


def get(path, token=None):
    headers = [("Host", "x"), ("Connection", "close")]
    return request(
        f"GET {path} HTTP/1.1", headers + [("Authorization", f"Bearer {token}")] * bool(token)
    )


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("path", HTTP_PATHS)
async def test_over_http_too(target, belongings, path, stranger):
    sub, org = STRANGERS[stranger]
    theirs, nobodys = [
        await target.answer(get(path.format(thread=thread, run=run), target.token(sub, org=org)))
        for thread, run in (
            (belongings.thread, belongings.run),
            (str(uuid.uuid4()), str(uuid.uuid4())),
        )
    ]
    assert theirs.status == nobodys.status == 404
    assert theirs.body == nobodys.body
    bare = await target.answer(get(path.format(thread=belongings.thread, run=belongings.run)))
    assert (bare.status, bare.code) == (401, "unauthorized")


@pytest.mark.parametrize("path", ["/api/admin/connections", "/api/threads", "/api/usage/summary"])
async def test_nothing_under_api_is_open(target, path):
    answer = await target.answer(get(path))
    assert (answer.status, answer.code) == (401, "unauthorized")


async def test_a_user_is_no_admin(target):
    answer = await target.answer(get("/api/admin/connections", target.token("bob", org="acme")))
    assert (answer.status, answer.code) == (403, "forbidden")


@pytest.fixture(scope="module")
def links(target):
    """Signed links to the answers of two users' runs."""

    async def make(sub):
        async with await someone(target, sub, "links") as wire:
            await asked(wire, message("user_message", text="Analyze my AI costs"))
            async with asyncio.timeout(30):
                while True:
                    for said in wire.notices:
                        if said.get("type") == "final_response":
                            return [one["url"] for one in said["payload"]["artifacts"]]
                    wire.notices.append(await wire.next())

    return [asyncio.run(make(sub)) for sub in ("ann", "bob")]


def split(url):
    """Path and query of a link."""
    path, _, query = url.removeprefix("http://").partition("?")
    return "/" + path.partition("/")[2] if not url.startswith("/") else path, query


async def test_a_signed_link_is_good_for_one_artifact(target, links):
    (path, query), (other_path, other_query) = split(links[0][0]), split(links[1][0])
    assert (await target.answer(get(f"{path}?{query}"))).status == 200
    forged = {
        "no signature": path,
        "another's signature": f"{path}?{other_query}",
        "one's own on another's": f"{other_path}?{query}",
        "another artifact": f"{path.rpartition('.')[0]}.json?{query}",
        "a changed signature": f"{path}?{query[:-2]}{'A' if query[-2] != 'A' else 'B'}{query[-1]}",
        "a cut signature": f"{path}?{query[:-1]}",
        "half a query": f"{path}?{query.partition('&')[0]}",
        "the query twice": f"{path}?{query}&{other_query}",
        "in escapes": f"{path.replace('report', '%72eport')}x?{query}",
        "up and down": f"{other_path}/../../{path.split('/')[-2]}/report.md?{query}",
    }
    for name, link in forged.items():
        answer = await target.answer(get(link))
        assert answer.status in {400, 401, 403, 404, 422}, name


async def test_a_signed_link_opens_nothing_else(target, links):
    _, query = split(links[0][0])
    for path in ("/api/threads", "/api/admin/connections", "/api/usage/summary"):
        assert (await target.answer(get(f"{path}?{query}"))).status in {401, 422}
