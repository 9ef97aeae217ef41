"""What the page says and does when it is refused, told to wait, or its token runs out."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import expect

from apex_actors.server.node import DEVELOPMENT_ORG, Node

pytestmark = pytest.mark.browser

SHORT_S = 4
"""A token that runs out while the test looks on."""

STORED_TOKEN = "sessionStorage.getItem('apex.token')"


@asynccontextmanager
async def node_with(settings, **limits):
    """A node with these limits."""
    gateway = settings.gateway
    changed = gateway.model_copy(update={"limits": gateway.limits.model_copy(update=limits)})
    async with Node(settings.model_copy(update={"gateway": changed})) as node:
        yield node


@pytest.fixture
async def crowded_node(sample_settings):
    """One connection of a user fills it."""
    async with node_with(sample_settings, connections_per_user=1) as node:
        yield node


@pytest.fixture
async def hurried_node(sample_settings):
    """Takes a few messages, and then one a second."""
    async with node_with(sample_settings, messages_burst=5, messages_per_s=1.0) as node:
        yield node


@pytest.fixture
def short_token(sample_node):
    return sample_node.authority.issue(sub="ann", org=DEVELOPMENT_ORG, lifetime_s=SHORT_S)[0]


async def test_a_token_that_runs_out_is_renewed_unseen_where_tokens_are_for_the_asking(
    sample_node, short_token, page, watch, chat_in
):
    tab = chat_in(page)
    await tab.open(sample_node.url, short_token)
    await page.wait_for_function(f"token => {STORED_TOKEN} !== token", arg=short_token)
    await asyncio.sleep(SHORT_S)  # beyond the end of the first one

    await tab.ask("Which models cost the most?")
    await tab.expect_run("completed")

    await expect(page.locator("article.report")).to_have_count(1)
    await expect(page.locator("#notices")).to_be_empty()
    assert len(watch.sockets) == 1, "the connection did not outlive the token"
    assert watch.console_errors == []


async def test_a_token_that_nobody_renews_is_announced_and_its_end_leads_to_the_sign_in(
    sample_node, short_token, page, chat_in
):
    await page.route("**/dev/token", lambda route: route.fulfill(status=404, body="{}"))
    tab = chat_in(page)
    await tab.open(sample_node.url, short_token)

    await expect(page.locator("#notices")).to_contain_text("You will be signed out in")
    await expect(page.locator("#announcer")).to_contain_text("You will be signed out in")
    await expect(page.get_by_role("alert")).to_contain_text("sign in again", timeout=20_000)
    await expect(page.get_by_label("Name", exact=True)).to_be_focused()
    await expect(page.locator("#threads .thread")).to_have_count(0)


async def test_one_tab_too_many_is_told_so_and_let_in_when_another_is_closed(
    crowded_node, page, chromium, chat_in
):
    token, _ = crowded_node.authority.issue(sub="ann", org=DEVELOPMENT_ORG, lifetime_s=600)
    first = await chromium.new_page()
    await chat_in(first).open(crowded_node.url, token)

    await page.goto(f"{crowded_node.url}/#token={token}")
    await expect(page.locator("#composer-hint")).to_contain_text(
        "takes no further connection", timeout=20_000
    )
    await first.close()

    await chat_in(page).expect_online()


async def test_what_was_too_much_at_once_is_sent_by_itself_a_little_later(
    hurried_node, page, chat_in
):
    token, _ = hurried_node.authority.issue(sub="ann", org=DEVELOPMENT_ORG, lifetime_s=600)
    tab = chat_in(page)
    await tab.open(hurried_node.url, token)

    for number in range(4):
        await tab.ask(f"Question {number}")

    await expect(
        page.get_by_text("Too many messages in a short time. Sending again in").first
    ).to_be_visible()
    await expect(page.locator(".turns .bubble")).to_have_count(4, timeout=30_000)
    await expect(page.locator(".outbox .bubble")).to_have_count(0)
    bubbles = await page.locator(".turns .bubble").all_inner_texts()
    assert sorted(bubbles) == [f"Question {number}" for number in range(4)]
