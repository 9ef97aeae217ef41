"""What is let in: by one node at the same moment, and by all nodes together."""

import pytest

from apex_actors.execution import ExecutionSettings, MessageToAccept
from apex_actors.execution.admission import COUNT_LIFE_S, Admission
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.violation import ProtocolViolation


def test_a_node_with_its_hands_full_refuses_and_says_when_to_come_back():
    admission = Admission(ExecutionSettings(accepting_per_node=2))
    with admission.turn():
        with admission.turn(), pytest.raises(ProtocolViolation) as refused, admission.turn():
            pass
        assert refused.value.code is ErrorCode.QUEUE_FULL
        assert refused.value.retry_after_ms > 0
        with admission.turn():  # one has left
            pass


def test_whoever_fails_leaves_its_place_too():
    admission = Admission(ExecutionSettings(accepting_per_node=1))
    for _ in range(3):
        with pytest.raises(KeyError), admission.turn():
            raise KeyError


async def test_unfinished_runs_are_counted_once_a_second(acceptance, user_id, database, finish):
    now_s = 100.0
    admission = Admission(ExecutionSettings(unfinished_in_all=2), now_s=lambda: now_s)

    async def refusal():
        try:
            async with database.connection() as connection:
                await admission.check(connection)
        except ProtocolViolation as violation:
            return violation
        return None

    assert await refusal() is None
    run_ids = [(await acceptance.accept(message(user_id))).run_id for _ in range(2)]
    assert await refusal() is None  # by the count of before
    now_s += COUNT_LIFE_S
    refused = await refusal()
    assert refused.code is ErrorCode.QUEUE_FULL
    assert refused.retry_after_ms > 0
    await finish(run_ids[0])
    assert await refusal() is not None
    now_s += COUNT_LIFE_S
    assert await refusal() is None


def message(user_id):
    return MessageToAccept(user_id=user_id, text="How much?", pipeline="costs")
