"""Markdown as HTML: a sanitised fragment, or a document that stands alone."""

from html import escape
from importlib.resources import files

import nh3
from markdown_it import MarkdownIt

_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href", "title"}, "code": {"class"}, "td": {"style"}, "th": {"style"}}

_DOCUMENT = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{css}</style>
</head>
<body>
<article class="report">
{body}</article>
</body>
</html>
"""


def render_fragment(markdown: str) -> str:
    """The Markdown as HTML that is safe to put into a page: no scripts, no raw HTML."""
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table")
    return nh3.clean(
        parser.render(markdown),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        filter_style_properties={"text-align"},
        url_schemes={"https", "http", "mailto"},
    )


def render_html(markdown: str) -> str:
    """The Markdown as one HTML file without anything to be loaded, for light and dark screens."""
    first = markdown.lstrip().splitlines()[0] if markdown.strip() else ""
    title = first.removeprefix("# ") if first.startswith("# ") else "Report"
    css = (files("apex_actors.costs") / "report.css").read_text(encoding="utf-8")
    return _DOCUMENT.format(title=escape(title), css=css, body=render_fragment(markdown))
