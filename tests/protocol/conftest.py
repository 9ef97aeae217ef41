"""A script of one run, event by event, for the tests that read runs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from apex_actors.protocol import (
    SUB_AGENTS,
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    AgentThinking,
    ChatMessage,
    Event,
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

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


class RunScript:
    """Writes the events of one run; each method appends one and returns the script."""

    def __init__(self, *, seq: int = 0, thread_id: UUID | None = None) -> None:
        self.thread_id = thread_id or uuid4()
        self.run_id = uuid4()
        self.message_id = uuid4()
        self.attempt = 0
        self.seq = seq
        self.events: list[Event] = []

    def say(self, payload: EventPayload, agent: AgentName | None = None) -> "RunScript":
        self.seq += 1
        event = Event.of(
            payload,
            seq=self.seq,
            event_id=uuid4(),
            ts=START + timedelta(seconds=self.seq),
            thread_id=self.thread_id,
            run_id=self.run_id,
            agent=agent,
            attempt=self.attempt,
        )
        self.events.append(event)
        return self

    def asked(self) -> "RunScript":
        return self._message(MessageRole.USER, self.message_id)

    def queued(self, position: int = 1) -> "RunScript":
        return self.say(RunQueued(position=position))

    def started(self, agent: AgentName, try_number: int = 1) -> "RunScript":
        if agent is AgentName.SUPERVISOR:
            self.attempt = self.attempt or 1
        payload = AgentStarted(message="Working", step=1, total_steps=3, try_number=try_number)
        return self.say(payload, agent)

    def thought(self, agent: AgentName) -> "RunScript":
        return self.say(AgentThinking(reasoning="Looking at the totals", progress=0.5), agent)

    def called(self, agent: AgentName, call: str) -> "RunScript":
        return self.say(ToolExecuting(tool_call_id=call, tool="totals", arguments={}), agent)

    def returned(
        self, agent: AgentName, call: str, status: ToolStatus = ToolStatus.OK
    ) -> "RunScript":
        payload = ToolCompleted(
            tool_call_id=call, tool="totals", status=status, result="done", duration_ms=5
        )
        return self.say(payload, agent)

    def completed(self, agent: AgentName, status: AgentStatus = AgentStatus.OK) -> "RunScript":
        return self.say(AgentCompleted(status=status, result="done", duration_ms=9), agent)

    def worked(self, agent: AgentName, status: AgentStatus = AgentStatus.OK) -> "RunScript":
        """All that a sub-agent says when nothing goes wrong."""
        call = f"{agent}-1"
        self.started(agent).thought(agent).called(agent, call).returned(agent, call)
        return self.completed(agent, status)

    def resumed(self, next_agent: AgentName) -> "RunScript":
        self.attempt = self.attempt or 1
        return self.say(
            RunResumed(attempt=self.attempt, next_agent=next_agent), AgentName.SUPERVISOR
        )

    def answered(self) -> "RunScript":
        self._message(MessageRole.ASSISTANT, uuid4())
        return self.say(FinalResponse(content="# Costs", report={}), AgentName.SUPERVISOR)

    def finished(
        self, status: RunStatus = RunStatus.COMPLETED, *, partial: bool = False
    ) -> "RunScript":
        return self.say(RunFinished(status=status, partial=partial))

    def whole(self) -> "RunScript":
        """A complete run in which nothing goes wrong."""
        self.asked().started(AgentName.SUPERVISOR)
        for agent in SUB_AGENTS:
            self.worked(agent)
        return self.completed(AgentName.SUPERVISOR).answered().finished()

    def _message(self, role: MessageRole, message_id: UUID) -> "RunScript":
        message = ChatMessage(id=message_id, role=role, content="words", created_at=START)
        return self.say(MessageCreated(message=message))


@pytest.fixture(scope="session")
def run_script() -> Callable[..., RunScript]:
    """Makes an empty script."""
    return RunScript
