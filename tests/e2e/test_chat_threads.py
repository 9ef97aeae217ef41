"""The list of threads on the chat page, in a real browser: opened, renamed, deleted, live in other tabs."""

import json

import pytest
from playwright.async_api import expect
from websockets.asyncio.client import connect

pytestmark = pytest.mark.browser

PAGE = 30
MORE_THAN_A_PAGE = PAGE + 4
LONG_THREAD = 55
A_LINE_PX = 24


async def test_a_new_chat_is_a_thread_of_its_own_and_the_old_one_is_there_to_return_to(chat):
    await chat.ask("Which models cost the most?")
    await chat.expect_run("completed")
    await chat.button("New chat").click()
    await expect(chat.page.locator(".bubble")).to_have_count(0)
    await expect(chat.page.get_by_label("Your question")).to_be_focused()

    await chat.ask("What could run as a batch?")
    await chat.expect_run("completed")
    await chat.expect_threads("What could run as a batch?", "Which models cost the most?")
    await chat.open_thread("Which models")

    await expect(chat.page.locator(".bubble")).to_have_text(["Which models cost the most?"])
    await expect(chat.thread("Which models").locator("[aria-current=true]")).to_be_attached()
    await chat.page.reload()
    await expect(chat.page.locator(".bubble")).to_have_text(["Which models cost the most?"])


async def test_a_new_chat_stays_new_through_a_reload_and_a_lost_connection(chat, line):
    await chat.ask("Which models cost the most?")
    await chat.expect_run("completed")
    await chat.button("New chat").click()

    await chat.page.reload()
    await chat.expect_online()
    line.cut()
    await expect(chat.page.locator("#connection")).not_to_have_attribute("data-status", "online")
    await chat.expect_online()

    await expect(chat.page.locator("#welcome")).to_be_visible()
    await chat.ask("What could run as a batch?")
    await chat.expect_threads("What could run as a batch?", "Which models cost the most?")


async def test_a_question_of_another_tab_moves_its_thread_up_with_a_sign_that_it_works(
    slow_plan, chat, other_chat
):
    await chat.ask("Which models cost the most?")
    await chat.expect_threads("Which models cost the most?")
    await other_chat.button("New chat").click()
    await other_chat.ask("**What** could run as a batch?")

    await chat.expect_threads("What could run as a batch?", "Which models cost the most?")
    for title in ("What could run", "Which models"):
        await expect(chat.thread(title).get_by_text("working")).to_be_attached()
    await expect(chat.page.locator(".bubble")).to_have_text(["Which models cost the most?"])
    slow_plan.set()
    for title in ("What could run", "Which models"):
        await expect(chat.thread(title).get_by_text("working")).to_have_count(0, timeout=30_000)


async def test_a_thread_is_renamed_in_place_and_the_other_tab_sees_it(chat, other_chat):
    await chat.ask("Which models cost the most?")
    await other_chat.expect_threads("Which models cost the most?")

    await chat.use_tool("Rename", "Which models cost the most?")
    field = chat.page.get_by_label("New title")
    await expect(field).to_be_focused()
    await field.fill("Dropped")
    await chat.page.keyboard.press("Escape")
    await chat.expect_threads("Which models cost the most?")
    await chat.use_tool("Rename", "Which models cost the most?")
    await field.fill("  By model ")
    await chat.page.keyboard.press("Enter")

    await chat.expect_threads("By model")
    await other_chat.expect_threads("By model")
    await expect(chat.button("Rename “By model”")).to_be_focused()
    await chat.page.reload()
    await chat.expect_threads("By model")
    await chat.expect_run("completed")


async def test_a_thread_is_deleted_only_after_a_yes_that_names_it_and_elsewhere_a_new_chat_follows(
    chat, other_chat
):
    await chat.ask("Which models cost the most?")
    await chat.expect_run("completed")
    await other_chat.open_thread("Which models")
    await other_chat.expect_run("completed")
    dialog = chat.page.get_by_role("dialog")

    await chat.use_tool("Delete", "Which models cost the most?")
    await expect(dialog).to_contain_text("Delete the conversation “Which models cost the most?”")
    await chat.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await chat.expect_threads("Which models cost the most?")
    await chat.use_tool("Delete", "Which models cost the most?")
    await dialog.get_by_role("button", name="Delete").click()

    for tab in (chat, other_chat):
        await tab.expect_threads()
        await expect(tab.page.locator(".bubble")).to_have_count(0)
        await expect(tab.page.locator("#welcome")).to_be_visible()
    await expect(other_chat.page.locator("#notices")).to_contain_text("deleted elsewhere")
    await expect(chat.page.locator("#notices")).to_be_empty()
    await other_chat.ask("What could run as a batch?")
    await other_chat.expect_run("completed")
    await chat.expect_threads("What could run as a batch?")


async def ask_and_cancel(socket, text, **fields):
    """A question whose answer does not matter; its run has ended."""
    await socket.send(json.dumps({"type": "user_message", "text": text, **fields}))
    accepted = await until(socket, "message_accepted")
    await socket.send(json.dumps({"type": "cancel_run", "run_id": accepted["run_id"]}))
    await until(socket, "run_finished")


async def until(socket, kind):
    while (frame := json.loads(await socket.recv()))["type"] != kind:
        pass
    return frame


@pytest.fixture
async def socket(sample_node, node_token):
    url = sample_node.url.replace("http", "ws", 1) + "/ws"
    async with connect(url, additional_headers={"Authorization": f"Bearer {node_token}"}) as socket:
        yield socket


async def test_older_threads_come_when_the_end_of_the_list_is_in_sight(chat, socket):
    for number in range(MORE_THAN_A_PAGE):
        await ask_and_cancel(socket, f"Question {number}", new_thread=True)
    await chat.page.reload()

    titles = chat.page.locator(".thread-title")
    await expect(titles).to_have_count(PAGE)
    await chat.page.locator(".threads-body").evaluate("(list) => list.scrollTo(0, 1e6)")

    await expect(titles).to_have_count(MORE_THAN_A_PAGE)
    # In no certain order: a question may have been answered in part before it was cancelled.
    listed = await titles.all_inner_texts()
    assert set(listed) == {f"Question {number}" for number in range(MORE_THAN_A_PAGE)}


async def test_earlier_messages_come_when_they_are_asked_for_and_the_reader_keeps_the_place(
    chat, socket
):
    for number in range(LONG_THREAD):
        await ask_and_cancel(socket, f"Question {number}")
    await chat.page.reload()
    bubbles = chat.page.locator(".turns .bubble:visible")
    await expect(bubbles.last).to_have_text(f"Question {LONG_THREAD - 1}")
    oldest = await bubbles.first.text_content()
    assert oldest != "Question 0"
    seen = chat.page.locator(".turns").get_by_text(oldest, exact=True)

    await chat.button("Show earlier messages").scroll_into_view_if_needed()
    before = await seen.bounding_box()
    await chat.button("Show earlier messages").click()

    await expect(bubbles).to_have_count(LONG_THREAD)
    await expect(bubbles.first).to_have_text("Question 0")
    await expect(chat.button("Show earlier messages")).to_have_count(0)
    after = await seen.bounding_box()
    assert abs(after["y"] - before["y"]) < A_LINE_PX


async def test_on_a_narrow_screen_the_list_lies_behind_a_button(chat):
    await chat.ask("Which models cost the most?")
    await chat.expect_run("completed")
    await chat.page.set_viewport_size({"width": 390, "height": 780})
    listed = chat.page.get_by_role("navigation", name="Conversations")
    await expect(listed).to_be_hidden()

    await chat.button("Conversations").click()
    await expect(listed).to_be_visible()
    await chat.page.keyboard.press("Escape")
    await expect(listed).to_be_hidden()
    await expect(chat.button("Conversations")).to_be_focused()
    await chat.button("Conversations").click()
    await chat.button("New chat").click()

    await expect(listed).to_be_hidden()
    await expect(chat.page.locator("#welcome")).to_be_visible()
    await chat.button("Conversations").click()
    await chat.open_thread("Which models")
    await expect(listed).to_be_hidden()
    await expect(chat.page.locator(".bubble")).to_have_text(["Which models cost the most?"])
