"""The cost pipeline: data, optimization and report agent, and what becomes of their results."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from uuid import UUID

from apex_actors.actors import ActorRef, LoopActor
from apex_actors.agents.cost_tools import PlanArguments, compose, dump, load, plan_key
from apex_actors.agents.data_agent import DataAgent
from apex_actors.agents.optimization_agent import OptimizationAgent
from apex_actors.agents.report_agent import ReportAgent
from apex_actors.agents.sub_agent import SubAgent
from apex_actors.agents.supervisor import SupervisorAgent
from apex_actors.costs.charts import charts_of
from apex_actors.costs.levers import SavingsPlan
from apex_actors.costs.markdown import render_markdown
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.report import CostReport
from apex_actors.costs.timerange import TimeRange
from apex_actors.execution.pipeline import Answer, RunAssignment
from apex_actors.protocol.payloads import AgentName, Artifact
from apex_actors.storage.cache import ResultCache
from apex_actors.storage.errors import CacheUnavailableError
from apex_actors.storage.savings import SavingsStore
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.work import WorkRunner

logger = logging.getLogger(__name__)

#: The forms in which an answer can be fetched: the kind of the artifact, and its name.
REPORT_FORMS: Final = (
    ("html", "report.html"),
    ("markdown", "report.md"),
    ("csv", "report.csv"),
    ("json", "report.json"),
)


@dataclass(frozen=True, slots=True)
class _Step:
    name: AgentName
    opening: str
    essential: bool
    start: Callable[[LoopActor, RunAssignment], ActorRef[Any]]


@dataclass(frozen=True, slots=True)
class _Answering:
    """What becomes of the results of one run."""

    pipeline: "CostPipeline"
    run_id: UUID

    def answer(self, results: Mapping[AgentName, Mapping[str, Any]]) -> Answer | None:
        return self.pipeline.answer(self.run_id, results)

    async def after_completion(
        self, assignment: RunAssignment, results: Mapping[AgentName, Mapping[str, Any]]
    ) -> None:
        await self.pipeline.after_completion(assignment, results)


class CostPipeline:
    """Answers questions about AI costs from the tenant's own records.

    :param work: does what takes long beside the event loop.
    :param sign_link: makes a path of this server a URL that opens it for a while without a token.
    """

    name: ClassVar[str] = "costs"

    def __init__(
        self,
        *,
        usage: UsageRepository,
        savings: SavingsStore,
        catalogue: PriceCatalogue,
        cache: ResultCache,
        work: WorkRunner,
        sign_link: Callable[[str], str],
    ) -> None:
        self._usage = usage
        self._savings = savings
        self._catalogue = catalogue
        self._cache = cache
        self._work = work
        self._sign_link = sign_link
        self._steps = (
            _Step(DataAgent.name, DataAgent.opening, essential=True, start=self._start_data),
            _Step(
                OptimizationAgent.name,
                OptimizationAgent.opening,
                essential=False,
                start=self._start_optimization,
            ),
            _Step(ReportAgent.name, ReportAgent.opening, essential=True, start=self._start_report),
        )

    def start_supervisor(
        self, engine: LoopActor, assignment: RunAssignment
    ) -> ActorRef[SupervisorAgent]:
        """Start the supervisor of a run as a child of its engine."""
        return engine.start_child(
            SupervisorAgent,
            assignment=assignment,
            engine=engine.ref,
            steps=self._steps,
            assembly=_Answering(self, assignment.context.run_id),
        )

    def answer(self, run_id: UUID, results: Mapping[AgentName, Mapping[str, Any]]) -> Answer | None:
        """The report agent's answer, or what the figures alone allow, with links to its forms."""
        written = results.get(AgentName.REPORT)
        if written is not None:
            report = load(CostReport, written["report"])
            return Answer(written["content"], written["report"], self._artifacts(run_id, report))
        data = results.get(AgentName.DATA)
        if data is None:
            return None
        report = compose(data, results.get(AgentName.OPTIMIZATION))
        return Answer(render_markdown(report), dump(report), self._artifacts(run_id, report))

    def _artifacts(self, run_id: UUID, report: CostReport) -> tuple[Artifact, ...]:
        forms = [(kind, name, name) for kind, name in REPORT_FORMS]
        charts = [("chart", f"{name}.svg", f"charts/{name}.svg") for name in charts_of(report)]
        return tuple(
            Artifact(name=name, kind=kind, url=self._sign_link(f"/api/runs/{run_id}/{path}"))
            for kind, name, path in (*forms, *charts)
        )

    async def after_completion(
        self, assignment: RunAssignment, results: Mapping[AgentName, Mapping[str, Any]]
    ) -> None:
        """Keep the recommendations for the next question about the same data."""
        optimization = results.get(AgentName.OPTIMIZATION)
        if optimization is None:
            return
        plan = load(SavingsPlan, optimization["plan"])
        if plan.pending_requests:
            return  # the next question may find more of it
        data = results[AgentName.DATA]
        arguments = PlanArguments(
            time_range=load(TimeRange, data["time_range"]),
            data_version=optimization["data_version"],
            requests=plan.requests,
        )
        key = plan_key(assignment.context.org, arguments, plan.price_version)
        try:
            await self._cache.put(key, optimization["plan"])
        except CacheUnavailableError:
            logger.info("recommendations were not cached; the next run works them out again")

    def _start_data(self, supervisor: LoopActor, assignment: RunAssignment) -> ActorRef[SubAgent]:
        return supervisor.start_child(
            DataAgent,
            assignment=assignment,
            usage=self._usage,
            catalogue=self._catalogue,
        )

    def _start_optimization(
        self, supervisor: LoopActor, assignment: RunAssignment
    ) -> ActorRef[SubAgent]:
        return supervisor.start_child(
            OptimizationAgent,
            assignment=assignment,
            usage=self._usage,
            savings=self._savings,
            catalogue=self._catalogue,
            cache=self._cache,
            work=self._work,
        )

    def _start_report(self, supervisor: LoopActor, assignment: RunAssignment) -> ActorRef[SubAgent]:
        return supervisor.start_child(ReportAgent, assignment=assignment)
