"""Runs as they stand, for whoever comes late."""

from apex_actors.gateway.handlers.owner import owner_of
from apex_actors.gateway.router import HandlerTable
from apex_actors.gateway.session import Session
from apex_actors.gateway.views import view_of_run
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.messages import GetRun
from apex_actors.protocol.notices import RunReply
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.run_records import RunRecords


class RunStateHandlers:
    """Answer what a run is like now."""

    def __init__(self, *, runs: RunRecords) -> None:
        self._runs = runs

    def table(self) -> HandlerTable:
        """Handler by type of message."""
        return {GetRun: self.get_run}

    async def get_run(self, message: GetRun, session: Session) -> RunReply:
        """All that is needed to draw the run; events up to ``seq`` are in it."""
        snapshot = await self._runs.of_user(owner_of(session), message.run_id)
        if snapshot is None:
            raise ProtocolViolation(ErrorCode.RUN_NOT_FOUND, "There is no such run.")
        return RunReply.of(view_of_run(snapshot.run, seq=snapshot.seq))
