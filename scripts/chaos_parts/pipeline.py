"""What the runs of chaos do: three quick sub-agents whose tools change the world outside.

It stands in the place of the cost pipeline, so that a minute holds hundreds of runs; supervisor,
sub-agents, tools, journal and exits are the product's own.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from apex_actors.actors import ActorRef, LoopActor
from apex_actors.agents.sub_agent import StepOutcome, SubAgent
from apex_actors.agents.supervisor import SupervisorAgent
from apex_actors.agents.tools import ToolCallContext, ToolFailedError
from apex_actors.execution import Answer, RunAssignment
from apex_actors.protocol.payloads import SUB_AGENTS, AgentName, AgentStatus
from apex_actors.storage.cache import ResultCache
from apex_actors.storage.errors import CacheUnavailableError
from chaos_parts.effects import ask_for_effect

ESSENTIAL: Final = frozenset({AgentName.DATA, AgentName.REPORT})

CALLS: Final[Mapping[AgentName, int]] = {
    AgentName.DATA: 2,
    AgentName.OPTIMIZATION: 1,
    AgentName.REPORT: 1,
}
"""Tool calls of each agent."""

SHORTEST_CALL_S: Final = 0.02
LONGEST_CALL_S: Final = 0.25

HANG_S: Final = 60.0
"""Beyond every limit of a tool."""

HANGING_PERCENT: Final = 2
CRASHING_PERCENT: Final = 4


class EffectArguments(BaseModel):
    """What a call is about; the user sees it."""

    question: str


@dataclass(frozen=True)
class EffectTool:
    """Changes the world outside, at a pace that the call's key decides."""

    port: int
    number: int
    step: int
    slowness: float
    name: str = "change_the_world"
    is_repeatable: bool = True
    """What was asked for under the same key happens once."""

    async def run(self, arguments: EffectArguments, context: ToolCallContext) -> str:
        """Half of the time before the effect, half behind it."""
        run = context.execution
        what = f"{run.run_id}/{self.step}/{self.number}"
        share = _share(what)
        half_s = self.slowness * (LONGEST_CALL_S - SHORTEST_CALL_S) * share / 2
        await asyncio.sleep(self.slowness * SHORTEST_CALL_S + half_s)
        if share * 100 < HANGING_PERCENT:
            await asyncio.sleep(HANG_S)
        await ask_for_effect(
            self.port, key=context.idempotency_key, what=what, user=f"{run.org}/{run.sub}"
        )
        await asyncio.sleep(half_s)
        return arguments.question

    def summary(self, output: str) -> str:
        """One line for people."""
        return f"done for {output}"


class EffectAgent(SubAgent):
    """Thinks, changes the world as often as its part asks for, and hands on what it was asked."""

    name = AgentName.DATA
    opening = "I begin."

    def __init__(self, *, assignment: RunAssignment, name: AgentName, scene: "Scene") -> None:
        super().__init__(assignment=assignment)
        self.name = name  # type: ignore[misc]  # one class for the three of them
        self._scene = scene
        self._first_try = assignment.ledger.tries(name) == 0

    async def work(self, results: Mapping[AgentName, Mapping[str, Any]]) -> StepOutcome:
        """Its part; some raise at their first try, some tools hang."""
        question = self.context.question
        self.think(f"I look at: {question}", 0.2)
        missed = 0
        for number in range(1, CALLS[self.name] + 1):
            tool = EffectTool(self._scene.effects_port, number, self._step, self._scene.slowness)
            try:
                await self.use(tool, EffectArguments(question=question))
            except ToolFailedError:
                missed += 1
        mark = f"{self.context.run_id}/{self.name}"
        if self._first_try and _share(mark) * 100 < CRASHING_PERCENT and self._scene.once(mark):
            raise RuntimeError("a sub-agent breaks now and then")
        before = await self._remembered()
        self.think(f"Last time it was: {before}", 0.9)
        return StepOutcome(
            AgentStatus.DEGRADED if missed else AgentStatus.OK,
            f"done: {question}",
            {"question": question, "missed": missed, "before": sorted(results)},
        )

    async def _remembered(self) -> str:
        with contextlib.suppress(CacheUnavailableError):
            cached = await self._scene.cache.get(_cache_key(self.context.org, self.context.sub))
            if cached is not None:
                return str(cached["question"])
        return "nothing"


class Scene:
    """What the agents of one process share."""

    def __init__(self, *, effects_port: int, cache: ResultCache, slowness: float) -> None:
        self.effects_port = effects_port
        self.cache = cache
        self.slowness = slowness
        self._marks: set[str] = set()

    def once(self, mark: str) -> bool:
        """True the first time that this process is asked about ``mark``."""
        if mark in self._marks:
            return False
        self._marks.add(mark)
        return True


@dataclass
class EffectStep:
    """Starts the agent of one step."""

    name: AgentName
    scene: Scene
    opening: str = "I begin."

    @property
    def essential(self) -> bool:
        """Whether the run fails with it."""
        return self.name in ESSENTIAL

    def start(self, supervisor: LoopActor, assignment: RunAssignment) -> ActorRef[SubAgent]:
        """Start it."""
        return supervisor.start_child(
            EffectAgent, assignment=assignment, name=self.name, scene=self.scene
        )


class EffectPipeline:
    """The three steps, and what becomes of their results."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def start_supervisor(self, engine: LoopActor, assignment: RunAssignment) -> ActorRef[Any]:
        """Start the run's supervisor."""
        steps = tuple(EffectStep(name, self._scene) for name in SUB_AGENTS)
        assembly = _Assembly(self._scene.cache)
        return engine.start_child(
            SupervisorAgent,
            assignment=assignment,
            engine=engine.ref,
            steps=steps,
            assembly=assembly,
        )

    def answer(self, run_id: UUID, results: Mapping[AgentName, Mapping[str, Any]]) -> Answer | None:
        """The same for every attempt."""
        del run_id
        return answer_of(results)


@dataclass
class _Assembly:
    cache: ResultCache

    def answer(self, results: Mapping[AgentName, Mapping[str, Any]]) -> Answer | None:
        return answer_of(results)

    async def after_completion(
        self, assignment: RunAssignment, results: Mapping[AgentName, Mapping[str, Any]]
    ) -> None:
        del results
        context = assignment.context
        with contextlib.suppress(CacheUnavailableError):
            await self.cache.put(
                _cache_key(context.org, context.sub), {"question": context.question}
            )


def answer_of(results: Mapping[AgentName, Mapping[str, Any]]) -> Answer | None:
    """Who contributed, and to which question."""
    data = results.get(AgentName.DATA)
    if data is None:
        return None
    return Answer(f"# Answer to {data['question']}", {"of": sorted(results), **data})


def _cache_key(org: str, sub: str) -> str:
    return f"chaos:{org}:{sub}"


def _share(text: str) -> float:
    """From 0 to 1, always the same for a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) / 2**32
