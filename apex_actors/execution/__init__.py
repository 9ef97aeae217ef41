"""Runs, from acceptance to one of their exits, for any pipeline of agents.

Knows storage and the protocol; must not know costs, agents, sockets or HTTP.
"""

from apex_actors.execution.acceptance import Acceptance, Accepted, MessageToAccept
from apex_actors.execution.cancellation import Cancellation, CancelOutcome, Stopped
from apex_actors.execution.context import UserExecutionContext
from apex_actors.execution.engine import UserExecutionEngine
from apex_actors.execution.exits import RunExits
from apex_actors.execution.factory import ExecutionEngineFactory
from apex_actors.execution.janitor import LookForDeletions, RetentionJanitor, ThreadJanitor
from apex_actors.execution.journal import Journal, RunJournal
from apex_actors.execution.ledger import RunLedger, Said
from apex_actors.execution.making import Making
from apex_actors.execution.pipeline import Answer, Pipeline, RunAssignment, RunEnded, StopWork
from apex_actors.execution.publishing import Announcer
from apex_actors.execution.run_queue import Priority
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.execution.sweeper import RunSweeper
from apex_actors.execution.threads import ThreadService
from apex_actors.execution.work_pool import WorkPool
from apex_actors.execution.worker import Drain, HandOver, WorkAvailable, Worker

__all__ = [
    "Acceptance",
    "Accepted",
    "Announcer",
    "Answer",
    "CancelOutcome",
    "Cancellation",
    "Drain",
    "ExecutionEngineFactory",
    "ExecutionSettings",
    "HandOver",
    "Journal",
    "LookForDeletions",
    "Making",
    "MessageToAccept",
    "Pipeline",
    "Priority",
    "RetentionJanitor",
    "RunAssignment",
    "RunEnded",
    "RunExits",
    "RunJournal",
    "RunLedger",
    "RunSweeper",
    "Said",
    "StopWork",
    "Stopped",
    "ThreadJanitor",
    "ThreadService",
    "UserExecutionContext",
    "UserExecutionEngine",
    "WorkAvailable",
    "WorkPool",
    "Worker",
]
