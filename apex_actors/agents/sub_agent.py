"""What all sub-agents share: a step is performed, and told of as it goes."""

import abc
import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

from pydantic import BaseModel

from apex_actors.actors import LoopActor
from apex_actors.agents.tools import Tool, ToolCallContext, ToolFailedError, arguments_json
from apex_actors.execution.patience import patiently
from apex_actors.execution.pipeline import RunAssignment
from apex_actors.protocol.payloads import (
    AgentName,
    AgentThinking,
    FinalAgentStatus,
    FinalToolStatus,
    ToolCompleted,
    ToolExecuting,
    ToolStatus,
)
from apex_actors.storage.errors import StorageUnavailableError

Output = TypeVar("Output")
Arguments = TypeVar("Arguments", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class PerformStep:
    """Do your part; ``results`` holds what the agents before you found. Replied StepOutcome."""

    step: int
    results: Mapping[AgentName, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What a step found: ``result`` is JSON-ready and goes to the agents behind."""

    status: FinalAgentStatus
    summary: str
    result: Mapping[str, Any]


class SubAgent(LoopActor, abc.ABC):
    """Performs one step of one run.

    Receives PerformStep from its supervisor, and replies with the outcome or raises; the
    supervisor says that it began and ended. Owns the tool calls in flight. When it dies, the
    supervisor's request fails.
    """

    name: ClassVar[AgentName]
    opening: ClassVar[str]
    """What the user reads when the agent begins."""

    def __init__(self, *, assignment: RunAssignment) -> None:
        super().__init__()
        self.context = assignment.context
        self._journal = assignment.journal
        self._tool_limit_s = assignment.settings.tool_limit_s
        self._patience_s = float(assignment.settings.lease_s)
        self._step = 0
        self._calls = 0

    @abc.abstractmethod
    async def work(self, results: Mapping[AgentName, Mapping[str, Any]]) -> StepOutcome:
        """Do the part of this agent; think at least once and use at least one tool."""

    def on_receive(self, message: object) -> object:
        if isinstance(message, PerformStep):
            return self._perform(message)
        return super().on_receive(message)

    def think(self, reasoning: str, progress: float) -> None:
        """Tell the user what a person wants to know while waiting; ``progress`` is 0 to 1."""
        self._journal.say(self.name, AgentThinking(reasoning=reasoning, progress=progress))

    async def use(self, tool: Tool[Arguments, Output], arguments: Arguments) -> Output:
        """Call a tool within its time limit, again and again while its database is away for a moment.

        Raises ToolFailedError for an error or time-out, and StorageUnavailableError when the
        tool's database stays away for as long as a lease, which ends the attempt at the run and not
        the run. Several at once belong in a TaskGroup: it cancels the others when one fails.
        """
        self._calls += 1
        call_id = uuid4().hex
        context = ToolCallContext(self.context, f"{self.context.run_id}/{self._step}/{self._calls}")
        self._journal.say(
            self.name,
            ToolExecuting(
                tool_call_id=call_id, tool=tool.name, arguments=arguments_json(arguments)
            ),
        )
        started = time.monotonic()

        def completed(status: FinalToolStatus, result: str) -> None:
            self._journal.say(
                self.name,
                ToolCompleted(
                    tool_call_id=call_id,
                    tool=tool.name,
                    status=status,
                    result=result,
                    duration_ms=_ms_since(started),
                ),
            )

        try:
            async with asyncio.timeout(self._tool_limit_s):
                output = await self._run(tool, arguments, context)
        except TimeoutError:
            completed(ToolStatus.TIMEOUT, f"Stopped after {self._tool_limit_s:g} s.")
            raise ToolFailedError(tool.name, "took too long") from None
        except StorageUnavailableError:
            # Nothing can be stored now, so nothing can be told: the run is taken over later.
            raise
        except Exception as error:
            completed(ToolStatus.ERROR, "The tool failed.")
            raise ToolFailedError(tool.name, f"failed: {type(error).__name__}") from error
        completed(ToolStatus.OK, tool.summary(output))
        return output

    async def _run(
        self, tool: Tool[Arguments, Output], arguments: Arguments, context: ToolCallContext
    ) -> Output:
        if not tool.is_repeatable:
            return await tool.run(arguments, context)
        return await patiently(
            f"the tool {tool.name}",
            lambda _: tool.run(arguments, context),
            give_up_s=self._patience_s,
        )

    async def _perform(self, message: PerformStep) -> StepOutcome:
        self._step = message.step
        return await self.work(message.results)


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
