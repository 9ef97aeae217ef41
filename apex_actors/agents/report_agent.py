"""The report agent: the answer, in words and tables."""

import asyncio
from collections.abc import Mapping
from typing import Any

from apex_actors.agents.cost_tools import ComposeReport, ReportArguments, dump
from apex_actors.agents.sub_agent import StepOutcome, SubAgent
from apex_actors.costs.formatting import plural
from apex_actors.costs.markdown import render_markdown
from apex_actors.protocol.payloads import AgentName, AgentStatus


class ReportAgent(SubAgent):
    """Composes the structured report and its Markdown from the results of the others."""

    name = AgentName.REPORT
    opening = "I write your report."

    async def work(self, results: Mapping[AgentName, Mapping[str, Any]]) -> StepOutcome:
        complete = AgentName.OPTIMIZATION in results
        sections = ("figures", "savings") if complete else ("figures",)
        self.think(
            "Putting the figures and the savings together."
            if complete
            else "The savings are missing; I write what the figures allow.",
            0.2,
        )
        report = await self.use(ComposeReport(results), ReportArguments(sections=sections))
        gaps = len(report.data_gaps)
        self.think(
            f"The report names {plural(gaps, 'gap')} in the data."
            if gaps
            else "Nothing is missing.",
            0.9,
        )
        return StepOutcome(
            AgentStatus.OK if complete else AgentStatus.DEGRADED,
            f"{report.title}.",
            {
                "content": await asyncio.to_thread(render_markdown, report),
                "report": await asyncio.to_thread(dump, report),
            },
        )
