"""A place in a group: what dies is started again, what never starts is given up."""

import asyncio
import sys

import pytest

from apex_actors.server import member_keeper
from apex_actors.server.member_keeper import FAILED_STARTS, GroupFailedError, MemberKeeper


class Program:
    """A real process that is ready at once, or never, and ends when it is told or by itself."""

    def __init__(self, process):
        self.process = process

    async def ended(self):
        return await self.process.wait()

    def kill(self):
        if self.process.returncode is None:
            self.process.kill()

    async def end(self, *, within_s):  # noqa: ARG002
        if self.process.returncode is None:
            self.process.stdin.close()
        return await self.process.wait()


class Place:
    """A keeper of programs that run one after the other."""

    def __init__(self, *codes, ready=True):
        self._codes = list(codes)
        self._ready = ready
        self.started = []
        self.stopping, self.group_ready = asyncio.Event(), asyncio.Event()
        self.keeper = MemberKeeper(
            1,
            spawn=self._spawn,
            stopping=self.stopping,
            group_ready=self.group_ready,
            on_ready=self.group_ready.set,
            end_within_s=10,
        )

    async def _spawn(self, _number, on_ready):
        """Each exits with the next code; the last of them stays until it is told."""
        code = self._codes.pop(0)
        stays = "sys.stdin.read(); " if not self._codes else ""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            f"import sys; {stays}sys.exit({code})",
            stdin=asyncio.subprocess.PIPE,
        )
        self.started.append(Program(process))
        if self._ready:
            on_ready()
        return self.started[-1]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(member_keeper, "FIRST_PAUSE_S", 0.01)


async def test_a_process_that_died_is_started_again_and_ends_with_the_group(eventually):
    place = Place(1, 3, 0)
    keeping = asyncio.create_task(place.keeper.keep())
    await eventually(lambda: len(place.started) == 3)
    place.stopping.set()
    await asyncio.wait_for(keeping, 10)
    assert [program.process.returncode for program in place.started] == [1, 3, 0]


async def test_what_fails_at_the_first_start_is_not_tried_again():
    place = Place(1, 0, ready=False)
    with pytest.raises(GroupFailedError, match="exit code 1"):
        await asyncio.wait_for(place.keeper.keep(), 10)
    assert place.stopping.is_set(), "the others are to end too"
    assert len(place.started) == 1


async def test_a_process_that_never_starts_again_is_given_up():
    place = Place(*[1] * (FAILED_STARTS + 1), ready=False)
    place.group_ready.set()
    with pytest.raises(GroupFailedError):
        await asyncio.wait_for(place.keeper.keep(), 30)
    assert len(place.started) == FAILED_STARTS


async def test_pauses_grow_with_each_death(monkeypatch, eventually):
    pauses = []
    monkeypatch.setattr(
        asyncio, "timeout", lambda delay, real=asyncio.timeout: (pauses.append(delay), real(0))[1]
    )
    place = Place(1, 1, 1, 0)
    keeping = asyncio.create_task(place.keeper.keep())
    await eventually(lambda: len(place.started) == 4)
    monkeypatch.undo()
    place.stopping.set()
    await keeping
    assert pauses == [0.01, 0.02, 0.04]


async def test_a_process_that_does_not_end_well_fails_the_group(eventually):
    place = Place(7)
    keeping = asyncio.create_task(place.keeper.keep())
    await eventually(lambda: place.started)
    place.stopping.set()
    with pytest.raises(GroupFailedError, match="exit code 7"):
        await asyncio.wait_for(keeping, 10)


async def test_a_killed_process_is_named_by_its_signal(eventually):
    place = Place(0)
    keeping = asyncio.create_task(place.keeper.keep())
    await eventually(lambda: place.started)
    place.stopping.set()
    place.keeper.kill()
    with pytest.raises(GroupFailedError, match="SIGKILL"):
        await asyncio.wait_for(keeping, 10)
