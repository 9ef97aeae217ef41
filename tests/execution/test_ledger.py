"""The ledger: what is open is closed, in the order that the grammar asks for."""

from datetime import UTC, datetime

from apex_actors.execution.ledger import RunLedger, Said
from apex_actors.protocol.payloads import (
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    ToolCompleted,
    ToolExecuting,
    ToolStatus,
)

STARTED = AgentStarted(message="m", step=1, total_steps=3)
COMPLETED = AgentCompleted(status=AgentStatus.OK, result="r", duration_ms=1)


def executing(call_id):
    return ToolExecuting(tool_call_id=call_id, tool="t", arguments={})


def completed(call_id):
    return ToolCompleted(
        tool_call_id=call_id, tool="t", status=ToolStatus.OK, result="r", duration_ms=1
    )


def ledger_of(*said):
    ledger = RunLedger()
    for agent, payload in said:
        ledger.note(Said(agent, payload), datetime.now(UTC))
    return ledger


def test_tools_close_before_agents_and_the_supervisor_last():
    ledger = ledger_of(
        (AgentName.SUPERVISOR, STARTED),
        (AgentName.DATA, STARTED),
        (AgentName.DATA, executing("a")),
        (AgentName.DATA, completed("a")),
        (AgentName.DATA, executing("b")),
    )
    closing = ledger.close_all("stopped")
    assert [(said.agent, type(said.payload)) for said in closing] == [
        (AgentName.DATA, ToolCompleted),
        (AgentName.DATA, AgentCompleted),
        (AgentName.SUPERVISOR, AgentCompleted),
    ]
    assert closing[0].payload.status is ToolStatus.ABORTED
    assert closing[0].payload.tool_call_id == "b"
    assert closing[1].payload.result == "stopped"


def test_nothing_open_needs_no_end():
    ledger = ledger_of(
        (AgentName.DATA, STARTED),
        (AgentName.DATA, executing("a")),
        (AgentName.DATA, completed("a")),
        (AgentName.DATA, COMPLETED),
    )
    assert ledger.close_all("x") == []
    assert ledger.close_tools() == []


def test_tries_are_counted_by_agent():
    ledger = ledger_of((AgentName.DATA, STARTED), (AgentName.DATA, STARTED))
    assert ledger.tries(AgentName.DATA) == 2
    assert ledger.tries(AgentName.REPORT) == 0
