"""What a person or a program sees of a run: a live picture, plain lines, or JSON lines.

Texts come from models and from users' data: control characters are taken out of them, so that
nothing in a run can steer the reader's terminal, and they are never read as markup.
"""

import json
import time
import unicodedata
from collections.abc import Callable, Mapping
from enum import StrEnum
from threading import Lock
from typing import Any, Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.text import Text
from rich.tree import Tree

from apex_actors.cli.run_picture import AgentPicture, RunPicture, ToolPicture
from apex_actors.protocol import (
    AgentCompleted,
    AgentStarted,
    AgentStatus,
    AgentThinking,
    Event,
    EventPayload,
    FinalResponse,
    MessageCreated,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStatus,
    ToolCompleted,
    ToolExecuting,
    ToolStatus,
    is_event,
)

REFRESH_HZ: Final = 12
"""Pictures a second: smooth for a spinner, little for a terminal over a slow line."""

MAX_ARGUMENT_CHARS: Final = 40
"""Longest value of a tool's argument that is shown whole."""

_MARKS: Final[Mapping[str, tuple[str, str]]] = {
    AgentStatus.OK: ("✓", "green"),
    AgentStatus.DEGRADED: ("◐", "yellow"),
    AgentStatus.FAILED: ("✗", "red"),
    ToolStatus.ERROR: ("✗", "red"),
    ToolStatus.TIMEOUT: ("⏱", "yellow"),
    ToolStatus.ABORTED: ("⊘", "yellow"),
}


class ViewKind(StrEnum):
    """How a run is shown."""

    LIVE = "live"
    PLAIN = "plain"
    JSON = "json"

    @classmethod
    def choose(cls, *, as_json: bool, interactive: bool) -> Self:
        """JSON where asked for, else live in a terminal and plain where the output is piped."""
        if as_json:
            return cls("json")
        return cls("live" if interactive else "plain")


class View(Protocol):
    """Shows a run from the frames a client receives."""

    def frame(self, raw: Mapping[str, Any]) -> None:
        """Take in the next frame as received."""

    def finish(self) -> None:
        """Nothing follows: leave the terminal in order. Call it also after an error."""


def open_view(kind: ViewKind, console: Console) -> View:
    """A view of this kind on `console`."""
    match kind:
        case ViewKind.JSON:
            return JsonView(console)
        case ViewKind.PLAIN:
            return PlainView(console)
        case ViewKind.LIVE:
            return LiveView(console)


class JsonView:
    """Each received frame as one line of JSON."""

    def __init__(self, console: Console) -> None:
        self._file = console.file

    def frame(self, raw: Mapping[str, Any]) -> None:
        # Escaped to ASCII: a program reads it the same, a terminal finds no control codes in it.
        self._file.write(json.dumps(raw, separators=(",", ":")) + "\n")
        self._file.flush()

    def finish(self) -> None:
        self._file.flush()


class PlainView:
    """One readable line an event, and the answer's Markdown as it is."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def frame(self, raw: Mapping[str, Any]) -> None:
        event = _event(raw)
        if event is None:
            line = _notice_line(raw)
        else:
            speaker = f"{event.agent}: " if event.agent is not None else ""
            said = _event_line(event.body())
            line = None if said is None else speaker + said
        if line is not None:
            self._console.print(
                clean(line), markup=False, highlight=False, emoji=False, soft_wrap=True
            )

    def finish(self) -> None:
        """Every line stands already."""


class LiveView:
    """Draws a run as it goes: agents as a tree, then the report rendered.

    Follows the run of the first `message_accepted`; before it comes, the latest run.
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        # The picture is drawn by a thread of its own, so that the spinner turns while we wait.
        self._lock = Lock()
        self._runs: dict[object, RunPicture] = {}
        self._followed: object = None
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            console=console, refresh_per_second=REFRESH_HZ, get_renderable=self.picture
        )

    def frame(self, raw: Mapping[str, Any]) -> None:
        if not self._live.is_started:
            self._live.start()
        event = _event(raw)
        if event is None:
            self._notice(raw)
        elif event.run_id is not None:
            with self._lock:
                self._runs.setdefault(str(event.run_id), RunPicture(self._clock)).apply(event)

    def finish(self) -> None:
        if self._live.is_started:
            self._live.refresh()
            self._live.stop()
        run = self._run()
        if run is not None and run.answer is not None:
            self._console.print()
            self._console.print(Markdown(clean(run.answer.content)))
        if run is not None and run.outcome is not None:
            self._console.print()
            self._console.print(_outcome(run.outcome))

    def _notice(self, raw: Mapping[str, Any]) -> None:
        if raw.get("type") == "message_accepted":
            with self._lock:
                self._followed = self._followed or raw["run_id"]
            return
        line = _notice_line(raw)
        if line is not None and raw.get("type") != "connection_ready":
            style = "red" if raw.get("type") == "error" else "yellow"
            self._console.print(Text(clean(line), style))

    def picture(self) -> RenderableType:
        """The run as it stands."""
        with self._lock:
            return self._picture()

    def _picture(self) -> RenderableType:
        run = self._run()
        if run is None:
            return Group(self._waiting("Connecting"))
        if not run.agents:
            ahead = f" behind {run.position} other" if run.position else ""
            return Group(Text(clean(run.question), "bold"), self._waiting(f"Waiting{ahead}"))
        tree = Tree(Text(clean(run.question), "bold"), guide_style="dim")
        for agent in run.sub_agents:
            branch = tree.add(self._agent(run, agent))
            if agent.status is AgentStatus.RUNNING and agent.thought:
                branch.add(Text(f"{clean(agent.thought)} ({agent.progress:.0%})", "italic dim"))
            for tool in agent.tools.values():
                branch.add(self._tool(tool))
            if agent.result:
                branch.add(Text(clean(agent.result)))
        return tree

    def _run(self) -> RunPicture | None:
        if self._followed in self._runs:
            return self._runs[self._followed]
        return next(reversed(self._runs.values()), None)

    def _agent(self, run: RunPicture, agent: AgentPicture) -> RenderableType:
        said = agent.message if agent.status is AgentStatus.RUNNING else agent.status
        again = f" (try {agent.try_number})" if agent.try_number > 1 else ""
        line = Text.assemble(
            (f"{agent.name}", "bold"),
            f" {clean(said)}{again} ",
            (_duration(run.elapsed_s(agent)), "dim"),
        )
        return self._marked(agent.status, line)

    def _tool(self, tool: ToolPicture) -> RenderableType:
        line = Text.assemble((_call(tool.tool, tool.arguments), "cyan"))
        if tool.duration_ms is not None:
            line.append(f" {_duration(tool.duration_ms / 1000)}", "dim")
        if tool.result:
            line.append(f"  {clean(tool.result)}")
        return self._marked(tool.status, line)

    def _marked(self, status: AgentStatus | ToolStatus, line: Text) -> RenderableType:
        if status in {AgentStatus.RUNNING, ToolStatus.RUNNING}:
            return self._waiting(line)
        mark, style = _MARKS[status]
        return Text.assemble((mark, style), " ", line)

    def _waiting(self, line: str | Text) -> RenderableType:
        # One spinner's picture for all lines, so that they turn together.
        frame = self._spinner.render(self._console.get_time())
        return Text.assemble(frame if isinstance(frame, Text) else "", " ", line)


# -- frames as words -------------------------------------------------------------------------


def clean(text: str) -> str:
    """The text without control characters, except line ends and tabs."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) != "Cc" else "\ufffd" for char in text
    )


def _event(raw: Mapping[str, Any]) -> Event | None:
    return Event.from_wire(raw) if is_event(raw) else None


_NOTICES: Final[Mapping[str, str]] = {
    "connection_ready": "connected as {user_id} ({org})",
    "message_accepted": "accepted as run {run_id}",
    "error": "error: {message} ({code})",
    "service_degraded": "degraded: {message}",
    "service_recovered": "recovered: {components}",
    "server_shutdown": "the server restarts: {reason}",
}


def _notice_line(raw: Mapping[str, Any]) -> str | None:
    template = _NOTICES.get(raw.get("type", ""))
    if template is None:
        return None
    return template.format_map(
        {
            name: ", ".join(value) if isinstance(value, list) else value
            for name, value in raw.items()
        }
    )


def _event_line(body: EventPayload) -> str | None:
    match body:
        case MessageCreated():
            # The answer follows as final_response.
            return f"question: {body.message.content}" if body.message.role == "user" else None
        case RunQueued():
            return f"waiting behind {body.position}"
        case RunResumed():
            return f"resumed by another worker (attempt {body.attempt})"
        case FinalResponse():
            return f"answer:\n\n{body.content.strip()}\n"
        case RunFinished():
            return f"finished: {_outcome(body)}"
        case _:
            return _agent_line(body)


def _agent_line(body: EventPayload) -> str | None:
    match body:
        case AgentStarted():
            again = f" (try {body.try_number})" if body.try_number > 1 else ""
            return f"started{again}: {body.message}"
        case AgentThinking():
            return f"thinking {body.progress:.0%}: {body.reasoning}"
        case ToolExecuting():
            return f"tool {_call(body.tool, body.arguments)}"
        case ToolCompleted():
            took = _duration(body.duration_ms / 1000)
            return f"tool {body.tool} {body.status} after {took}: {body.result}"
        case AgentCompleted():
            return f"done ({body.status}) after {_duration(body.duration_ms / 1000)}: {body.result}"
        case _:
            return None


def _outcome(body: RunFinished) -> Text:
    words = str(body.status).replace("_", " ") + (" (partial answer)" if body.partial else "")
    if body.error is not None:
        words += f": {clean(body.error.message)}"
        if body.error.report_id is not None:
            words += f" (report {body.error.report_id})"
    good = body.status is RunStatus.COMPLETED and not body.partial
    return Text(words, "green" if good else "yellow")


def _call(tool: str, arguments: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{name}={_short(value)}" for name, value in arguments.items())
    return clean(f"{tool}({shown})")


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_ARGUMENT_CHARS else text[: MAX_ARGUMENT_CHARS - 1] + "…"


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
