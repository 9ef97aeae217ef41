"""The page of the commands, from the command line itself."""

from collections.abc import Iterator
from typing import Any

import typer

from apex_actors.cli.app import app
from reference.markdown import NOTICE, table

INTRODUCTION = """\
`apex` is in `.venv/bin` of a checkout, after `./scripts/run` or `./scripts/setup`. Answers and links
go to standard output, progress and errors to standard error. Exit codes: 0 it is done (a server that
drained after a signal too), 1 it did not work and standard error says why, 2 the call is wrong, 130
interrupted."""


def page() -> str:
    """The page."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)  # noqa: S101 - several commands make a group
    commands = dict(_commands(group))
    lines = [NOTICE, "", "# Commands", "", INTRODUCTION, ""]
    rows = [
        (f"[`apex {name}`](#apex-{name.replace(' ', '-')})", command.help or "")
        for name, command in commands.items()
    ]
    lines += [*table(("command", "what it does"), rows), ""]
    for name, command in commands.items():
        lines += [f"## apex {name}", "", command.help or "", ""]
        parameters = [_parameter(parameter) for parameter in command.params]
        lines += [*table(("argument or option", "meaning", "default"), parameters), ""]
    return "\n".join(lines).rstrip() + "\n"


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each command with all that is typed of it; groups are named by what is in them."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


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
