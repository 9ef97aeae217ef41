"""Frames that somebody bent: read whole or refused, and never quoted back."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_actors.protocol import (
    MESSAGE_TYPES,
    TYPE_ALIASES,
    ErrorCode,
    ParsedFrame,
    ProtocolViolation,
    encode_reply,
    parse_frame,
)

MAX_BYTES = 8192
ID = "6f1c3f0e-3d67-4a86-9d3a-0c8f6a1d2b11"

GOOD = [
    {
        "type": "user_message",
        "text": "Analyze my AI costs",
        "client_message_id": "c",
        "user_id": "u",
    },
    {"type": "chat", "payload": {"message": "hi", "thread_id": ID, "if_busy": "reject"}},
    {"type": "start_agent", "user_request": "go", "pipeline": "costs", "request_id": "r"},
    {"type": "stop_agent", "thread_id": ID},
    {"type": "list_threads", "limit": 5, "before": "cursor"},
    {"type": "rename_thread", "thread_id": ID, "title": "Costs"},
    {"type": "set_preferences", "preferences": {"a": [1, {"b": None, "c": 1.5}], "d": "e"}},
    {"type": "refresh_token", "token": "a.b.c"},
    {"type": "ack", "seq": 12},
    {"type": "ping"},
    {"jsonrpc": "2.0", "id": 7, "method": "get_run", "params": {"run_id": ID}},
]


def refused(frame):
    with pytest.raises(ProtocolViolation) as caught:
        parse_frame(frame, max_bytes=MAX_BYTES)
    return caught.value


def answered(frame):
    """What comes of a frame: the message, or the error that is sent."""
    try:
        return parse_frame(frame, max_bytes=MAX_BYTES)
    except ProtocolViolation as violation:
        sent = encode_reply(violation.notice(), violation.reply_to)
        return None if sent is None else json.loads(sent)


# -- numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        "1e400",
        "-1e400",
        "1E999999999",
        "1e99999999999999999999",
        "9" * 400 + ".0",
        "9" * 7000,
        "-" + "9" * 7000,
        "9223372036854775808",
        "-9223372036854775809",
        "00",
        "+1",
        ".5",
        "5.",
        "0x10",
        "1_000",
        "NaN",
        "-NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "inf",
        "\u0661",
    ],
    ids=lambda number: number[:24],
)
@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"ack","seq":%s}',
        '{"type":"set_preferences","preferences":{"a":[%s]}}',
        '{"jsonrpc":"2.0","id":%s,"method":"ping"}',
        "%s",
    ],
)
def test_a_number_no_client_can_mean_is_no_json(frame, number):
    assert refused(frame % number).code is ErrorCode.INVALID_JSON


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("0." + "1" * 7000, 1 / 9),
        ("1" + "0" * 300 + ".5", 1e300),
        ("1E+2", 100.0),
        ("1e-999999999", 0.0),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_number_within_the_limits_is_read(number, value):
    frame = f'{{"type":"set_preferences","preferences":{{"a":{number}}}}}'

    read = parse_frame(frame, max_bytes=MAX_BYTES).message.preferences["a"]

    assert math.isclose(read, value)


# -- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"ping","type":"ping"}',
        '{"type":"ping","type":"delete_thread"}',
        r'{"type":"ping","\u0074ype":"ping"}',
        '{"type":"chat","payload":{"text":"a","text":"a"}}',
        '{"type":"set_preferences","preferences":{"a":{"b":[{"c":1,"c":2}]}}}',
        '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
        '{"jsonrpc":"2.0","method":"ack","params":{"seq":1,"seq":2}}',
        '{"":1,"":2}',
    ],
)
def test_a_key_given_twice_is_refused_wherever_it_stands(frame):
    """The one meaning of duplicate keys: none. Parsers differ in which one wins."""
    violation = refused(frame)

    assert violation.code is ErrorCode.INVALID_JSON
    assert "the same key twice" in violation.message


@pytest.mark.parametrize("key", ["Type", "TYPE", " type", "type ", "typ\u0435"])
def test_a_key_that_only_looks_like_one_of_ours_is_another(key):
    """Letters of other alphabets and cases are not folded."""
    violation = refused(json.dumps({"type": "ping", key: "ack"}))

    assert violation.code is ErrorCode.INVALID_MESSAGE


@pytest.mark.parametrize("frame", GOOD, ids=lambda frame: str(frame.get("type", "json_rpc")))
def test_a_field_nobody_knows_is_refused_by_its_name(frame):
    violation = refused(json.dumps(frame | {"surprise": 1}))

    assert violation.code is ErrorCode.INVALID_MESSAGE
    assert violation.details["field"] == "surprise"


def test_a_huge_key_is_refused_and_not_repeated():
    key = "k" * 8000
    violation = refused(json.dumps({"type": "ping", key: 1}))

    assert violation.code is ErrorCode.INVALID_MESSAGE
    assert key not in str(violation.notice())


def test_a_thousand_keys_are_refused_with_one_reason():
    frame = json.dumps({"type": "ping", **{f"k{number}": 1 for number in range(600)}})
    violation = refused(frame)

    assert violation.details["field"] == "k0"
    assert len(violation.notice().encode()) < 300


# -- anything bent ---------------------------------------------------------------------------

good_frames = st.sampled_from([json.dumps(frame) for frame in GOOD])
pieces = st.sampled_from(
    [
        *'"\\{}[]:,é \0\x7f\ufeff\u2028',
        *("\\u0000", "\\ud800", "null", "NaN", "1e999"),
        *('"type"', '"payload"', '"jsonrpc"', '"request_id"'),
    ]
)


@given(frame=good_frames, data=st.data())
@settings(max_examples=400)
def test_a_bent_frame_is_read_or_refused_in_words_that_can_be_sent(frame, data):
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(frame)))
        end = data.draw(st.integers(start, min(start + 8, len(frame))))
        frame = frame[:start] + data.draw(pieces | st.text(max_size=3)) + frame[end:]

    outcome = answered(frame)

    if isinstance(outcome, ParsedFrame):
        assert type(outcome.message) in MESSAGE_TYPES.values()
        # What was read holds nothing that cannot be stored or sent.
        outcome.message.model_dump_json().encode()
        assert "\0" not in str(outcome.message.model_dump())
    else:
        # The answer never needs the client's words: it is short whatever came.
        assert outcome is None or len(json.dumps(outcome)) < 1500


@given(frame=st.sampled_from(GOOD), data=st.data())
@settings(max_examples=300)
def test_bytes_and_text_of_a_frame_mean_the_same(frame, data):
    text = json.dumps(frame, ensure_ascii=data.draw(st.booleans()))
    place = data.draw(st.integers(0, len(text)))
    text = text[:place] + data.draw(st.sampled_from(["", " ", "\n", "é", "\0"])) + text[place:]

    assert answered(text) == answered(text.encode())


CANARY = "canary-7d1f"
values = st.recursive(
    st.just(CANARY),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "text", "type"]), inner, min_size=1, max_size=2)
    ),
    max_leaves=3,
)
fields = st.dictionaries(
    st.sampled_from(
        sorted({name for model in MESSAGE_TYPES.values() for name in model.model_fields})
    )
    | st.sampled_from(["payload", "content", "params", "method", "jsonrpc", "id", "extra"]),
    values,
)


@given(kind=st.sampled_from([*MESSAGE_TYPES, *TYPE_ALIASES, CANARY]), fields=fields)
@settings(max_examples=400)
def test_no_error_repeats_what_was_sent_but_for_the_ids_that_correlate_it(kind, fields):
    """Values reach logs and other people's screens by way of error messages."""
    outcome = answered(json.dumps({"type": kind, **fields}))

    if isinstance(outcome, dict):
        outcome.pop("request_id", None)
        outcome.pop("id", None)
        outcome.get("error", {}).get("data", {}).pop("request_id", None)
        assert CANARY not in json.dumps(outcome)
