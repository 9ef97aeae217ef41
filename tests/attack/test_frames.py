"""Frames that break the rules of RFC 6455, one connection each."""

import pytest
from attack_kit.cases import check_frames, rows
from attack_kit.frames import FRAMES
from attack_kit.wire import Closed, handshake, message


@pytest.mark.parametrize("case", rows(FRAMES))
async def test_frames(target, case):
    async with await target.connected() as wire:
        await check_frames(target, wire, case)


async def test_compression_that_is_offered_is_not_selected(target):
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]
    async with await target.wire() as wire:
        wire.send(handshake(target.token(), extra=offer))
        answer = await wire.answer()
        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers


async def test_a_frame_that_comes_a_byte_at_a_time_is_a_frame(target):
    async with await target.connected() as wire:
        for byte in message("ping", request_id="slow"):
            wire.send(bytes([byte]))
            await wire.flushed()
        async for reply in wire.replies():
            assert reply["request_id"] == "slow"
            break


async def test_a_frame_cut_off_by_the_end_of_the_stream_is_no_message(target):
    async with await target.connected() as wire:
        wire.send(message("ping")[:-1])
        wire.writer.write_eof()
        replies = [reply async for reply in wire.replies()]
        assert replies in ([Closed(None)], [Closed(1000)], [Closed(1002)])
