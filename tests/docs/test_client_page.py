"""The page about the client: its first program works as it stands, the others are good Python."""

import inspect
import os
import re
import subprocess
import sys

import pytest

from apex_actors import client


@pytest.fixture
def page(page_named):
    return page_named("docs/how-to/use-the-client.md")


def test_the_first_program_asks_and_prints_the_answer(page, live_server, tmp_path):
    script = tmp_path / "ask.py"
    script.write_text(page.blocks("python")[0], encoding="utf-8")

    ran = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"SERVER_URL": live_server.url, "APEX_TOKEN": live_server.token("reader")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("#")
    assert ran.stdout.endswith("The run is completed.\n")


def test_every_block_can_be_imported(page):
    first, *others = page.blocks("python")
    assert len(others) >= 3
    compile(first, "block", "exec")
    for block in others:
        exec(compile(block, "block", "exec"), {"__name__": "block"})  # noqa: S102 - our own page


def test_what_it_names_exists(page):
    names = {word for word in page.code_words if re.fullmatch(r"client\.\w+(\(\))?", word)}
    assert names
    for name in names:
        assert hasattr(client.ApexClient, name.removeprefix("client.").removesuffix("()"))
    errors = {word for word in page.code_words if word.endswith("Error") and "." not in word}
    assert errors <= set(client.__all__)


def test_every_option_it_names_is_one(page):
    options = inspect.signature(client.ApexClient).parameters

    for name in ("token_provider", "on_gap", "give_up_after_s", "retry_for_s"):
        assert name in options
        assert f"`{name}`" in page.text
