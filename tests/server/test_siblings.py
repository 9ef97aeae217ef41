"""Processes of a group ask each other: who is dead, stuck or broken costs only its figures."""

import asyncio

from apex_actors.server import siblings
from apex_actors.server.siblings import GetConnections, Place, Siblings


def places(folder, count):
    folder.mkdir(parents=True)
    return [Siblings(Place(folder, number, count)) for number in range(1, count + 1)]


async def test_one_hears_all_others_and_not_those_that_are_dead_stuck_or_broken(
    data_dir, monkeypatch
):
    monkeypatch.setattr(siblings, "ANSWER_TIMEOUT_S", 0.2)
    asker, well, dead, stuck, broken = places(data_dir, 5)
    asked = []

    async def answer(question):
        asked.append(question)
        return ["one", "other"]

    async def hang(_question):
        await asyncio.sleep(60)

    async def fail(_question):
        return (part for part in ())  # nothing that can be sent

    await well.serve(answer)
    await stuck.serve(hang)
    await broken.serve(fail)
    await dead.serve(answer)
    await dead.close()
    assert await asker.connections("acme", None) == ["one", "other"]
    assert asked == [GetConnections("acme", None)]
    for each in (asker, well, stuck, broken):
        await each.close()
    assert list(data_dir.iterdir()) == []


async def test_a_process_takes_the_place_of_one_that_was_killed(data_dir):
    asker, before = places(data_dir, 2)

    async def answer(_question):
        return ["here"]

    await before.serve(answer)
    before._server.close()  # as a kill: the socket's file is left
    after = Siblings(before._place)
    await after.serve(answer)
    assert await asker.connections(None, None) == ["here"]
    await after.close()
