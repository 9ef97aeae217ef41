"""The grammar of one run's events, as a state machine that names each step off it.

Pure: tests, the load simulation and chaos feed what a client received and read the violations.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pydantic import ValidationError

from apex_actors.protocol.events import Event
from apex_actors.protocol.payloads import (
    SUB_AGENTS,
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    AgentThinking,
    EventPayload,
    FinalResponse,
    MessageCreated,
    MessageRole,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStatus,
    ToolCompleted,
    ToolExecuting,
    ToolStatus,
)

# Numbers of the promises in the architecture document.
ACCEPTED_ONCE: Final = 1
ONE_END: Final = 2
GAPLESS: Final = 3
IN_ORDER: Final = 4
NO_OVERLAP: Final = 5
GRAMMAR: Final = 6
NO_OLDER_ATTEMPT: Final = 7


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise (its number in the architecture document) and what was seen."""

    promise: int
    detail: str


class _Stage(Enum):
    BEGIN = "before its user message"
    WAITING = "before the supervisor started"
    WORKING = "while agents work"
    CLOSING = "after the supervisor completed"
    ANSWERED = "after the assistant message"
    RESPONDED = "after the final response"
    ENDED = "after run_finished"


@dataclass(slots=True)
class _SubAgent:
    """What was seen of one sub-agent; tries add up, for a takeover resumes within its steps."""

    last_try: int = 0
    thoughts: int = 0
    calls: int = 0
    status: AgentStatus | None = None


class RunGrammar:
    """Fed the events of ONE run from its first, in order; reports each step off the grammar.

    `retried` is for a run made by `retry_run`: it works on a message that stands already, so it
    has no `message_created` of its own. After a violation the machine goes on as well as it can.
    """

    def __init__(self, *, retried: bool = False) -> None:
        self._stage = _Stage.WAITING if retried else _Stage.BEGIN
        self._queued = False
        self._attempt = 0
        self._working_attempt = 0
        self._agents = {name: _SubAgent() for name in SUB_AGENTS}
        self._current: AgentName | None = None
        self._open_tools: dict[str, str] = {}
        self._seen_tools: set[str] = set()
        self._resuming = False
        self._found: list[Violation] = []
        self.status: RunStatus | None = None
        """The terminal status, once `run_finished` was seen."""

    @property
    def is_finished(self) -> bool:
        """Whether `run_finished` was seen."""
        return self._stage is _Stage.ENDED

    def check(self, events: Iterable[Event]) -> list[Violation]:
        """What these next events break."""
        found: list[Violation] = []
        for event in events:
            found += self.feed(event)
        return found

    def feed(self, event: Event) -> list[Violation]:
        """What this next event breaks."""
        self._found = []
        try:
            body = event.body()
        except ValidationError as error:
            places = sorted({".".join(map(str, item["loc"])) for item in error.errors()})
            self._break(f"payload of {event.type} does not fit its model: {', '.join(places)}")
            return self._found
        if self._stage is _Stage.ENDED:
            self._break(f"{event.type} after run_finished", ONE_END)
            return self._found
        self._check_attempt(event, body)
        if isinstance(body, MessageCreated | RunQueued | RunResumed | FinalResponse | RunFinished):
            self._take_run_event(body, event.agent)
        else:
            self._take_agent_event(body, event.agent)
        return self._found

    def _take_run_event(self, body: EventPayload, agent: AgentName | None) -> None:
        match body:
            case MessageCreated():
                self._message(body)
            case RunQueued():
                self._need(_Stage.WAITING, body)
                if self._queued:
                    self._break("run_queued twice")
                self._queued = True
            case RunResumed():
                self._resumed(body, agent)
            case FinalResponse():
                self._need(_Stage.ANSWERED, body)
                if agent is not AgentName.SUPERVISOR:
                    self._break("final_response does not come from the supervisor")
                self._stage = _Stage.RESPONDED
            case RunFinished():
                self._finished(body)

    def _take_agent_event(self, body: EventPayload, agent: AgentName | None) -> None:
        match body:
            case AgentStarted() if agent is AgentName.SUPERVISOR:
                self._need(_Stage.WAITING, body)
                self._stage = _Stage.WORKING
            case AgentStarted():
                self._sub_agent_started(body, agent)
            case AgentThinking() | ToolExecuting() | ToolCompleted():
                self._work(body, agent)
            case AgentCompleted() if agent is AgentName.SUPERVISOR:
                self._supervisor_completed(body)
            case AgentCompleted():
                self._sub_agent_completed(body, agent)
            case _:
                self._break(f"{body.event_type} is no event of a run")

    # -- the transitions -----------------------------------------------------------------

    def _message(self, body: MessageCreated) -> None:
        if body.message.role is MessageRole.USER:
            self._need(_Stage.BEGIN, body)
            self._stage = _Stage.WAITING
            return
        self._need(_Stage.CLOSING, body)
        if not any(self._completed()):
            self._break("an answer although no sub-agent had completed")
        self._stage = _Stage.ANSWERED

    def _sub_agent_started(self, body: AgentStarted, agent: AgentName | None) -> None:
        self._need(_Stage.WORKING, body)
        seen = self._agents.get(agent) if agent is not None else None
        if seen is None or agent is None:
            self._break("agent_started names no agent")
            return
        if self._open_tools:
            self._break(f"agent_started({agent}) with open tool calls")
            self._open_tools.clear()
        if agent is not self._next_agent():
            self._break(f"agent_started({agent}) where {self._next_agent()} was due")
        # A new worker may count its tries afresh; the same one goes on counting.
        due = {1, seen.last_try + 1} if self._resuming else {seen.last_try + 1}
        if body.try_number not in due:
            self._break(f"agent_started({agent}) is try {body.try_number} after {seen.last_try}")
        seen.last_try = body.try_number
        self._current = agent
        self._resuming = False

    def _work(
        self, body: AgentThinking | ToolExecuting | ToolCompleted, agent: AgentName | None
    ) -> None:
        self._need(_Stage.WORKING, body)
        seen = self._agents.get(agent) if agent is not None else None
        # Open calls are closed on behalf of a lost worker before run_resumed, so their agent
        # is the one that is still current.
        working = None if self._resuming else self._current
        if seen is None or agent is not working:
            self._break(f"{body.event_type} of {agent} while {working} works")
            return
        match body:
            case AgentThinking():
                seen.thoughts += 1
            case ToolExecuting():
                if body.tool_call_id in self._seen_tools:
                    self._break("a tool_call_id is used twice")
                self._seen_tools.add(body.tool_call_id)
                self._open_tools[body.tool_call_id] = body.tool
            case ToolCompleted():
                tool = self._open_tools.pop(body.tool_call_id, None)
                if tool is None:
                    self._break("tool_completed without an open tool_executing")
                elif tool != body.tool:
                    self._break("tool_completed names another tool than its tool_executing")
                seen.calls += 1

    def _sub_agent_completed(self, body: AgentCompleted, agent: AgentName | None) -> None:
        self._need(_Stage.WORKING, body)
        seen = self._agents.get(agent) if agent is not None else None
        # Nobody can have completed between run_resumed and the next agent_started.
        working = (
            None if self._resuming and body.status is not AgentStatus.FAILED else self._current
        )
        if seen is None or agent is not working:
            self._break(f"agent_completed of {agent} while {working} works")
            return
        if self._open_tools:
            self._break(f"agent_completed({agent}) with open tool calls")
            self._open_tools.clear()
        if body.status is not AgentStatus.FAILED and not (seen.thoughts and seen.calls):
            self._break(f"agent_completed({agent}, {body.status}) without a thought and a tool")
        seen.status = body.status
        self._current = None

    def _supervisor_completed(self, body: AgentCompleted) -> None:
        self._need(_Stage.WORKING, body)
        if self._current is not None:
            self._break(f"agent_completed(supervisor) while {self._current} works")
        self._stage = _Stage.CLOSING

    def _resumed(self, body: RunResumed, agent: AgentName | None) -> None:
        self._need(_Stage.WORKING, body)
        if agent is not AgentName.SUPERVISOR:
            self._break("run_resumed does not come from the supervisor")
        if self._open_tools:
            self._break("run_resumed with open tool calls")
            self._open_tools.clear()
        if body.next_agent is not self._next_agent():
            self._break(f"run_resumed names {body.next_agent} where {self._next_agent()} was due")
        if body.attempt != self._attempt:
            self._break("run_resumed says another attempt than its envelope", NO_OLDER_ATTEMPT)
        # The sub-agent that the lost worker had at work stays open: it is started again, or the
        # run ends before that, and closes it with all else.
        self._resuming = True

    def _finished(self, body: RunFinished) -> None:
        completed = body.status is RunStatus.COMPLETED
        answered = self._stage is _Stage.RESPONDED
        allowed = {_Stage.RESPONDED} if completed else {_Stage.WAITING, _Stage.RESPONDED}
        useful = any(status is not AgentStatus.FAILED for status in self._completed())
        if not completed and not useful:
            allowed.add(_Stage.CLOSING)
        if self._stage not in allowed:
            self._break(f"run_finished({body.status}) {self._stage.value}")
        self._stage = _Stage.ENDED
        self.status = body.status
        statuses = self._completed()
        all_ok = statuses == [AgentStatus.OK] * len(SUB_AGENTS)
        if completed and len(statuses) < len(SUB_AGENTS):
            self._break("run_finished(completed) before every sub-agent completed")
        failed = AgentStatus.FAILED in statuses
        if answered and not body.partial and (failed or not completed):
            self._break(f"run_finished({body.status}) hides that its answer is partial")
        if body.partial and (not answered or (completed and all_ok)):
            self._break(f"run_finished({body.status}) calls partial what is none")

    # -- helpers -------------------------------------------------------------------------

    def _check_attempt(self, event: Event, body: EventPayload) -> None:
        if event.attempt < self._attempt:
            self._break(f"{event.type} of an older attempt", NO_OLDER_ATTEMPT)
            return
        self._attempt = event.attempt
        match body:
            case AgentStarted() if event.agent is AgentName.SUPERVISOR:
                self._working_attempt = event.attempt
            case RunResumed():
                self._working_attempt = event.attempt
            case ToolCompleted(status=ToolStatus.ABORTED):
                # Closing what a lost worker left open comes before run_resumed.
                return
            case AgentStarted() | AgentThinking() | ToolExecuting() | ToolCompleted():
                if event.attempt != self._working_attempt:
                    self._break(
                        f"{event.type} of a new attempt before run_resumed", NO_OLDER_ATTEMPT
                    )

    def _completed(self) -> list[AgentStatus]:
        return [seen.status for seen in self._agents.values() if seen.status is not None]

    def _next_agent(self) -> AgentName:
        for name, seen in self._agents.items():
            if seen.status is None:
                return name
        return AgentName.SUPERVISOR

    def _need(self, stage: _Stage, body: EventPayload) -> None:
        if self._stage is not stage:
            self._break(f"{body.event_type} {self._stage.value}")

    def _break(self, detail: str, promise: int = GRAMMAR) -> None:
        self._found.append(Violation(promise, detail))
