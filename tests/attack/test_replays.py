"""Positions to resume from that are wrong, old, or too far back."""

import asyncio

import pytest
from attack_kit.wire import message

SETTINGS = {"gateway": {"replay_limit": 5, "replay_page": 2}}


@pytest.fixture(scope="module")
def log(target):
    """Epoch and end of ann's log, which holds more events than are replayed."""

    async def fill():
        async with await target.connected() as wire:
            while True:
                wire.send(message("user_message", text="hello"))
                async for reply in wire.replies():
                    run_id = reply["run_id"]
                    break
                async with asyncio.timeout(30):
                    while not any(
                        said.get("type") == "run_finished" and said["run_id"] == run_id
                        for said in wire.notices
                    ):
                        wire.notices.append(await wire.next())
                seq = max(said["seq"] for said in wire.notices if "event_id" in said)
                if seq > 12:
                    break
        async with await target.connected() as wire:
            [welcome] = wire.notices
            return welcome["epoch"], welcome["seq"]

    return asyncio.run(fill())


async def resumed(target, after, epoch):
    """The welcome, and the numbers of the events behind it."""
    async with await target.connected(target=f"/ws?after={after}&epoch={epoch}") as wire:
        [welcome] = wire.notices
        await wire.exchange()
        return welcome, [said["seq"] for said in wire.notices if "event_id" in said]


async def test_what_is_asked_for_within_the_limit_follows_once_and_in_order(target, log):
    epoch, seq = log
    welcome, numbers = await resumed(target, seq - 5, epoch)
    assert welcome["recovered"] is True
    assert numbers == list(range(seq - 4, seq + 1))


@pytest.mark.parametrize(
    ("after", "epoch"),
    [
        ("{seq} - 6", None),
        ("0", None),
        ("{seq} + 1", None),
        ("10**15", None),
        ("2**63 - 1", None),
        ("{seq}", "0" * 16),
        ("{seq}", ""),
        ("{seq}", "x" * 1000),
        ("{seq}", "%00%0d%0a"),
        ("{seq}", "%ff"),
        ("{seq}", "' or 1=1 --".replace(" ", "%20")),
    ],
    ids=[
        "one too many",
        "from the beginning",
        "one beyond the end",
        "far beyond the end",
        "the last number there is",
        "another epoch",
        "an empty epoch",
        "a long epoch",
        "control characters",
        "no UTF-8",
        "a query",
    ],
)
async def test_what_cannot_be_replayed_is_not_recovered_and_nothing_follows(
    target, log, after, epoch
):
    number = eval(after.format(seq=log[1]))  # noqa: S307 - the rows above
    welcome, numbers = await resumed(target, number, log[0] if epoch is None else epoch)
    assert welcome["recovered"] is False
    assert welcome["seq"] == log[1]
    assert numbers == []


async def test_asking_again_and_again_for_everything_slows_nobody_down(target, log):
    epoch, seq = log
    async with await target.connected("quiet") as quiet:
        greedy = asyncio.gather(*(resumed(target, seq - 5, epoch) for _ in range(50)))
        while not greedy.done():
            assert await quiet.exchange() == []
        assert all(len(numbers) == 5 for _, numbers in await greedy)
