"""The page of the settings, from their models and the files of the modes."""

import ast
import inspect
import textwrap
import tomllib
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import EnumType
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from apex_actors.server.settings import Mode, Settings, config_dir
from reference.markdown import NOTICE, first_paragraph, table

INTRODUCTION = """\
What is set where, the later ones winning: the default in this page, then `config/<mode>.toml`, then
the environment variable, then the flag of a [command](commands.md). A setting that does not exist or
does not fit stops the start with its name and the reason, never with its value.

Settings of a table such as `[gateway]` stand under its name in the file, and behind `__` in the
variable. Lists are written in a variable as JSON: `["https://chat.example.com"]`. Names that end in
`_s` are seconds, in `_bytes` bytes."""


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
        parts = [*self.name.split("."), name] if self.name else [name]
        return "APEX_" + "__".join(part.upper() for part in parts)


def page() -> str:
    """The page."""
    lines = [NOTICE, "", "# Settings", "", INTRODUCTION, ""]
    for section in _sections():
        heading = f"`[{section.name}]`" if section.name else "The server"
        lines += [f"## {heading}", "", first_paragraph(section.model), ""]
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
        lines += [*table(("setting", "variable", "values", "default", "meaning"), rows), ""]
    return "\n".join([*lines, *_files()]) + "\n"


def _sections(name: str = "", model: type[BaseModel] = Settings) -> Iterator[Section]:
    """The table of this name, then those in it."""
    yield Section(name, model)
    for part, field in model.model_fields.items():
        if isinstance(field.annotation, type) and _is_model(field.annotation):
            yield from _sections(f"{name}.{part}" if name else part, field.annotation)


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
        *table(("setting", *(f"`config/{mode}.toml`" for mode in Mode)), rows),
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
    return first_paragraph(annotation) if isinstance(annotation, EnumType) else ""


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
        bool: "`true`, `false`",
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
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "empty" if default == () else f"`{default}`"
