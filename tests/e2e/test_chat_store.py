"""The pure state of the chat page, fed with frames inside a real browser; no server is needed."""

import mimetypes
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PAGE = "http://page.test"
STATIC = files("apex_actors.gateway") / "static"
THREAD, RUN = "thread-1", "run-1"
TIME = "2026-11-22T10:00:00.000Z"

REDUCE = """
async (actions) => {
    const store = await import('/static/js/store.js');
    const state = actions.reduce(store.reduce, store.initialState());
    const due = (now) => store.dueFrames(state, now).map(({ frame }) => frame);
    return {
        ...state,
        thread: store.currentThread(state),
        request: store.historyRequest(state),
        due: due(0),
        dueLater: due(60_000),
        nextAt: store.nextFrameAt(state),
    };
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def modules(launch_chromium: Any) -> AsyncIterator[Page]:
    """A page that can import the modules of the chat page, straight from the package.

    One for all tests: what is tested is pure, so there is nothing that one test could leave behind.
    """

    async def serve(route: Route) -> None:
        path = route.request.url.removeprefix(PAGE).removeprefix("/static/")
        if path == "/":
            await route.fulfill(body="<!doctype html><title>modules</title>")
            return
        content_type, _ = mimetypes.guess_type(path)
        await route.fulfill(body=STATIC.joinpath(path).read_text(), content_type=content_type)

    async with launch_chromium() as browser:
        page = await browser.new_page()
        await page.route(f"{PAGE}/**", serve)
        await page.goto(PAGE)
        yield page


def frame(frame_type: str, **fields: Any) -> dict[str, Any]:
    return {"type": "frame", "frame": {"type": frame_type, **fields}, "now": 0}


def online() -> dict[str, Any]:
    return {"type": "connection", "status": "online", "reason": None, "retryAt": None}


def lost() -> dict[str, Any]:
    return {"type": "connection", "status": "reconnecting", "reason": "lost", "retryAt": 0}


def welcome(*, seq: int | None = 0, recovered: bool | None = None, **fields: Any) -> dict[str, Any]:
    ready = {
        "user_id": "ada",
        "org": "demo",
        "server_time": TIME,
        "mode": "full",
        "max_message_bytes": 8192,
        "thread_id": None,
        "epoch": "epoch-1" if seq is not None else None,
    }
    return frame("connection_ready", **ready | {"seq": seq, "recovered": recovered} | fields)


def event(
    seq: int, event_type: str, agent: str | None = None, *, run: str = RUN, **payload: Any
) -> dict[str, Any]:
    return frame(
        event_type,
        seq=seq,
        event_id=f"event-{seq}",
        ts=TIME,
        thread_id=THREAD,
        run_id=run,
        agent=agent,
        attempt=1,
        payload=payload,
    )


def question(seq: int, text: str = "why?", *, run: str = RUN) -> dict[str, Any]:
    message = {"id": f"message-{run}", "role": "user", "content": text, "created_at": TIME}
    return event(seq, "message_created", run=run, message=message)


def asked(text: str = "why?", message_id: str = "mine") -> dict[str, Any]:
    return {"type": "asked", "id": message_id, "text": text}


def accepted(*, duplicate: bool = False, message_id: str = "mine") -> dict[str, Any]:
    ids = {"message_id": f"message-{RUN}", "thread_id": THREAD, "run_id": RUN}
    return frame(
        "message_accepted",
        client_message_id=message_id,
        queue_position=0,
        duplicate=duplicate,
        **ids,
    )


def history(seq: int, text: str = "why?") -> dict[str, Any]:
    message = {"id": "m", "role": "user", "content": text, "created_at": TIME, "run_id": RUN}
    run = {"run_id": RUN, "status": "queued", "steps": [], "seq": seq}
    return frame("thread_history", thread_id=THREAD, messages=[message], runs=[run], seq=seq)


async def reduce(page: Page, *actions: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = await page.evaluate(REDUCE, list(actions))
    return state


def step(state: dict[str, Any], agent: str) -> dict[str, Any]:
    (found,) = [
        step for step in state["thread"]["turns"][0]["run"]["steps"] if step["agent"] == agent
    ]
    return found


async def test_event_delivered_twice_counts_once(modules):
    thought = event(2, "agent_thinking", "data", reasoning="hm", progress=0.5)

    state = await reduce(modules, welcome(), asked(), accepted(), question(1), thought, thought)

    assert len(step(state, "data")["activity"]) == 1
    assert state["cursor"] == {"seq": 2, "epoch": "epoch-1"}


async def test_missing_event_stops_the_log_until_the_connection_is_resumed(modules):
    state = await reduce(modules, welcome(), question(1), event(3, "run_queued", position=1))
    assert state["gap"] is True
    assert state["cursor"]["seq"] == 1

    state = await reduce(
        modules,
        *(welcome(), question(1), event(3, "run_queued", position=1)),
        *(welcome(seq=1, recovered=True), event(2, "run_queued", position=2)),
    )
    assert state["gap"] is False
    assert state["cursor"]["seq"] == 2


async def test_position_is_kept_while_the_server_has_no_log(modules):
    degraded = welcome(seq=None, mode="degraded")

    state = await reduce(modules, welcome(), question(1), lost(), degraded)
    assert state["cursor"] == {"seq": 1, "epoch": "epoch-1"}
    assert [notice["kind"] for notice in state["notices"]] == ["service_degraded"]

    resumed = frame("resumed", epoch="epoch-1", seq=1, recovered=True)
    state = await reduce(modules, welcome(), question(1), degraded, resumed, question(2, run="r2"))
    assert state["cursor"]["seq"] == 2
    assert state["notices"] == []


async def test_log_that_cannot_be_resumed_is_read_afresh(modules):
    state = await reduce(
        modules,
        *(welcome(), asked(), accepted(), question(1), lost()),
        *(welcome(seq=90, recovered=False, epoch="epoch-2"), online()),
    )

    assert state["cursor"] == {"seq": 90, "epoch": "epoch-2"}
    assert state["request"]["type"] == "get_thread_history"
    assert state["request"]["thread_id"] == THREAD


async def test_event_between_request_and_history_is_neither_lost_nor_doubled(modules):
    requested = {"type": "history_requested", "threadId": THREAD}
    in_history = event(6, "agent_thinking", "data", reasoning="in it", progress=0.1)
    after_it = event(7, "agent_thinking", "data", reasoning="after it", progress=0.2)

    state = await reduce(
        modules,
        *(welcome(seq=5, thread_id=THREAD), online(), requested),
        *(in_history, after_it, history(6)),
    )

    assert [item["text"] for item in step(state, "data")["activity"]] == ["after it"]
    assert state["request"] is None


async def test_history_is_asked_for_again_when_the_connection_broke_meanwhile(modules):
    requested = {"type": "history_requested", "threadId": THREAD}

    state = await reduce(modules, welcome(thread_id=THREAD), online(), requested, lost(), online())

    assert state["request"]["thread_id"] == THREAD


async def test_thread_that_is_gone_leads_to_the_empty_page(modules):
    gone = frame(
        "error", code="thread_not_found", message="no thread", request_id=f"history:{THREAD}"
    )

    state = await reduce(modules, welcome(thread_id=THREAD), online(), gone)

    assert state["threadId"] is None
    assert state["request"] is None
    assert state["notices"] == []


async def test_question_stands_once_whichever_comes_first(modules):
    acknowledged_first = await reduce(modules, welcome(), asked(), accepted(), question(1))
    event_first = await reduce(modules, welcome(), asked(), question(1), accepted())
    in_between = await reduce(modules, welcome(), asked(), question(1))

    for state in (acknowledged_first, event_first):
        assert [turn["question"]["text"] for turn in state["thread"]["turns"]] == ["why?"]
        assert state["outbox"] == []
    assert [entry["shown"] for entry in in_between["outbox"]] == [False]


async def test_question_asked_before_the_first_is_accepted_goes_to_the_same_thread(modules):
    state = await reduce(modules, welcome(), asked(), asked("and by team?", "second"), accepted())

    assert [(entry["id"], entry["threadId"]) for entry in state["outbox"]] == [("second", THREAD)]


async def test_refused_question_keeps_its_reason_and_can_be_asked_again(modules):
    refused = frame("error", code="idempotency_conflict", message="other text", request_id="mine")

    state = await reduce(modules, welcome(), asked(), refused)
    assert state["outbox"][0]["status"] == "failed"
    assert state["outbox"][0]["error"]["code"] == "idempotency_conflict"

    state = await reduce(
        modules, welcome(), asked(), refused, {"type": "asked_again", "id": "mine"}
    )
    assert state["outbox"][0]["status"] == "sending"


async def test_question_refused_by_a_draining_server_waits_for_the_next_connection(modules):
    draining = frame("error", code="draining", message="soon back", request_id="mine")

    state = await reduce(modules, welcome(), asked(), draining)

    assert state["outbox"][0]["status"] == "sending"
    assert state["notices"] == []


async def test_run_that_ends_early_leaves_nothing_running_or_waiting(modules):
    state = await reduce(
        modules,
        *(welcome(), asked(), accepted(), question(1)),
        event(2, "agent_started", "supervisor", message="go", status="running"),
        event(3, "agent_started", "data", message="read", status="running"),
        event(4, "tool_executing", "data", tool_call_id="t", tool="totals", arguments={}),
        event(5, "tool_completed", "data", tool_call_id="t", status="aborted", duration_ms=3),
        event(6, "agent_completed", "data", status="failed", result="no data", duration_ms=9),
        event(7, "agent_completed", "supervisor", status="failed", result="", duration_ms=9),
        event(8, "run_finished", status="failed", error={"code": "internal_error", "message": "x"}),
    )

    run = state["thread"]["turns"][0]["run"]
    assert [part["status"] for part in run["steps"]] == ["failed", "skipped", "skipped"]
    assert run["steps"][0]["activity"][0]["status"] == "aborted"
    assert run["status"] == "failed"


def summary(
    thread: str, minute: int, *, title: str = "", active: str | None = None
) -> dict[str, Any]:
    return {
        "thread_id": thread,
        "title": title or f"About {thread}",
        "updated_at": f"2026-11-22T10:{minute:02}:00.000Z",
        "active_run_id": active,
    }


def page_of(
    *threads: dict[str, Any], request: str = "threads:first", following: str | None = None
) -> dict[str, Any]:
    return frame("threads", request_id=request, threads=list(threads), next=following)


def titles(state: dict[str, Any]) -> list[str]:
    return [item["title"] for item in state["list"]["items"]]


LISTED = {"type": "list_requested"}


async def test_list_is_asked_for_once_and_its_next_page_when_it_is_wanted(modules):
    first = page_of(summary("b", 2), summary("a", 1), following="cursor")
    wanted = {"type": "threads_wanted"}

    before = await reduce(modules, welcome(), online())
    asked_for = await reduce(modules, welcome(), online(), LISTED)
    more = await reduce(modules, welcome(), online(), LISTED, first, wanted)
    rest = page_of(summary("0", 0), request="threads:next")
    end = await reduce(modules, welcome(), online(), LISTED, first, wanted, LISTED, rest, wanted)

    assert [request["type"] for request in before["due"]] == ["list_threads"]
    assert asked_for["due"] == []
    assert [request["before"] for request in more["due"]] == ["cursor"]
    assert titles(end) == ["About b", "About a", "About 0"]
    assert end["due"] == []


async def test_what_happened_after_a_page_was_asked_for_is_newer_than_the_page(modules):
    renamed = event(1, "thread_updated", title="New")
    finished = event(2, "run_finished", status="completed", partial=False)
    late = page_of(summary(THREAD, 1, title="Old", active=RUN))

    state = await reduce(
        modules,
        *(welcome(), online(), LISTED, late, LISTED),
        *(renamed, finished, late),
    )

    assert titles(state) == ["New"]
    assert state["list"]["items"][0]["active"] == []


async def test_thread_of_another_tab_is_listed_and_its_title_asked_for(modules):
    start = (welcome(), online(), LISTED, page_of(summary("other", 0)))

    state = await reduce(modules, *start, question(1, "\n  why?\nreally"))

    assert titles(state) == ["why?", "About other"]
    assert state["list"]["items"][0]["active"] == [RUN]
    assert [request["type"] for request in state["due"]] == ["list_threads"]


async def test_deleted_thread_does_not_come_back_with_its_last_events(modules):
    gone = {"type": "thread_dropped", "id": "drop", "threadId": THREAD}
    done = frame("ok", request_id="drop")
    start = (welcome(), online(), LISTED, page_of(summary(THREAD, 1)), question(1))
    opened = {"type": "thread_opened", "id": "open", "threadId": THREAD}

    state = await reduce(
        modules,
        *(*start, opened, gone, done),
        event(2, "run_finished", status="cancelled", partial=False),
        page_of(summary(THREAD, 1)),
        event(3, "thread_deleted"),
    )

    assert (state["threadId"], state["blank"]) == (None, True)
    assert titles(state) == []
    assert state["threads"] == {}
    assert state["notices"] == []
    assert state["cursor"]["seq"] == 3


async def test_thread_on_the_screen_that_another_tab_deletes_leads_to_a_new_chat(modules):
    state = await reduce(modules, welcome(thread_id=THREAD), online(), event(1, "thread_deleted"))

    assert (state["threadId"], state["blank"]) == (None, True)
    assert [notice["kind"] for notice in state["notices"]] == ["thread_deleted"]


async def test_refused_title_is_taken_back(modules):
    renamed = {"type": "thread_renamed", "id": "name", "threadId": THREAD, "title": "New"}
    start = (welcome(), online(), LISTED, page_of(summary(THREAD, 1, title="Old")), renamed)
    refused = frame("error", code="internal_error", message="no", request_id="name")

    meanwhile = await reduce(modules, *start)
    after = await reduce(modules, *start, refused)

    assert (titles(meanwhile), titles(after)) == (["New"], ["Old"])
    assert [request["type"] for request in meanwhile["due"]] == ["rename_thread"]
    assert after["due"] == []


async def test_number_of_a_redacted_event_counts_and_nothing_else_of_it(modules):
    state = await reduce(modules, welcome(), online(), event(1, "event_redacted"))

    assert state["cursor"]["seq"] == 1
    assert state["threads"] == {}
    assert titles(state) == []


async def test_new_chat_is_not_moved_by_the_server_or_by_an_answer_to_what_was_left(modules):
    begun = {"type": "chat_begun"}

    state = await reduce(
        modules,
        welcome(),
        online(),
        begun,
        asked(),
        begun,
        accepted(),
        lost(),
        welcome(thread_id="t"),
    )

    assert (state["threadId"], state["blank"]) == (None, True)


async def test_questions_of_a_new_chat_go_out_one_after_the_other_until_the_thread_is_known(
    modules,
):
    sent = {"type": "sent", "id": "mine"}
    start = (welcome(), online(), LISTED, asked(), asked("and?", "second"))

    before = await reduce(modules, *start)
    meanwhile = await reduce(modules, *start, sent)
    after = await reduce(modules, *start, sent, accepted())

    assert [(due["text"], due.get("new_thread")) for due in before["due"]] == [("why?", True)]
    assert meanwhile["due"] == []
    assert [(due["text"], due["thread_id"]) for due in after["due"]] == [("and?", THREAD)]
    assert "new_thread" not in after["due"][0]


async def test_question_that_was_put_off_goes_out_by_itself_and_not_for_ever(modules):
    sent = {"type": "sent", "id": "mine"}
    limited = frame(
        "error", code="rate_limited", message="slow", request_id="mine", retry_after_ms=3000
    )
    start = (welcome(), online(), LISTED, asked())

    once = await reduce(modules, *start, sent, limited)
    often = await reduce(modules, *start, *[sent, limited] * 5)

    assert (once["due"], once["nextAt"]) == ([], 3000)
    assert [due["text"] for due in once["dueLater"]] == ["why?"]
    assert often["outbox"][0]["status"] == "failed"
    assert often["dueLater"] == []


async def test_stop_is_pending_until_the_run_has_ended_and_is_asked_for_again_after_a_cut(modules):
    stop = {"type": "run_stopped", "id": "stop", "runId": RUN}
    start = (welcome(), online(), LISTED, asked(), {"type": "sent", "id": "mine"}, accepted())
    sent = {"type": "sent", "id": "stop"}
    cancelling = frame("run_cancelling", run_id=RUN, request_id="stop")
    ended = event(2, "run_finished", status="cancelled", partial=False)

    def stopping(state: dict[str, Any]) -> bool:
        return bool(state["thread"]["turns"][0]["run"]["stopping"])

    cut = await reduce(modules, *start, question(1), stop, sent, lost(), online(), LISTED)
    confirmed = await reduce(modules, *start, question(1), stop, sent, cancelling)
    over = await reduce(modules, *start, question(1), stop, sent, cancelling, ended)

    assert [due["type"] for due in cut["due"]] == ["cancel_run"]
    assert confirmed["due"] == []
    assert [stopping(state) for state in (cut, confirmed, over)] == [True, True, False]


async def test_another_try_is_never_asked_for_twice_by_itself(modules):
    retry = {"type": "run_retried", "id": "again", "runId": RUN}
    failed = event(2, "run_finished", status="failed", partial=False)
    start = (welcome(), online(), LISTED, asked(), {"type": "sent", "id": "mine"}, accepted())

    state = await reduce(
        modules,
        *(*start, question(1), failed, retry, {"type": "sent", "id": "again"}),
        *(lost(), online(), LISTED),
    )

    assert state["due"] == []
    assert state["thread"]["turns"][0]["run"]["retrying"] is False


@pytest.mark.parametrize("event_first", [True, False])
async def test_another_try_stands_below_with_its_question_and_only_the_last_can_be_retried(
    modules, event_first
):
    retry = {"type": "run_retried", "id": "again", "runId": RUN}
    failed = event(2, "run_finished", status="failed", partial=False)
    started = event(3, "agent_started", "supervisor", run="run-2", message="go", status="running")
    reply = frame(
        "message_accepted",
        request_id="again",
        client_message_id=None,
        message_id=f"message-{RUN}",
        thread_id=THREAD,
        run_id="run-2",
        queue_position=0,
        duplicate=False,
    )

    state = await reduce(
        modules,
        *(welcome(), online(), asked(), accepted(), question(1), failed, retry),
        *((started, reply) if event_first else (reply, started)),
    )

    first, second = state["thread"]["turns"]
    assert (first["superseded"], second["superseded"]) == (True, False)
    assert (second["question"], second["retryOf"]) == (None, "why?")
    assert second["run"]["status"] == "running"
    assert first["run"]["retrying"] is False


async def test_answer_and_question_on_two_pages_of_history_are_one_turn(modules):
    message = {"created_at": TIME, "run_id": RUN}
    answers = [
        message | {"id": f"a{number}", "role": "assistant", "content": "so", "run_id": f"r{number}"}
        for number in range(49)
    ]
    answer = message | {"id": "a", "role": "assistant", "content": "because"}
    asked_first = message | {"id": "q", "role": "user", "content": "why?"}
    latest = frame(
        "thread_history",
        request_id=f"history:{THREAD}",
        thread_id=THREAD,
        messages=[answer, *answers],
        runs=[],
        seq=9,
    )
    earlier = frame(
        "thread_history",
        request_id=f"earlier:{THREAD}",
        thread_id=THREAD,
        messages=[asked_first],
        runs=[],
        seq=9,
    )
    wanted = {"type": "earlier_wanted"}
    start = (welcome(seq=9, thread_id=THREAD), online(), LISTED, latest, wanted)

    before = await reduce(modules, *start)
    after = await reduce(
        modules, *start, {"type": "earlier_requested", "threadId": THREAD}, earlier
    )

    assert [due["before"] for due in before["due"]] == ["a"]
    assert len(after["thread"]["turns"]) == 50
    first = after["thread"]["turns"][0]
    assert (first["question"]["text"], first["answer"]["text"]) == ("why?", "because")
    assert after["thread"]["earlier"] == "none"


async def test_history_tells_a_second_try_from_a_question_and_a_part_from_the_whole(modules):
    message = {"id": "m", "role": "user", "content": "why?", "created_at": TIME, "run_id": RUN}
    run = {"message_id": "m", "steps": [], "seq": 9, "accepted_at": TIME, "finished_at": TIME}
    error = {"code": "internal_error", "message": "x"}
    runs = [
        run | {"run_id": "run-2", "status": "running", "accepted_at": "2026-11-22T10:05:00.000Z"},
        run | {"run_id": RUN, "status": "failed", "partial": True, "error": error},
    ]
    reply = frame("thread_history", thread_id=THREAD, messages=[message], runs=runs, seq=9)

    state = await reduce(modules, welcome(seq=9, thread_id=THREAD), reply)

    first, second = state["thread"]["turns"]
    assert (first["question"]["text"], first["superseded"]) == ("why?", True)
    assert (first["run"]["partial"], first["run"]["error"]) == (True, error)
    assert (second["question"], second["retryOf"]) == (None, "why?")


async def test_frame_of_a_newer_server_changes_nothing(modules):
    before = await reduce(modules, welcome())
    after = await reduce(modules, welcome(), frame("fireworks", colour="green"))

    assert after == before


@pytest.mark.parametrize(
    ("attempt", "limit_ms"), [(0, 500), (1, 1000), (4, 8000), (5, 15_000), (60, 15_000)]
)
async def test_wait_before_reconnecting_is_jittered_up_to_a_doubling_limit(
    modules, attempt, limit_ms
):
    shortest, longest = await modules.evaluate(
        """async (attempt) => {
            const { backoff } = await import('/static/js/connection.js');
            return [backoff(attempt, () => 0), backoff(attempt, () => 1)];
        }""",
        attempt,
    )

    assert (shortest, longest) == (0, limit_ms)
