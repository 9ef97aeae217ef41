"""What a real server takes and says is what its AsyncAPI document says."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

from apex_actors.client import ApexClient
from apex_actors.protocol import MESSAGE_TYPES
from apex_actors.server.node import DEVELOPMENT_ORG

NOBODY = "00000000-0000-4000-8000-000000000000"

#: One message of each type, in an order that makes sense; `$thread` and `$run` are those of the
#: first one.
CONVERSATION = [
    {"type": "user_message", "text": "Analyze my AI costs", "client_message_id": "q1"},
    {"type": "ping"},
    {"type": "heartbeat"},
    {"type": "pong", "seq": 0},
    {"type": "ack", "seq": 1},
    {"type": "get_run", "run_id": "$run"},
    {"type": "list_threads", "limit": 10},
    {"type": "get_thread_history", "thread_id": "$thread"},
    {"type": "switch_thread", "thread_id": "$thread"},
    {"type": "rename_thread", "thread_id": "$thread", "title": "Costs"},
    {"type": "set_preferences", "preferences": {"time_zone": "Europe/Berlin"}},
    {"type": "get_preferences"},
    {"type": "cancel_run", "run_id": "$run"},
    {"type": "stop_agent", "run_id": NOBODY},
    {"type": "retry_run", "run_id": NOBODY},
    {"type": "start_agent", "user_request": "hello", "client_message_id": "a1"},
    {"type": "refresh_token", "token": "$token"},
    {"type": "delete_thread", "thread_id": NOBODY},
    {"jsonrpc": "2.0", "id": 1, "method": "ping"},
    {"jsonrpc": "2.0", "id": 2, "method": "get_run", "params": {"run_id": NOBODY}},
]


@pytest.fixture
def token(sample_node):
    return sample_node.authority.issue(sub="ann", org=DEVELOPMENT_ORG, lifetime_s=600)[0]


def test_the_conversation_has_every_type_of_message():
    assert {message["type"] for message in CONVERSATION if "type" in message} == set(MESSAGE_TYPES)


async def test_every_frame_of_a_conversation_is_one_of_the_document(
    sample_node, token, wire_schema
):
    url = sample_node.url.replace("http", "ws", 1) + "/ws"
    names = {"$token": token}
    finished = 0
    async with connect(url, additional_headers={"Authorization": f"Bearer {token}"}) as socket:

        async def receive():
            frame = json.loads(await asyncio.wait_for(socket.recv(), 30))
            wire_schema.received(frame)
            return frame

        for number, template in enumerate(CONVERSATION):
            message = {key: names.get(str(value), value) for key, value in template.items()}
            if "params" not in message and "jsonrpc" not in message:
                message["request_id"] = f"r{number}"
            wire_schema.sent(message)
            await socket.send(json.dumps(message))
            # Errors in a row close a connection; a good message between them keeps it open.
            await socket.send('{"type": "heartbeat"}')
            answered = message.get("type") in {"pong", "ack"}
            while not answered:
                frame = await receive()
                finished += frame.get("type") == "run_finished"
                answered = (
                    frame.get("request_id") == f"r{number}"
                    if "type" in message
                    else frame.get("id") == message["id"]
                )
                if frame.get("type") == "message_accepted" and "$run" not in names:
                    names |= {"$run": frame["run_id"], "$thread": frame["thread_id"]}
                    # The whole run goes by before the next message: nothing cuts it short.
                    while finished == 0:
                        finished += (await receive()).get("type") == "run_finished"
        while finished < 2:
            finished += (await receive()).get("type") == "run_finished"


async def test_errors_are_frames_of_the_document_too(sample_node, token, wire_schema):
    url = sample_node.url.replace("http", "ws", 1) + "/ws"
    wrong = ["{", '{"type": "nonsense"}', '{"type": "ack", "seq": -1}', '{"jsonrpc": "2.0"}']
    async with connect(url, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        errors = 0
        for frame in wrong:
            await socket.send(frame)
        while errors < len(wrong):
            received = json.loads(await asyncio.wait_for(socket.recv(), 10))
            wire_schema.received(received)
            errors += received.get("type") == "error" or "error" in received


async def test_what_the_client_is_told_and_resumes_from_is_the_document_s_too(
    sample_node, token, wire_schema
):
    """A reconnect's welcome and replay are frames like all others."""
    async with ApexClient(sample_node.url, token=token) as client:
        start = client.position
        accepted = await client.send_message("Analyze my AI costs")
        async for frame in client.frames():
            wire_schema.received(frame)
            if frame.get("type") == "run_finished":
                break

    async with ApexClient(sample_node.url, token=token, position=start) as client:
        assert client.welcome.recovered is True
        async for frame in client.frames():
            wire_schema.received(frame)
            if frame.get("type") == "run_finished":
                assert frame["run_id"] == str(accepted.run_id)
                break
