"""Runs on the chat page, in a real browser: stopped, and tried again."""

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.browser

QUESTION = "Analyze my AI costs"


async def test_a_stopped_run_shows_what_it_has_and_another_try_answers_in_full(slow_plan, chat):
    page = chat.page
    await chat.ask(QUESTION)
    await chat.expect_at_the_plan()

    await chat.button("Stop").click()
    await chat.expect_run("cancelled")
    await expect(page.locator(".run-headline")).to_have_text(
        "The run was stopped; answered in part"
    )
    await expect(page.locator("article.report")).to_have_count(1)
    await expect(chat.button("Stop")).to_have_count(0)
    slow_plan.set()
    await chat.button("Try again").click()

    await expect(page.locator(".run")).to_have_count(2)
    await chat.expect_run("completed")
    await expect(page.locator("article.report")).to_have_count(2, timeout=30_000)
    await expect(page.locator(".retry-of:visible")).to_have_text([f"Another try: {QUESTION}"])
    await expect(chat.button("Try again")).to_have_count(0)
    await page.reload()
    await expect(page.locator(".run")).to_have_count(2)
    await expect(page.locator(".run-headline").first).to_have_text(
        "The run was stopped; answered in part"
    )
    await expect(page.locator(".bubble:visible")).to_have_text([QUESTION])
    await expect(chat.button("Try again")).to_have_count(0)


async def test_a_waiting_question_is_stopped_at_once_and_another_try_waits_again(slow_plan, chat):
    await chat.ask(QUESTION)
    await chat.expect_at_the_plan()
    await chat.ask("And by team?")
    await expect(chat.page.locator(".run-headline").last).to_have_text("Waiting, 1 before it")

    await chat.button("Stop").last.click()
    await chat.expect_run("cancelled")
    await chat.button("Try again").click()
    await expect(chat.page.locator(".run")).to_have_count(3)
    slow_plan.set()

    await chat.expect_run("completed")
    await expect(chat.page.locator(".run").first).to_have_attribute("data-status", "completed")


@pytest.mark.usefixtures("slow_plan")
async def test_a_stop_is_pending_until_the_run_has_ended_even_through_a_lost_connection(chat, line):
    await chat.ask(QUESTION)
    await chat.expect_at_the_plan()
    line.deaf = True

    await chat.button("Stop").click()
    await expect(chat.button("Stopping…")).to_be_visible()
    await expect(chat.page.locator(".run-headline")).to_have_text("Stopping…")
    line.cut()
    line.deaf = False

    await chat.expect_run("cancelled")
    await expect(chat.button("Stopping…")).to_have_count(0)


async def test_another_tab_sees_the_second_try_with_its_question(slow_plan, chat, other_chat):
    await chat.ask(QUESTION)
    await other_chat.open_thread(QUESTION)
    await chat.expect_at_the_plan()
    await chat.button("Stop").click()
    await other_chat.expect_run("cancelled")
    slow_plan.set()

    await chat.button("Try again").click()

    await expect(other_chat.page.locator(".run")).to_have_count(2)
    await other_chat.expect_run("completed")
    await expect(other_chat.page.locator(".retry-of").last).to_have_text(f"Another try: {QUESTION}")
    await expect(other_chat.button("Try again")).to_have_count(0)
