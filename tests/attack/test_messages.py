"""Messages that do not fit, each on a connection of its own that lives on."""

import json

import pytest
from attack_kit.cases import check_frames, rows
from attack_kit.messages import JSON, JSON_RPC, SCHEMA, VALUE
from attack_kit.wire import Closed, message, text


@pytest.mark.parametrize("case", rows(JSON))
async def test_json(target, case):
    async with await target.connected() as wire:
        await check_frames(target, wire, case)


@pytest.mark.parametrize("case", rows(SCHEMA))
async def test_schema(target, case):
    async with await target.connected() as wire:
        assert VALUE not in json.dumps(await check_frames(target, wire, case))


@pytest.mark.parametrize("case", rows(JSON_RPC))
async def test_json_rpc(target, case):
    async with await target.connected() as wire:
        assert VALUE not in json.dumps(await check_frames(target, wire, case))


async def test_an_error_says_nothing_of_the_value_nor_of_the_code_behind_it(target):
    async with await target.connected() as wire:
        [reply] = await wire.exchange(message("user_message", text=VALUE, thread_id=VALUE))
        said = json.dumps(reply)
        for word in (VALUE, "Traceback", "pydantic", "apex_actors", ".py", "input"):
            assert word not in said


async def test_five_errors_in_a_row_close_the_connection(target):
    async with await target.connected() as wire:
        replies = await wire.exchange(text("{") * 5)
        assert [reply.get("code") for reply in replies[:-1]] == ["invalid_json"] * 5
        assert isinstance(replies[-1], Closed)
        assert replies[-1].code == 1008


@pytest.mark.parametrize("bad", ["{", '{"type":"dance"}', "[]", '{"type":"ping","x":1}'])
async def test_errors_of_any_kind_count(target, bad):
    async with await target.connected() as wire:
        wire.send(text(bad) * 20)
        assert (await wire.until_closed()).code == 1008


async def test_notifications_that_are_wrong_count_as_well(target):
    async with await target.connected() as wire:
        wire.send(text('{"jsonrpc":"2.0","method":"dance"}') * 20)
        assert (await wire.until_closed()).code == 1008


async def test_a_good_message_between_forgives_what_was_before(target):
    async with await target.connected() as wire:
        for _ in range(5):
            replies = await wire.exchange(text("{") * 4, message("ping"))
            assert [reply["type"] for reply in replies] == ["error"] * 4 + ["pong"]


async def test_a_sign_of_life_of_the_protocol_forgives_nothing(target):
    pong = bytes([0x8A, 0x80, 0, 0, 0, 0])
    async with await target.connected() as wire:
        wire.send((text("{") + pong) * 5)
        assert (await wire.until_closed()).code == 1008
