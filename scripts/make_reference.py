#!/usr/bin/env python
"""Writes docs/reference from the code: the settings from their models, the commands from the CLI.

    .venv/bin/python scripts/make_reference.py [--check] [FOLDER]

With --check nothing is written, and the exit code is 1 where a file is not what the code says.
FOLDER is where the files are (default: docs/reference of this repository).
"""

import argparse
import ast
import inspect
import sys
import textwrap
import tomllib
import types
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import EnumType
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from apex_actors.cli.app import app
from apex_actors.server.settings import Mode, Settings, config_dir

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "docs" / "reference"

NOTICE = "<!-- Written by scripts/make_reference.py from the code: do not edit by hand. -->"

SETTINGS_INTRODUCTION = """\
What is set where, the later ones winning: the default in this page, then `config/<mode>.toml`, then
the environment variable, then the flag of a [command](commands.md). A setting that does not exist or
does not fit stops the start with its name and the reason, never with its value.

Settings of a table such as `[gateway]` stand under its name in the file, and behind `__` in the
variable. Lists are written in a variable as JSON: `["https://chat.example.com"]`. Names that end in
`_s` are seconds, in `_bytes` bytes."""

COMMANDS_INTRODUCTION = """\
`apex` is in `.venv/bin` of a checkout, after `./scripts/run` or `./scripts/setup`. Answers and links
go to standard output, progress and errors to standard error. Exit codes: 0 it is done (a server that
drained after a signal too), 1 it did not work and standard error says why, 2 the call is wrong, 130
interrupted."""


def main() -> int:
    """Writes the files, or with ``--check`` compares them; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    pages = {"settings.md": settings_page(), "commands.md": commands_page()}
    if not arguments.check:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (arguments.folder / name).write_text(text, encoding="utf-8")
        return 0
    stale = [name for name, text in pages.items() if _read(arguments.folder / name) != text]
    for name in stale:
        sys.stderr.write(
            f"{arguments.folder / name} is not what the code says: "
            "run .venv/bin/python scripts/make_reference.py\n"
        )
    return 1 if stale else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


# Settings.


@dataclass(frozen=True, slots=True)
class Section:
    """The settings of one table of the file: of the file itself where there is no name."""

    name: str
    model: type[BaseModel]

    @property
    def fields(self) -> dict[str, FieldInfo]:
        """Its settings, without the tables in it."""
        return {
            name: field
            for name, field in self.model.model_fields.items()
            if not _is_model(field.annotation)
        }

    def variable(self, name: str) -> str:
        """The environment variable of a setting."""
        return "APEX_" + "__".join(part.upper() for part in (self.name, name) if part)


def settings_page() -> str:
    """The reference of the settings."""
    lines = [NOTICE, "", "# Settings", "", SETTINGS_INTRODUCTION, ""]
    for section in _sections():
        heading = f"`[{section.name}]`" if section.name else "The server"
        lines += [f"## {heading}", "", _first_paragraph(section.model), ""]
        texts = _attribute_texts(section.model)
        rows = [
            (
                f"`{name}`",
                f"`{section.variable(name)}`",
                _values(field),
                _default(field),
                texts.get(name) or _text_of_type(field.annotation),
            )
            for name, field in section.fields.items()
        ]
        lines += [*_table(("setting", "variable", "values", "default", "meaning"), rows), ""]
    return "\n".join([*lines, *_files()]) + "\n"


def _sections() -> Iterator[Section]:
    yield Section("", Settings)
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and _is_model(field.annotation):
            yield Section(name, field.annotation)


def _files() -> list[str]:
    """What the file of each mode changes."""
    given = {
        mode: dict(
            _flat(tomllib.loads((config_dir() / f"{mode}.toml").read_text(encoding="utf-8")))
        )
        for mode in Mode
    }
    names = dict.fromkeys(name for values in given.values() for name in values)
    rows = [
        (
            f"`{name}`",
            *(f"`{given[mode][name]}`" if name in given[mode] else "the default" for mode in Mode),
        )
        for name in names
    ]
    return [
        "## What the files set",
        "",
        "The mode, and with it the file, is `production` unless `APEX_MODE` or `--mode` says otherwise;",
        "`apex up` is always `development`.",
        "",
        *_table(("setting", *(f"`config/{mode}.toml`" for mode in Mode)), rows),
    ]


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _attribute_texts(model: type[BaseModel]) -> dict[str, str]:
    """The text below each field: Python keeps it in the source alone."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - a class was given
    texts: dict[str, str] = {}
    for statement, following in pairwise(definition.body):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = " ".join(text.split())
            case _:
                pass
    return texts


def _text_of_type(annotation: object) -> str:
    return _first_paragraph(annotation) if isinstance(annotation, EnumType) else ""


def _first_paragraph(documented: type) -> str:
    text = (inspect.getdoc(documented) or "").split("\n\n")[0]
    return " ".join(text.replace("``", "`").split())


def _values(field: FieldInfo) -> str:
    return ", ".join([_type_words(field.annotation), *_limits(field)])


def _type_words(annotation: object) -> str:
    if get_origin(annotation) in {Union, types.UnionType}:
        return " or ".join(
            _type_words(part) for part in get_args(annotation) if part is not type(None)
        )
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if isinstance(annotation, EnumType):
        members: Iterable[Any] = annotation
        return ", ".join(f"`{member}`" for member in members)
    words: dict[object, str] = {
        int: "whole number",
        float: "number",
        str: "text",
        Path: "path",
        SecretStr: "secret",
        tuple[str, ...]: "list of texts",
    }
    return words[annotation]


def _limits(field: FieldInfo) -> Iterator[str]:
    for rule in field.metadata:
        match rule:
            case annotated_types.Ge(ge=bound):
                yield f"≥ {bound}"
            case annotated_types.Gt(gt=bound):
                yield f"> {bound}"
            case annotated_types.Le(le=bound):
                yield f"≤ {bound}"
            case _:
                raise NotImplementedError(f"say in words what {rule!r} means")


def _default(field: FieldInfo) -> str:
    default: object = field.default
    if default is None:
        return "none"
    return "empty" if default == () else f"`{default}`"


# Commands.


def commands_page() -> str:
    """The reference of the commands."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)  # noqa: S101 - several commands make a group
    lines = [NOTICE, "", "# Commands", "", COMMANDS_INTRODUCTION, ""]
    rows = [
        (f"[`apex {name}`](#apex-{name})", command.help or "")
        for name, command in group.commands.items()
    ]
    lines += [*_table(("command", "what it does"), rows), ""]
    for name, command in group.commands.items():
        lines += [f"## apex {name}", "", command.help or "", ""]
        parameters = [_parameter(parameter) for parameter in command.params]
        lines += [*_table(("argument or option", "meaning", "default"), parameters), ""]
    return "\n".join(lines).rstrip() + "\n"


def _parameter(parameter: Any) -> tuple[str, str, str]:
    """Name, meaning and default of an option or argument; typer's own class has no public name."""
    is_option = parameter.param_type_name == "option"
    name = ", ".join(parameter.opts) if is_option else parameter.name.upper()
    if is_option and not parameter.is_flag:
        name += f" {parameter.name.upper()}"
    if parameter.nargs == -1:
        name += " …"
    meaning = parameter.help or ""
    if parameter.envvar:
        meaning += f" Variable: `{parameter.envvar}`."
    return f"`{name}`", meaning, _parameter_default(parameter)


def _parameter_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return str(parameter.show_default)
    if getattr(parameter, "is_flag", False):
        return "off"
    return "none" if parameter.default is None else f"`{parameter.default}`"


# Markdown.


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


if __name__ == "__main__":
    sys.exit(main())
