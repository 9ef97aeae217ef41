"""From bytes to a message: envelopes, JSON-RPC, and every reason for a refusal."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apex_actors.protocol import (
    MESSAGE_TYPES,
    TYPE_ALIASES,
    ErrorCode,
    ParsedFrame,
    Ping,
    ProtocolViolation,
    ReplyFormat,
    UserMessage,
    encode_reply,
    parse_frame,
)

MAX_BYTES = 8192


def refused(data, *, max_bytes=MAX_BYTES):
    with pytest.raises(ProtocolViolation) as caught:
        parse_frame(data, max_bytes=max_bytes)
    return caught.value


def answer(violation):
    frame = encode_reply(violation.notice(), violation.reply_to)
    return None if frame is None else json.loads(frame)


# -- plain frames ----------------------------------------------------------------------------


def test_bytes_and_text_are_the_same_frame():
    text = '{"type": "user_message", "text": "Kostenübersicht, bitte \\u20ac"}'

    parsed = parse_frame(text.encode(), max_bytes=MAX_BYTES)

    assert parsed == parse_frame(text, max_bytes=MAX_BYTES)
    assert isinstance(parsed.message, UserMessage)
    assert parsed.message.text == "Kostenübersicht, bitte €"


@pytest.mark.parametrize("around", [" ", "\n", "\t\r\n  "])
def test_white_space_around_a_frame_means_nothing(around):
    frame = '{"type": "ping", "request_id": "r1"}'

    for spaced in (around + frame, frame + around, around + frame + around):
        assert parse_frame(spaced, max_bytes=MAX_BYTES) == parse_frame(frame, max_bytes=MAX_BYTES)


@pytest.mark.parametrize("kind", ["ping", "heartbeat", "pong", "list_threads", "get_preferences"])
def test_a_message_without_fields_is_one_and_the_same(kind):
    """Nothing in it can be changed, so nobody needs one of their own."""
    parsed = [parse_frame(f'{{"type":"{kind}"}}', max_bytes=MAX_BYTES) for _ in range(2)]

    assert parsed[0].message is parsed[1].message
    assert parsed[0].message == MESSAGE_TYPES[kind]()
    assert parsed[0].message.model_dump() == MESSAGE_TYPES[kind]().model_dump()


def test_the_request_id_is_kept_for_the_reply():
    parsed = parse_frame('{"type": "ping", "request_id": "r1"}', max_bytes=MAX_BYTES)

    assert parsed.reply_to.request_id == "r1"
    assert parsed.reply_to.format is ReplyFormat.PLAIN


@pytest.mark.parametrize(
    "frame",
    [
        '{"type": "nonsense", "request_id": "r1"}',
        '{"type": "user_message", "request_id": "r1"}',
        '{"type": "user_message", "payload": {"request_id": "r1"}}',
        '{"type": "user_message", "text": "\\u0000", "request_id": "r1"}',
        '{"request_id": "r1"}',
        '{"type": "ping", "payload": 3, "request_id": "r1"}',
    ],
)
def test_a_refusal_echoes_the_request_id_too(frame):
    assert answer(refused(frame))["request_id"] == "r1"


@pytest.mark.parametrize("request_id", ["", "x" * 129, 4, None, "a\0b", "\ud800"])
def test_a_request_id_that_is_not_valid_is_not_echoed(request_id):
    violation = refused(json.dumps({"type": "nonsense", "request_id": request_id}))

    assert "request_id" not in answer(violation)


@pytest.mark.parametrize(
    ("frame", "field", "reason"),
    [
        ("{}", "type", "is required"),
        ('{"type": null}', "type", "is required"),
        ('{"type": 5}', "type", "must be a string"),
        ('{"type": ["ping"]}', "type", "must be a string"),
        ('{"payload": {"type": "ping"}}', "type", "is required"),
        ('{"type": "ping", "payload": []}', "payload", "must be an object"),
        ('{"type": "ping", "payload": null}', "payload", "must be an object"),
        (
            '{"type": "ack", "seq": 1, "payload": {"seq": 1}}',
            "seq",
            "is given twice, beside payload and in it",
        ),
        (
            '{"type": "ping", "payload": {"type": "ack"}}',
            "type",
            "is given twice, beside payload and in it",
        ),
    ],
)
def test_a_broken_envelope_is_named(frame, field, reason):
    violation = refused(frame)

    assert violation.code is ErrorCode.INVALID_MESSAGE
    assert violation.details == {"field": field, "reason": reason}


@pytest.mark.parametrize("frame", ["[]", "null", "true", "17", '"ping"', '[{"type": "ping"}]'])
def test_what_is_no_object_is_refused(frame):
    violation = refused(frame)

    assert violation.code is ErrorCode.INVALID_MESSAGE
    assert answer(violation)["type"] == "error"


def test_an_unknown_type_is_answered_with_the_known_ones():
    violation = refused('{"type": "hush-hush"}')

    assert violation.code is ErrorCode.UNKNOWN_MESSAGE_TYPE
    assert set(violation.details["known_types"]) == {*MESSAGE_TYPES, *TYPE_ALIASES}
    assert "hush-hush" not in str(answer(violation))


def test_a_field_name_that_is_no_name_is_not_shown():
    violation = refused(json.dumps({"type": "ping", "my password is hush-hush": 1}))

    assert violation.details["field"] == "(a name that is no identifier)"
    assert "hush" not in str(answer(violation))


# -- size, encoding, JSON --------------------------------------------------------------------


@pytest.mark.parametrize("encode", [str, str.encode])
def test_the_limit_is_the_first_size_that_is_too_large(encode):
    """8191 bytes pass where the welcome says 8192; bytes count, not characters."""
    start, end = '{"type":"user_message","text":"', '"}'
    fits = start + "é" * ((8191 - len(start + end)) // 2) + end
    fits = fits.replace("é", "é" + "e" * (8191 - len(fits.encode())), 1)

    assert len(fits.encode()) == 8191
    parse_frame(encode(fits), max_bytes=8192)
    violation = refused(encode(fits + " "), max_bytes=8192)
    assert violation.code is ErrorCode.MESSAGE_TOO_LARGE
    assert violation.details == {"size_bytes": 8192, "max_bytes": 8191}


NOT_JSON = [
    b"",
    b" ",
    b"{",
    b"ping",
    b"{'type': 'ping'}",
    b'{"type": "ping",}',
    b'{"type": "ping"} {}',
    b'\xef\xbb\xbf{"type": "ping"}',
    b'{"type": "p\xffng"}',
    b'{"type": "\xed\xa0\x80"}',
    b'{"type": "a\x00b"}',
    b'{"type": "a\nb"}',
    b'{"type": "\\x41"}',
    b'{"type": "\\u12"}',
    b'{"type": "ping", "type": "ping"}',
    b'{"type": "set_preferences", "preferences": {"a": 1, "a": 1}}',
    b'{"type": "ack", "seq": NaN}',
    b'{"type": "ack", "seq": Infinity}',
    b'{"type": "ack", "seq": -Infinity}',
    b'{"type": "ack", "seq": 1e999}',
    b'{"type": "ack", "seq": 9223372036854775808}',
    b'{"type": "ack", "seq": -9223372036854775809}',
    b'{"type": "ack", "seq": ' + b"9" * 5000 + b"}",
    b'{"type": "ack", "seq": 01}',
    b"[" * 33 + b"]" * 33,
    b"[" * 8000,
    b'{"a":' * 1600,
]


@pytest.mark.parametrize("frame", NOT_JSON, ids=lambda frame: repr(frame[:40]))
def test_what_is_not_json_for_us_is_refused(frame):
    """Duplicate keys, NaN, numbers over 64 bits and deep nesting have no meaning here."""
    violation = refused(frame)

    assert violation.code is ErrorCode.INVALID_JSON
    assert answer(violation)["type"] == "error"


def test_nesting_up_to_the_limit_is_read():
    """The limit counts the frame's own object."""
    deep = '{"type":"set_preferences","preferences":{"a":' + "[" * 30 + "]" * 30 + "}}"

    parse_frame(deep, max_bytes=MAX_BYTES)
    assert refused(deep.replace("[]", "[[]]")).code is ErrorCode.INVALID_JSON


def test_brackets_in_a_text_are_no_nesting():
    text = "[{" * 100 + '"\\'
    frame = json.dumps({"type": "user_message", "text": text})

    assert parse_frame(frame, max_bytes=MAX_BYTES).message == UserMessage(text=text)


def test_the_depth_check_takes_linear_time():
    """A text made of escaped quotes must not make the check look at everything again and again."""
    hostile = "[" * 33 + '\\"' * 500_000

    assert refused(hostile, max_bytes=2_000_000).code is ErrorCode.INVALID_JSON


@pytest.mark.parametrize(
    "frame",
    [
        '{"type": "user_message", "text": "a\\u0000b"}',
        '{"type": "user_message", "text": "a\\ud800b"}',
        '{"type": "user_message", "text": "a\\udc00b"}',
        '{"type": "set_preferences", "preferences": {"a": ["\\u0000"]}}',
        '{"type": "set_preferences", "preferences": {"\\ud83d": 1}}',
        '{"\\ud83d": "ping"}',
        '"\\u0000"',
        '{"type": "user_message", "text": "a\ud800b"}',
    ],
)
def test_text_that_cannot_be_stored_is_an_invalid_message(frame):
    assert refused(frame).code is ErrorCode.INVALID_MESSAGE


def test_escapes_of_good_characters_are_read():
    frame = r'{"type": "user_message", "text": "\ud83d\ude00 \\u0000 \u00e9"}'

    assert parse_frame(frame, max_bytes=MAX_BYTES).message == UserMessage(text="😀 \\u0000 é")


# -- JSON-RPC --------------------------------------------------------------------------------


@pytest.mark.parametrize("rpc_id", ["abc", "", 0, -7, None])
def test_a_json_rpc_request_is_read_and_its_id_kept(rpc_id):
    frame = {"jsonrpc": "2.0", "id": rpc_id, "method": "chat", "params": {"message": "hi"}}

    parsed = parse_frame(json.dumps(frame), max_bytes=MAX_BYTES)

    assert parsed.message == UserMessage(text="hi")
    assert parsed.reply_to.format is ReplyFormat.JSON_RPC
    assert parsed.reply_to.rpc_id == rpc_id


def test_a_json_rpc_request_may_have_no_params():
    parsed = parse_frame('{"jsonrpc": "2.0", "id": 1, "method": "ping"}', max_bytes=MAX_BYTES)

    assert parsed.message == Ping()


@pytest.mark.parametrize(
    "frame", ['{"type":"ping"}', '{"type":"set_preferences","preferences":{}}']
)
def test_plain_fields_and_params_make_the_same_message(frame):
    fields = json.loads(frame)
    method = fields.pop("type")
    rpc = {"jsonrpc": "2.0", "id": 1, "method": method, "params": fields}

    assert (
        parse_frame(json.dumps(rpc), max_bytes=MAX_BYTES).message
        == parse_frame(frame, max_bytes=MAX_BYTES).message
    )


def test_a_notification_is_never_answered():
    """The specification: no `id`, no response, not even an error."""
    parsed = parse_frame('{"jsonrpc": "2.0", "method": "ping"}', max_bytes=MAX_BYTES)
    violation = refused('{"jsonrpc": "2.0", "method": "user_message"}')

    assert parsed.reply_to.format is ReplyFormat.NONE
    assert answer(violation) is None


@pytest.mark.parametrize(
    ("frame", "number", "code", "rpc_id"),
    [
        ('{"jsonrpc": "2.0", "id": 1, "method": "ping"', -32700, "invalid_json", None),
        ('{"jsonrpc": "2.0", "id": 1, "id": 1, "method": "ping"}', -32700, "invalid_json", None),
        ('{"jsonrpc": "1.0", "id": 1, "method": "ping"}', -32600, "invalid_message", 1),
        ('{"jsonrpc": 2.0, "id": 1, "method": "ping"}', -32600, "invalid_message", 1),
        ('{"jsonrpc": "2.0", "id": 1}', -32600, "invalid_message", 1),
        ('{"jsonrpc": "2.0"}', -32600, "invalid_message", None),
        ('{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', -32600, "invalid_message", None),
        ('{"jsonrpc": "2.0", "id": true, "method": "ping"}', -32600, "invalid_message", None),
        ('{"jsonrpc": "2.0", "id": [], "method": "ping"}', -32600, "invalid_message", None),
        ('{"jsonrpc": "2.0", "id": 1, "method": 5}', -32600, "invalid_message", 1),
        ('{"jsonrpc": "2.0", "id": 1, "method": "ping", "x": 1}', -32600, "invalid_message", 1),
        ('[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600, "invalid_message", None),
        ('{"jsonrpc": "2.0", "id": 1, "method": "x"}', -32601, "unknown_message_type", 1),
        (
            '{"jsonrpc": "2.0", "id": 1, "method": "ack", "params": []}',
            -32602,
            "invalid_message",
            1,
        ),
        (
            '{"jsonrpc": "2.0", "id": 1, "method": "ack", "params": {"type": "ack"}}',
            -32602,
            "invalid_message",
            1,
        ),
        (
            '{"jsonrpc": "2.0", "id": "a", "method": "ack", "params": {"seq": "1"}}',
            -32602,
            "invalid_message",
            "a",
        ),
        (
            '{"jsonrpc": "2.0", "id": 9, "method": "chat", "params": {"text": "\\u0000"}}',
            -32602,
            "invalid_message",
            9,
        ),
    ],
)
def test_json_rpc_errors_have_the_standard_numbers_and_our_code(frame, number, code, rpc_id):
    reply = answer(refused(frame))

    assert reply["jsonrpc"] == "2.0"
    assert reply["id"] == rpc_id
    assert reply["error"]["code"] == number
    assert reply["error"]["data"]["code"] == code
    assert "result" not in reply


# -- anything at all -------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
names = st.sampled_from([*MESSAGE_TYPES, *TYPE_ALIASES])
some_fields = st.dictionaries(
    st.sampled_from(
        [
            "text",
            "content",
            "request_id",
            "user_id",
            "thread_id",
            "run_id",
            "limit",
            "payload",
            "seq",
            "preferences",
            "title",
            "before",
            "token",
            "if_busy",
            "client_message_id",
        ]
    ),
    json_values,
)


def either_way(data):
    """A frame is either read or refused with an error that can be sent."""
    try:
        parsed = parse_frame(data, max_bytes=MAX_BYTES)
    except ProtocolViolation as violation:
        frame = encode_reply(violation.notice(), violation.reply_to)
        assert frame is None or json.loads(frame)
    else:
        assert type(parsed) is ParsedFrame
        assert type(parsed.message) in MESSAGE_TYPES.values()


@given(st.binary() | st.text())
@example(b"[" * 8191)
@example('{"type":"\ud800"}')
def test_arbitrary_bytes_and_text_never_raise_anything_else(data):
    either_way(data)


@given(json_values)
def test_arbitrary_json_never_raises_anything_else(value):
    either_way(json.dumps(value))


@given(names, some_fields)
def test_arbitrary_fields_never_raise_anything_else(name, fields):
    either_way(json.dumps({"type": name, **fields}))


@given(names, some_fields, json_values)
def test_arbitrary_json_rpc_never_raises_anything_else(name, params, rpc_id):
    either_way(json.dumps({"jsonrpc": "2.0", "id": rpc_id, "method": name, "params": params}))


@given(st.text(alphabet="hunter2-SECRET", min_size=8), names)
def test_no_value_comes_back_in_an_error(value, name):
    """Whatever field holds it: errors are logged and shown."""
    fields = dict.fromkeys(["run_id", "limit", "seq", "if_busy"], value)

    violation = refused(json.dumps({"type": name, **fields}))

    assert value not in str(violation)
    assert value not in str(answer(violation))


@pytest.mark.parametrize(
    "text", ['{"type":"ping"}', '{"type":"pong","seq":7}', '{"type":"ack","seq":7}']
)
def test_a_sign_of_life_that_comes_again_is_the_same_message_and_no_check_is_left_out(text):
    first = parse_frame(text, max_bytes=8192)
    assert parse_frame(text, max_bytes=8192) is first
    assert parse_frame(text.encode(), max_bytes=8192) == first
    for bad in (
        text[:-1] + ',"type":"user_message"}',
        text[:-1] + ',"text":"hello"}',
        text[:-1] + "}}",
    ):
        for _ in range(2):
            with pytest.raises(ProtocolViolation):
                parse_frame(bad, max_bytes=8192)
    with pytest.raises(ProtocolViolation) as refused:
        parse_frame(text, max_bytes=len(text))
    assert refused.value.code is ErrorCode.MESSAGE_TOO_LARGE
