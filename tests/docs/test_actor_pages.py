"""The pages on actors, pasted as a reader would: every file is run, every output is compared.

Their convention: a block whose first line is ``# NAME`` is the whole file NAME. A block of ``sh``
behind the first file is typed, those before it prepare the reader's place. The block of ``text``
right behind it is what the reader then sees: ``…`` stands for anything within a line, on a line of
its own for any lines; how wide a gap is does not matter, for it depends on the terminal.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

PAGES = ("docs/tutorials/actors.md", "docs/how-to/test-actors.md")

FILE_NAME = re.compile(r"# ([\w.-]+\.(?:py|ini))\n")
IMPORTED = re.compile(r"^(?:from|import) (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    language: str
    content: str

    @property
    def file_name(self):
        """The file that it is; None where it is none."""
        named = FILE_NAME.match(self.content)
        return named.group(1) if named and self.language in {"python", "ini"} else None


@dataclass(frozen=True)
class Typed:
    """A command of a page, and what became of it."""

    command: str
    expected: str | None
    output: str
    exit_code: int

    @property
    def shown(self):
        """What the page says where that is what happened, else what happened."""
        return self.expected if shows(self.expected, self.output) else self.output


class Reader:
    """Somebody who goes through a page from above, in an empty folder."""

    def __init__(self, folder):
        self._folder = folder
        self.files = {}
        self.typed = []

    def read(self, blocks):
        for block, following in pairwise([*blocks, Block("", "")]):
            if block.file_name is not None:
                self.files[block.file_name] = block.content
                (self._folder / block.file_name).write_text(block.content, encoding="utf-8")
            elif block.language == "sh" and self.files:
                expected = following.content if following.language == "text" else None
                self.typed.append(self.type(block.content, expected))

    def type(self, command, expected=None):
        # Who has no pytest-asyncio yet sees none of its advice on settings.
        options = "" if "pytest.ini" in self.files else "-p no:asyncio"
        ran = subprocess.run(
            ["/bin/sh", "-ec", command],
            cwd=self._folder,
            env={
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONUNBUFFERED": "1",  # both streams in their order, as on a terminal
                "PYTHONWARNINGS": "error",
                "PYTEST_ADDOPTS": options,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return Typed(command, expected, ran.stdout, ran.returncode)


def shows(expected, output):
    """Whether ``output`` is what a page says."""
    pattern = "".join(
        r"(?:.*\n)*?"
        if line == "…"
        else ".*?".join(re.escape(part) for part in line.split("…")) + r"\n"
        for line in without_gaps(expected)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in without_gaps(output))) is not None


def without_gaps(text):
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.fixture(scope="module", params=PAGES)
def blocks(request, page_named):
    text = page_named(request.param).text
    return [
        Block(token.info, token.content)
        for token in MarkdownIt().parse(text)
        if token.type == "fence"
    ]


@pytest.fixture(scope="module")
def reader(blocks, tmp_path_factory):
    reader = Reader(tmp_path_factory.mktemp("reader"))
    reader.read(blocks)
    return reader


def test_every_python_block_is_a_file(blocks):
    python = [block for block in blocks if block.language == "python"]
    assert python
    assert [block.content for block in python if block.file_name is None] == []


def test_no_file_is_pasted_twice(blocks):
    names = [block.file_name for block in blocks if block.file_name is not None]
    assert len(names) == len(set(names))


def test_every_output_stands_right_behind_its_command(blocks):
    languages = [block.language for block in blocks]
    before = [one for one, following in pairwise(["", *languages]) if following == "text"]
    assert before
    assert set(before) == {"sh"}


def test_every_command_prints_what_the_page_says(reader):
    outputs = [typed for typed in reader.typed if typed.expected is not None]
    assert outputs
    for typed in outputs:
        assert typed.shown == typed.expected, typed.command


def test_every_command_without_an_output_succeeds(reader):
    silent = [typed for typed in reader.typed if typed.expected is None]
    assert [typed for typed in silent if typed.exit_code != 0] == []


def test_every_file_of_tests_that_no_command_runs_passes(reader):
    commands = " ".join(typed.command for typed in reader.typed)
    left = [name for name in reader.files if name.startswith("test_") and name not in commands]
    if left:
        ran = reader.type("pytest -q " + " ".join(left))
        assert ran.exit_code == 0, ran.output
        assert " failed" not in ran.output


def test_no_file_lies_idle(reader):
    used = {name for typed in reader.typed for name in typed.command.split()}
    used |= {f"{name}.py" for text in reader.files.values() for name in IMPORTED.findall(text)}
    idle = {name for name in reader.files if name not in used and not name.startswith("test_")}
    assert idle <= {"conftest.py", "pytest.ini"}


@pytest.mark.parametrize(
    ("expected", "output"),
    [
        ("EUR 1.08\n", "EUR 1.08\n"),
        ("done in …s\n", "done in 0.5s\n"),
        ("first\n…\nlast\n", "first\na\nb\nlast\n"),
        ("first\n…\nlast\n", "first\nlast\n"),
        ("..   [100%]\n", "..             [100%]\n"),
    ],
)
def test_an_output_that_the_page_shows_is_known(expected, output):
    assert shows(expected, output)


@pytest.mark.parametrize(
    ("expected", "output"),
    [
        ("EUR 1.08\n", "EUR 1.09\n"),
        ("EUR 1.08\n", "EUR 1.08\nGBP 1.27\n"),
        ("EUR 1.08\nGBP 1.27\n", "EUR 1.08\n"),
        ("done in …s\n", "done in 0.5s\nfailed\n"),
        ("done in …s\n", "done in 0.5m\n"),
        ("first\n…\nlast\n", "a\nfirst\nlast\n"),
        ("a.c\n", "abc\n"),
    ],
)
def test_an_output_that_the_page_does_not_show_is_refused(expected, output):
    assert not shows(expected, output)
