"""Threads that have nothing to do, and those that have."""

import threading
from concurrent.futures import ThreadPoolExecutor

from apex_actors.actors import PoolActor
from apex_actors.actors.testing import ActorTestKit
from apex_actors.actors.testing.threads import rests_in_a_pool, rests_in_an_executor


class Meeting:
    """Two threads meet: the other one has come, and goes when it is let go."""

    def __init__(self):
        self._come = threading.Event()
        self._go = threading.Event()
        self.thread = None

    def attend(self):
        self.thread = threading.current_thread()
        self._come.set()
        return self._go.wait(10)

    def wait(self):
        assert self._come.wait(10)

    def end(self):
        self._go.set()


async def test_a_thread_of_an_executor_rests_when_its_work_is_done(eventually):
    meeting = Meeting()
    with ThreadPoolExecutor(1) as executor:
        working = executor.submit(meeting.attend)
        meeting.wait()
        assert not rests_in_an_executor(meeting.thread)
        meeting.end()
        assert working.result(10)
        await eventually(lambda: rests_in_an_executor(meeting.thread))
        assert not rests_in_a_pool(meeting.thread)
    assert not rests_in_an_executor(meeting.thread), "it has ended"


async def test_a_thread_of_a_pool_rests_between_turns(eventually):
    class Attending(PoolActor):
        def on_receive(self, meeting):
            return meeting.attend()

    meeting = Meeting()
    async with ActorTestKit():
        answer = Attending.start().ask_async(meeting)
        meeting.wait()
        assert not rests_in_a_pool(meeting.thread)
        meeting.end()
        assert await answer
        await eventually(lambda: rests_in_a_pool(meeting.thread))
        assert not rests_in_an_executor(meeting.thread)


def test_a_thread_of_nobody_does_not_rest():
    assert not rests_in_a_pool(threading.current_thread())
    assert not rests_in_an_executor(threading.current_thread())
