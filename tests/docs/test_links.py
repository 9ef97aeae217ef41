"""What the documentation names is there: files, headings, commands, options, variables, packages."""

import os
import re
import tomllib
from pathlib import Path

import typer

from apex_actors.cli.app import app
from apex_actors.costs.records import FIELDS

REPOSITORY = Path(__file__).parents[2]

#: A call of ours at the beginning of a line or inside $(…).
CALL = re.compile(r"(?:^|\$\()(?:\.venv/bin/)?apex ([^)]*)")
SCRIPT = re.compile(r"(?:^|[ /])(scripts/[a-z_]+(?:\.py)?)\b(.*)")
OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]*")
VARIABLE = re.compile(r"\bAPEX_[A-Z_]*[A-Z]\b")


def options(group=None, prefix=""):
    """The options of each command; those of groups are named with them, as ``errors list``."""
    known = {}
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            known |= options(command, f"{prefix}{name} ")
        else:
            found = {option for parameter in command.params for option in parameter.opts}
            known[prefix + name] = found | {"--help"}
    return known


def calls(page):
    """Each call of ``apex`` in a page, from the command on."""
    named = [word for word in page.code_words if "…" not in word]
    return [call for line in (*page.shell_lines, *named) for call in CALL.findall(line)]


def test_every_relative_link_and_image_leads_somewhere(pages):
    by_path = {page.path: page for page in pages}
    dead = []
    for page in pages:
        for link in page.links:
            if "://" in link:
                continue
            file, _, anchor = link.partition("#")
            target = (page.path.parent / file).resolve() if file else page.path
            if not target.exists() or (anchor and anchor not in by_path[target].anchors):
                dead.append(f"{page.name}: {link}")
    assert dead == []


def test_every_page_can_be_reached_from_the_readme(pages):
    by_path = {page.path: page for page in pages}
    found, ahead = set(), [REPOSITORY / "README.md"]
    while ahead:
        path = ahead.pop()
        if path in found:
            continue
        found.add(path)
        for link in by_path[path].links if path in by_path else ():
            target = (path.parent / link.partition("#")[0]).resolve()
            ahead += sorted(target.glob("*.md")) if target.is_dir() else [target]
    assert set(by_path) <= found


def test_every_command_and_option_named_exists(pages):
    known = options()
    unknown = [
        f"{page.name}: apex {call}"
        for page in pages
        for call in calls(page)
        if not any(
            f"{call} ".startswith(f"{command} ") and set(OPTION.findall(call)) <= taken
            for command, taken in known.items()
        )
    ]
    assert unknown == []


def test_the_commands_are_looked_for_where_they_are(page_named):
    """A check that finds no commands would find no wrong ones either."""
    assert "token ann --org acme --mode development" in calls(
        page_named("docs/tutorials/first-report.md")
    )
    assert "migrate --check    # lists" in " ".join(calls(page_named("docs/how-to/operate.md")))


def test_every_script_named_exists_and_can_be_run(pages):
    named = {
        (page.name, *match)
        for page in pages
        for line in (*page.shell_lines, *page.code_words)
        for match in SCRIPT.findall(line)
    }
    assert {script for _, script, _ in named} >= {"scripts/run", "scripts/test"}
    missing = [entry for entry in named if not os.access(REPOSITORY / entry[1], os.X_OK)]
    assert missing == []
    once = [rest for _, script, rest in named if script == "scripts/run"]
    assert {option for rest in once for option in OPTION.findall(rest)} <= options()["up"]


def test_every_variable_named_exists(pages, page_named):
    known = {"APEX_TOKEN", *VARIABLE.findall(page_named("docs/reference/settings.md").text)}
    unknown = {
        (page.name, name)
        for page in pages
        for name in VARIABLE.findall(page.text)
        if name not in known
    }
    assert unknown == set()


def test_every_field_of_a_usage_record_is_explained(page_named):
    assert set(page_named("docs/how-to/import-usage.md").code_words) >= FIELDS


def test_every_dependency_has_its_reason(page_named):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.match(r"[a-z0-9-]+", requirement).group() for requirement in required}
    listed = set(
        re.findall(
            r"^\| `([a-z0-9-]+)` \|",
            page_named("docs/decisions/006-dependencies.md").text,
            re.MULTILINE,
        )
    )
    assert listed == names
