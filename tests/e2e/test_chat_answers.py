"""What an answer holds beside its text, in a real browser: charts, and files to keep."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.browser

QUESTION = "Analyze my AI costs"
CHARTS = ["savings-by-lever.svg", "cost-by-model.svg", "cost-by-feature.svg", "cost-by-day.svg"]
DRAWN = "(image) => image.complete && image.naturalWidth > 0"


def requests_for(watch, part):
    return [url for url in watch.requests if part in url]


async def expect_drawn(image):
    """The chart is there once it has been scrolled to."""
    await image.scroll_into_view_if_needed()
    await expect(image).to_have_js_property("complete", True, timeout=30_000)
    assert await image.evaluate(DRAWN)


async def test_charts_stand_in_the_answer_with_words_for_those_who_do_not_see_them(
    chat, watch, eventually
):
    await chat.ask(QUESTION)
    await chat.expect_run("completed")

    charts = chat.page.locator(".report .chart")
    await expect(charts).to_have_count(len(CHARTS))
    assert await charts.evaluate_all("(all) => all.map((one) => one.dataset.chart)") == CHARTS
    for image in await charts.locator("img").all():
        await expect_drawn(image)
        assert "chart" in await image.get_attribute("alt")
    themes = {parse_qs(urlsplit(url).query)["theme"][0] for url in requests_for(watch, "/charts/")}
    assert themes == {"light"}

    await chat.page.emulate_media(color_scheme="dark")
    await eventually(lambda: any("theme=dark" in url for url in watch.requests))
    await expect_drawn(charts.locator("img").last)


async def test_a_chart_out_of_sight_is_not_loaded(chat, watch):
    await chat.page.set_viewport_size({"width": 1280, "height": 400})
    await chat.ask(QUESTION)
    await chat.expect_run("completed")
    last = chat.page.locator(".report .chart img").last
    await expect(last).to_be_attached()
    assert await last.get_attribute("loading") == "lazy"
    await expect_drawn(chat.page.locator(".report .chart img").first)
    assert requests_for(watch, CHARTS[-1]) == []


async def test_a_chart_that_failed_is_asked_for_again_with_a_fresh_link(chat, watch, eventually):
    failed = []

    async def fail_once(route):
        if failed:
            await route.continue_()
            return
        failed.append(route.request.url)
        await route.fulfill(status=401, body="expired")

    await chat.page.route("**/charts/savings-by-lever.svg*", fail_once)
    await chat.ask(QUESTION)
    await chat.expect_run("completed")

    await eventually(lambda: len(requests_for(watch, CHARTS[0])) == 2)
    await expect_drawn(chat.page.locator(".report .chart img").first)
    watch.console_errors.clear()  # the browser's own word for the 401


@pytest.mark.parametrize("expired", [False, True])
async def test_an_answer_is_kept_as_a_file_also_when_its_links_have_run_out(
    sample_node, chat, watch, expired
):
    if expired:
        # Less than a download may take: the page does not trust such a link.
        sample_node.links._lifetime_s = 20
    await chat.ask(QUESTION)
    await chat.expect_run("completed")
    links = chat.page.get_by_role("group", name="Download this answer").get_by_role("link")
    await expect(links).to_have_text(["Open as a page", "Markdown", "Table (CSV)", "Data (JSON)"])
    asked_before = len(requests_for(watch, "/api/runs/"))

    async with chat.page.expect_download() as downloading:
        await links.filter(has_text="JSON").click()
    download = await downloading.value

    assert download.suggested_filename.endswith(".json")
    path = await download.path()
    assert json.loads(path.read_text())["breakdowns"]
    fresh = [url for url in requests_for(watch, "/api/runs/")[asked_before:] if "?" not in url]
    assert len(fresh) == (1 if expired else 0)


async def test_an_answer_opens_as_a_page_of_its_own(chat):
    await chat.ask(QUESTION)
    await chat.expect_run("completed")

    async with chat.page.context.expect_page() as opening:
        await chat.page.get_by_role("link", name="Open as a page").click()
    report = await opening.value

    await expect(report.locator("article.report h1")).to_be_visible()
    assert await report.evaluate("window.opener") is None
