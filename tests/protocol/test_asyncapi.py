"""The AsyncAPI document: whole, consistent in itself, and made from what the server really says."""

import json

import pytest

from apex_actors.protocol import (
    JSON_RPC_CODES,
    MESSAGE_TYPES,
    PAYLOAD_TYPES,
    TYPE_ALIASES,
    CloseCode,
    ErrorCode,
)
from apex_actors.protocol.asyncapi import asyncapi_document
from apex_actors.protocol.exchanges import DIRECT_REPLIES, NOTICES, REPLIES, type_of


@pytest.fixture(scope="module")
def document():
    return asyncapi_document(version="1.2.3", server="https://chat.example.com")


def at(document, reference):
    """What a `$ref` names."""
    assert reference.startswith("#/")
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_it_is_json_and_says_which_version_it_describes(document):
    assert json.loads(json.dumps(document)) == document
    assert document["asyncapi"] == "3.0.0"
    assert document["info"]["version"] == "1.2.3"


@pytest.mark.parametrize(
    ("url", "host", "protocol"),
    [
        ("https://chat.example.com", "chat.example.com", "wss"),
        ("http://127.0.0.1:8000/", "127.0.0.1:8000", "ws"),
        ("wss://[::1]:8443", "[::1]:8443", "wss"),
        ("ws://localhost:1/ws", "localhost:1", "ws"),
    ],
)
def test_the_server_is_named_as_websocket_clients_know_it(url, host, protocol):
    document = asyncapi_document(version="0", server=url)

    gateway = document["servers"]["gateway"]
    assert (gateway["host"], gateway["protocol"]) == (host, protocol)
    assert document["channels"]["ws"]["address"] == "/ws"


@pytest.mark.parametrize("url", ["", "localhost:80", "ftp://x", "http://"])
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match="URL"):
        asyncapi_document(version="0", server=url)


def test_every_reference_leads_somewhere(document):
    found = set(references(document))

    assert len(found) > 100
    for reference in found:
        at(document, reference)


def test_no_schema_and_no_message_is_left_over(document):
    used = set(references(document))

    for kind in ("schemas", "messages"):
        for name in document["components"][kind]:
            assert f"#/components/{kind}/{name}" in used


def test_messages_of_operations_are_those_of_the_channel(document):
    """The specification: an operation names messages by way of its channel."""
    for operation in document["operations"].values():
        assert operation["channel"] == {"$ref": "#/channels/ws"}
        for message in [*operation["messages"], *operation.get("reply", {}).get("messages", [])]:
            assert message["$ref"].startswith("#/channels/ws/messages/")


def test_each_message_of_a_client_has_an_operation_with_its_replies(document):
    for kind, model in MESSAGE_TYPES.items():
        operation = document["operations"][kind]
        assert operation["action"] == "receive"
        assert at(document, operation["messages"][0]["$ref"])["$ref"].endswith(f"/{kind}")
        answers = {
            at(document, at(document, answer["$ref"])["$ref"])["name"]
            for answer in operation.get("reply", {}).get("messages", [])
        }
        expected = {type_of(reply) for reply in DIRECT_REPLIES[model]}
        assert answers == (expected | {"error"} if expected else set())


def test_each_notice_and_event_is_sent(document):
    sent = {
        at(document, at(document, message["$ref"])["$ref"])["name"]
        for name in ("notices", "events")
        for message in document["operations"][name]["messages"]
    }

    assert sent == {type_of(notice) for notice in NOTICES} | set(PAYLOAD_TYPES)


def test_replies_and_requests_carry_what_correlates_them(document):
    messages = document["components"]["messages"]
    correlated = {
        name
        for name, message in messages.items()
        if message.get("correlationId") == {"$ref": "#/components/correlationIds/request_id"}
    }

    assert correlated == {
        *MESSAGE_TYPES,
        *(type_of(reply) for reply in REPLIES if reply.__name__ != "PongReply"),
        "server_pong",
    }


def test_aliases_are_named(document):
    message = document["components"]["messages"]["user_message"]

    aliases = {alias for alias, kind in TYPE_ALIASES.items() if kind == "user_message"}
    assert set(message["x-type-aliases"]) == aliases
    assert message["x-field-aliases"] == {"content": "text", "message": "text"}
    assert all(f"`{alias}`" in message["description"] for alias in aliases)


def test_codes_are_explained(document):
    assert set(document["x-error-codes"]) == set(ErrorCode)
    for code, said in document["x-error-codes"].items():
        assert said["json-rpc-code"] == JSON_RPC_CODES[code]
        assert said["meaning"]
        assert said["what-to-do"]
    assert set(document["channels"]["ws"]["x-close-codes"]) == {
        str(code.value) for code in CloseCode
    }


def test_a_field_that_may_be_left_out_is_never_null(document):
    schemas = document["components"]["schemas"]

    assert schemas["ErrorNotice"]["properties"]["retry_after_ms"]["type"] == "integer"
    assert "request_id" not in schemas["PongReply"]["required"]
    assert {"type", "server_time"} <= set(schemas["PongReply"]["required"])


def test_names_and_shapes_are_those_of_the_wire(document):
    schemas = document["components"]["schemas"]

    assert "try" in schemas["AgentStarted"]["properties"]
    assert "try_number" not in schemas["AgentStarted"]["properties"]
    assert schemas["ThreadSummary"]["properties"]["created_at"]["format"] == "date-time"
    assert schemas["GetRun"]["properties"]["run_id"]["type"] == "string"
    assert schemas["GetRun"]["properties"]["run_id"]["format"] == "uuid"


def test_no_name_of_python_shows(document):
    """Readers of the document have no `None`, no `True` and no module of ours."""
    text = json.dumps(document)

    for word in ("None", "True", "False", "apex_actors.", "pydantic"):
        assert word not in text
