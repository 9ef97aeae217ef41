"""The chat page in a real browser, against the real server."""

import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, expect

pytestmark = pytest.mark.browser

QUESTION = "Analyze my AI costs"
SUB_AGENTS = ["data", "optimization", "report"]
RUN_TIMEOUT_MS = 60_000
AN_ACKNOWLEDGEMENT_BYTES = 250
"""More than a ping, less than `message_accepted` with the first event."""

RECORD_WHAT_APPEARS = """
() => {
    window.appeared = [];
    const note = (what) => window.appeared.at(-1) !== what && window.appeared.push(what);
    const look = (node) => {
        if (!(node instanceof Element)) return;
        if (node.matches('article.report')) note('report');
        const agent = node.closest('.step')?.dataset.agent;
        if (node.matches('.step')) note(`${agent} ${node.dataset.status}`);
        if (node.matches('.tool')) note(`${agent} tool`);
        if (node.matches('.thought')) note(`${agent} thought`);
    };
    new MutationObserver((changes) => changes.forEach((change) => {
        if (change.type === 'attributes') look(change.target);
        change.addedNodes.forEach((node) => {
            look(node);
            if (node instanceof Element) node.querySelectorAll('*').forEach(look);
        });
    })).observe(document, { subtree: true, childList: true, attributeFilter: ['data-status'] });
}
"""

ACTIVITY = """
() => [...document.querySelectorAll('.step')].map((step) => ({
    agent: step.dataset.agent,
    status: step.dataset.status,
    tools: [...step.querySelectorAll('.tool')].map((tool) => [tool.dataset.tool, tool.dataset.status]),
    thoughts: [...step.querySelectorAll('.thought')].map((thought) => thought.textContent),
}))
"""


@pytest.fixture
def sub() -> str:
    """A user without a past: the server outlives the test."""
    return f"user-{uuid.uuid4().hex[:8]}"


async def open_signed_in(page: Page, live_server: Any, sub: str) -> None:
    await page.goto(f"{live_server.url}/#token={live_server.token(sub, org='demo')}")
    await expect_status(page, "online")


async def expect_status(page: Page, status: str) -> None:
    """Long enough for a few rounds of backing off."""
    await expect(page.locator("#connection")).to_have_attribute(
        "data-status", status, timeout=30_000
    )


async def ask(page: Page, text: str = QUESTION) -> None:
    await page.get_by_label("Your question").fill(text)
    await page.keyboard.press("Enter")


async def expect_report(page: Page, count: int = 1) -> None:
    reports = page.locator("article.report")
    await expect(reports).to_have_count(count, timeout=RUN_TIMEOUT_MS)
    await expect(reports.last.locator("table td", has_text="$").first).to_be_attached()
    await expect(page.locator(".run").last).to_have_attribute("data-status", "completed")


async def test_question_is_answered_while_each_step_is_seen(page, watch, live_server, sub):
    """The golden path: sign in with a name, ask, watch the agents, read the report."""
    await page.add_init_script(f"({RECORD_WHAT_APPEARS})()")
    await page.goto(live_server.url)
    await page.get_by_label("Name").fill(sub)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("status").filter(has_text="Online")).to_be_visible()

    await page.get_by_role("button", name=QUESTION).click()
    await expect_report(page)

    assert await page.locator(".bubble").all_inner_texts() == [QUESTION]
    activity = await page.evaluate(ACTIVITY)
    assert [step["agent"] for step in activity] == ["supervisor", *SUB_AGENTS]
    for step in activity:
        assert step["status"] == "ok"
        assert step["agent"] == "supervisor" or (step["tools"] and step["thoughts"])
        assert all(status == "ok" for _, status in step["tools"])
    appeared = await page.evaluate("window.appeared")
    first_signs = [appeared.index(f"{agent} thought") for agent in SUB_AGENTS]
    assert first_signs == sorted(first_signs)
    assert appeared.index("report") > appeared.index("report thought")
    assert any(f"{agent} running" in appeared for agent in SUB_AGENTS), "nothing was seen live"

    host = urlsplit(live_server.url).netloc
    assert {urlsplit(url).netloc for url in watch.requests + watch.sockets} == {host}
    assert watch.console_errors == []


async def test_token_of_a_link_leaves_the_address_bar_at_once(page, live_server, sub):
    token = live_server.token(sub, org="demo")

    await page.goto(f"{live_server.url}/#token={token}")

    await expect_status(page, "online")
    assert token not in page.url
    await expect(page.locator("#identity")).to_have_text(f"{sub} · demo")


async def test_refused_token_leads_to_the_sign_in_with_a_reason(page, live_server, sub):
    await page.goto(f"{live_server.url}/#token={live_server.token(sub)}x")

    await expect(page.get_by_role("alert")).to_contain_text("sign in again", timeout=15_000)
    await expect(page.get_by_label("Name")).to_be_focused()


async def test_reload_shows_the_conversation_again(page, watch, live_server, sub):
    await open_signed_in(page, live_server, sub)
    await ask(page)
    await expect_report(page)
    report = await page.locator("article.report").inner_text()
    activity = await page.evaluate(ACTIVITY)

    await page.reload()
    await expect_report(page)

    assert await page.locator(".bubble").all_inner_texts() == [QUESTION]
    assert await page.locator("article.report").inner_text() == report
    assert await page.evaluate(ACTIVITY) == activity
    assert watch.console_errors == []


async def test_cut_connection_comes_back_and_misses_nothing(page, watch, line, live_server, sub):
    await open_signed_in(page, live_server, sub)
    await ask(page)
    await expect(page.locator(".step[data-agent=data] .thought").first).to_be_visible()

    line.up = False
    line.cut()
    await expect(page.locator("#connection")).not_to_have_attribute("data-status", "online")
    await expect(page.locator("#composer-hint")).to_contain_text("Trying again")
    line.up = True
    await expect_status(page, "online")
    await expect_report(page)

    resumed = parse_qs(urlsplit(watch.sockets[-1]).query)
    assert resumed.keys() == {"after", "epoch"}
    seen = await page.evaluate(ACTIVITY)
    await page.reload()
    await expect_report(page)
    assert await page.evaluate(ACTIVITY) == seen, "the log has it otherwise"


async def test_question_whose_acknowledgement_was_lost_is_asked_once(
    page, line, live_server, sub, eventually
):
    await open_signed_in(page, live_server, sub)
    line.deaf = True
    await ask(page)
    await eventually(lambda: line.swallowed_bytes > AN_ACKNOWLEDGEMENT_BYTES)
    await expect(page.get_by_text("Sending…")).to_be_visible()

    line.cut()
    line.deaf = False
    await expect_report(page)

    assert await page.locator(".bubble").all_inner_texts() == [QUESTION]
    await page.reload()
    await expect_report(page)
    assert await page.locator(".bubble").all_inner_texts() == [QUESTION]


async def test_draft_can_be_written_but_not_sent_without_a_connection(page, line, live_server, sub):
    await open_signed_in(page, live_server, sub)
    line.up = False
    line.cut()
    await expect_status(page, "reconnecting")

    await ask(page, "What could run as a batch?")

    await expect(page.get_by_label("Your question")).to_have_value("What could run as a batch?")
    await expect(page.get_by_role("button", name="Send")).to_be_disabled()
    await expect(page.locator(".bubble")).to_have_count(0)
    line.up = True
    await expect_status(page, "online")
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_page_never_scrolls_sideways(chromium, live_server, sub, width, scheme):
    page = await chromium.new_page(
        viewport={"width": width, "height": 740}, color_scheme=scheme, reduced_motion="reduce"
    )
    await open_signed_in(page, live_server, sub)
    await ask(page, "Analyze my AI costs " + "x" * 200)
    await expect_report(page)

    widths = await page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )

    assert widths[0] <= widths[1]


async def test_report_that_was_cut_on_its_way_is_asked_for_again(page, live_server, sub):
    asked = []

    async def cut_the_first(route):
        asked.append(route.request.url)
        await (route.abort() if len(asked) == 1 else route.continue_())

    await page.route("**/report.html", cut_the_first)
    await open_signed_in(page, live_server, sub)
    await ask(page)

    await expect_report(page)
    assert len(asked) == 2
