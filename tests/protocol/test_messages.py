"""Every message type, alias and field a client may use."""

import json
from uuid import UUID

import pytest

from apex_actors.protocol import (
    MESSAGE_TYPES,
    TYPE_ALIASES,
    IfBusy,
    ProtocolViolation,
    RefreshToken,
    SetPreferences,
    UserMessage,
    parse_frame,
)

THREAD = "6f1c3f0e-3d67-4a86-9d3a-0c8f6a1d2b11"
RUN = "b3b5a1c2-90ab-4cde-8f01-23456789abcd"

SMALLEST = {
    "user_message": {"text": "Analyze my AI costs"},
    "start_agent": {"user_request": "Analyze my AI costs"},
    "retry_run": {"run_id": RUN},
    "cancel_run": {"run_id": RUN},
    "stop_agent": {"thread_id": THREAD},
    "get_run": {"run_id": RUN},
    "list_threads": {},
    "get_thread_history": {"thread_id": THREAD},
    "switch_thread": {"thread_id": THREAD},
    "rename_thread": {"thread_id": THREAD, "title": "Costs"},
    "delete_thread": {"thread_id": THREAD},
    "get_preferences": {},
    "set_preferences": {"preferences": {}},
    "refresh_token": {"token": "header.claims.signature"},
    "ping": {},
    "heartbeat": {},
    "pong": {},
    "ack": {},
}

FULLEST = {
    "user_message": {
        "text": "and by team?",
        "thread_id": THREAD,
        "client_message_id": "c-1",
        "if_busy": "interrupt",
    },
    "start_agent": {
        "user_request": "Analyze my AI costs",
        "pipeline": "costs",
        "thread_id": THREAD,
        "client_message_id": "c-2",
    },
    "stop_agent": {"run_id": RUN},
    "list_threads": {"limit": 20, "before": "cursor"},
    "get_thread_history": {"thread_id": THREAD, "limit": 200, "before": RUN},
    "set_preferences": {"preferences": {"time_zone": "Europe/Berlin", "levels": [1, 2.5, None]}},
    "pong": {"seq": 12},
    "ack": {"seq": 2**63 - 1},
}


def parse(**fields):
    return parse_frame(json.dumps(fields), max_bytes=8192).message


def refused(**fields):
    with pytest.raises(ProtocolViolation) as caught:
        parse(**fields)
    return caught.value


def test_the_tables_of_this_test_name_every_type():
    """A type added to the protocol must be added here."""
    assert set(SMALLEST) == set(MESSAGE_TYPES)


@pytest.mark.parametrize("kind", SMALLEST)
def test_each_type_is_read_with_its_required_fields_only(kind):
    """What is optional may be left out."""
    message = parse(type=kind, **SMALLEST[kind])

    assert type(message) is MESSAGE_TYPES[kind]
    assert message.type == kind
    assert message.request_id is None


@pytest.mark.parametrize("kind", FULLEST)
def test_each_type_is_read_with_all_its_fields(kind):
    """Every field arrives, with the common ones beside it."""
    message = parse(type=kind, request_id="r-1", user_id="ann", **FULLEST[kind])

    given = FULLEST[kind] | {"type": kind, "request_id": "r-1", "user_id": "ann"}
    assert message.model_dump(mode="json", exclude_unset=True) == given


@pytest.mark.parametrize("kind", SMALLEST)
def test_each_type_is_what_the_document_says(kind, wire_schema):
    wire_schema.sent({"type": kind, **SMALLEST[kind]})
    if kind in FULLEST:
        wire_schema.sent({"type": kind, "request_id": "r", "user_id": "u", **FULLEST[kind]})
    for missing in SMALLEST[kind]:
        with pytest.raises(AssertionError):
            wire_schema.sent({"type": kind, **SMALLEST[kind], missing: None})
    with pytest.raises(AssertionError):
        wire_schema.sent({"type": kind, **SMALLEST[kind], "extra": 1})


@pytest.mark.parametrize("kind", SMALLEST)
def test_each_type_may_carry_its_fields_under_payload(kind):
    """Older clients nest them."""
    flat = parse(type=kind, **SMALLEST[kind])

    assert parse(type=kind, payload=SMALLEST[kind]) == flat


@pytest.mark.parametrize(("alias", "kind"), TYPE_ALIASES.items())
def test_each_alias_is_read_as_its_type(alias, kind):
    """Handlers only ever see the type's own name."""
    message = parse(type=alias, **SMALLEST[kind])

    assert message == parse(type=kind, **SMALLEST[kind])
    assert message.type == kind


def test_the_aliases_are_those_of_the_protocol():
    assert {alias for alias, kind in TYPE_ALIASES.items() if kind == "user_message"} == {
        "chat",
        "chat_message",
        "user",
        "user_input",
        "message",
    }
    assert TYPE_ALIASES["execute_agent"] == "start_agent"


@pytest.mark.parametrize("field", ["text", "content", "message"])
def test_a_user_message_has_three_names_for_its_text(field):
    assert parse(type="user_message", **{field: "hello"}).text == "hello"


def test_a_user_message_with_two_texts_is_refused():
    """Guessing which one was meant could answer another question."""
    violation = refused(type="chat", text="a", content="b")

    assert violation.details == {
        "field": "text",
        "reason": "is given twice, as text and as content",
    }


def test_ids_become_uuids_and_the_default_is_to_wait_in_line():
    message = parse(type="user_message", text="hi", thread_id=THREAD)

    assert message == UserMessage(text="hi", thread_id=UUID(THREAD))
    assert message.if_busy is IfBusy.ENQUEUE


REFUSED = [
    ({"type": "user_message"}, "text", "is required"),
    ({"type": "user_message", "text": ""}, "text", "must not be empty"),
    ({"type": "user_message", "text": " \n"}, "text", "must hold more than white space"),
    ({"type": "user_message", "text": 5}, "text", "must be a string"),
    ({"type": "user_message", "text": None}, "text", "must be a string"),
    (
        {"type": "user_message", "text": "a", "thread_id": "secret"},
        "thread_id",
        "must be a UUID",
    ),
    ({"type": "user_message", "text": "a", "thread_id": 7}, "thread_id", "must be a UUID"),
    (
        {"type": "user_message", "text": "a", "if_busy": "secret"},
        "if_busy",
        "must be 'enqueue', 'reject' or 'interrupt'",
    ),
    (
        {"type": "user_message", "text": "a", "client_message_id": ""},
        "client_message_id",
        "must not be empty",
    ),
    (
        {"type": "user_message", "text": "a", "client_message_id": "x" * 129},
        "client_message_id",
        "must have at most 128 characters",
    ),
    (
        {"type": "ping", "request_id": "x" * 129},
        "request_id",
        "must have at most 128 characters",
    ),
    ({"type": "ping", "request_id": 4}, "request_id", "must be a string"),
    ({"type": "ping", "user_id": ""}, "user_id", "must not be empty"),
    ({"type": "ping", "secret": 1}, "secret", "is not a field of this message type"),
    ({"type": "ack", "seq": -1}, "seq", "must be at least 0"),
    ({"type": "ack", "seq": 1.0}, "seq", "must be an integer"),
    ({"type": "ack", "seq": True}, "seq", "must be an integer"),
    ({"type": "ack", "seq": "1"}, "seq", "must be an integer"),
    ({"type": "list_threads", "limit": 0}, "limit", "must be at least 1"),
    ({"type": "list_threads", "limit": 201}, "limit", "must be at most 200"),
    (
        {"type": "cancel_run", "thread_id": THREAD, "run_id": RUN},
        "thread_id",
        "is not a field of this message type",
    ),
    (
        {"type": "user_message", "text": "x", "thread_id": THREAD, "new_thread": True},
        None,
        "new_thread and thread_id exclude each other",
    ),
    ({"type": "stop_agent"}, None, "needs either run_id or thread_id"),
    (
        {"type": "stop_agent", "run_id": RUN, "thread_id": THREAD},
        None,
        "needs either run_id or thread_id",
    ),
    (
        {"type": "rename_thread", "thread_id": THREAD, "title": "x" * 201},
        "title",
        "must have at most 200 characters",
    ),
    ({"type": "set_preferences", "preferences": []}, "preferences", "must be an object"),
    ({"type": "refresh_token", "token": ""}, "token", "must not be empty"),
]


@pytest.mark.parametrize(("fields", "field", "reason"), REFUSED)
def test_a_field_that_does_not_fit_is_named_with_the_reason(fields, field, reason):
    """The client learns which field and why."""
    violation = refused(**fields)

    assert violation.code == "invalid_message"
    assert violation.details == {"field": field, "reason": reason}
    assert violation.message == (f"{field} {reason}." if field else f"The message {reason}.")


@pytest.mark.parametrize("fields", [fields for fields, *_ in REFUSED if fields.get("seq") != 1.0])
def test_the_document_refuses_what_the_server_refuses(fields, wire_schema):
    """But for 1.0, which to JSON Schema is a whole number."""
    with pytest.raises(AssertionError):
        wire_schema.sent(fields)


def test_a_logged_message_shows_no_text_and_no_token():
    """`repr` is what ends up in a log line by accident."""
    said = [
        parse(type="user_message", text="hush-hush"),
        parse(type="start_agent", user_request="hush-hush"),
        parse(type="rename_thread", thread_id=THREAD, title="hush-hush"),
        parse(type="set_preferences", preferences={"a": "hush-hush"}),
        parse(type="refresh_token", token="hush-hush"),
    ]

    assert "hush-hush" not in repr(said)


def test_messages_cannot_be_changed():
    """One message is seen by several actors."""
    message = parse(type="user_message", text="hi")

    with pytest.raises(ValueError, match="frozen"):
        message.text = "other"


def test_secrets_and_preferences_arrive_whole():
    token = parse(type="refresh_token", token="a.b.c")
    preferences = parse(type="set_preferences", preferences={"a": {"b": [1, None, "c"]}})

    assert isinstance(token, RefreshToken)
    assert token.token.get_secret_value() == "a.b.c"
    assert isinstance(preferences, SetPreferences)
    assert preferences.preferences == {"a": {"b": [1, None, "c"]}}
