"""The agents of the cost pipeline and the supervisor that leads them.

Knows execution, storage and costs; must not know sockets or HTTP.
"""

from apex_actors.agents.cost_pipeline import CostPipeline
from apex_actors.agents.savings_keeper import SavingsKeeper
from apex_actors.agents.sub_agent import PerformStep, StepOutcome, SubAgent
from apex_actors.agents.supervisor import SupervisorAgent
from apex_actors.agents.tools import Tool, ToolCallContext, ToolFailedError

__all__ = [
    "CostPipeline",
    "PerformStep",
    "SavingsKeeper",
    "StepOutcome",
    "SubAgent",
    "SupervisorAgent",
    "Tool",
    "ToolCallContext",
    "ToolFailedError",
]
