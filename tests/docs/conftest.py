"""The pages of the documentation, taken apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Page:
    """A Markdown file of the repository."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(REPOSITORY))

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def links(self) -> list[str]:
        """Where its links and images lead."""
        return [
            str(token.attrGet("href") or token.attrGet("src"))
            for token in self._tokens()
            if token.type in {"link_open", "image"}
        ]

    @property
    def anchors(self) -> set[str]:
        """What a link may name behind ``#``: its headings, as GitHub spells them."""
        tokens = MarkdownIt().parse(self.text)
        return {
            "".join(
                character
                for character in following.content.lower().replace(" ", "-")
                if character.isalnum() or character in "-_"
            )
            for token, following in pairwise(tokens)
            if token.type == "heading_open"
        }

    def blocks(self, language: str) -> list[str]:
        """Its code blocks of a language."""
        return [
            token.content
            for token in self._tokens()
            if token.type == "fence" and token.info == language
        ]

    @property
    def code_words(self) -> list[str]:
        """What stands in backticks in its sentences."""
        return [token.content for token in self._tokens() if token.type == "code_inline"]

    @property
    def shell_lines(self) -> list[str]:
        """The lines of its shell blocks, with continued ones joined."""
        return [
            line.strip()
            for block in self.blocks("sh")
            for line in block.replace("\\\n", " ").splitlines()
        ]

    def _tokens(self) -> Iterator[Token]:
        for token in MarkdownIt().enable("table").parse(self.text):
            yield token
            yield from token.children or ()


@pytest.fixture(scope="session")
def pages() -> list[Page]:
    """README, changelog and everything in docs."""
    return [
        Page(path)
        for path in (
            REPOSITORY / "README.md",
            REPOSITORY / "CHANGELOG.md",
            *sorted((REPOSITORY / "docs").rglob("*.md")),
        )
    ]


@pytest.fixture(scope="session")
def page_named(pages: list[Page]):
    """A page by its path in the repository."""
    return {page.name: page for page in pages}.__getitem__
