"""The reference is what the code says, and the script that writes it notices when it is not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from apex_actors.protocol import (
    MESSAGE_TYPES,
    PAYLOAD_TYPES,
    TYPE_ALIASES,
    CloseCode,
    ErrorCode,
    parse_frame,
)
from apex_actors.protocol.exchanges import NOTICES, REPLIES, type_of

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_reference.py"


def make_reference(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_committed_reference_is_current():
    checked = make_reference("--check")
    assert checked.returncode == 0, checked.stderr


def test_a_check_names_what_is_stale_and_changes_nothing(tmp_path):
    assert make_reference(str(tmp_path)).returncode == 0
    settings = tmp_path / "settings.md"
    settings.write_text("# Settings\n", encoding="utf-8")
    checked = make_reference("--check", str(tmp_path))
    assert checked.returncode == 1
    assert "settings.md" in checked.stderr
    assert "commands.md" not in checked.stderr
    assert settings.read_text(encoding="utf-8") == "# Settings\n"


# -- the page of the protocol ----------------------------------------------------------------


@pytest.fixture
def protocol(page_named):
    return page_named("docs/reference/protocol.md")


def frames(page, types):
    """Its examples of whole frames of these types."""
    examples = (json.loads(block) for block in page.blocks("json"))
    return [frame for frame in examples if frame.get("type") in types]


def test_every_type_has_a_chapter_and_every_code_a_line(protocol):
    types = {*MESSAGE_TYPES, *PAYLOAD_TYPES}
    types |= {type_of(model) for model in (*REPLIES, *NOTICES[1:])}

    assert types <= protocol.anchors
    assert {*TYPE_ALIASES, *ErrorCode} <= set(protocol.code_words)
    for code in CloseCode:
        assert f"\n| {code.value} |" in protocol.text


def test_every_example_of_a_message_is_one_that_the_server_reads(protocol, wire_schema):
    asked = [frame for frame in frames(protocol, MESSAGE_TYPES) if "server_time" not in frame]

    assert {frame["type"] for frame in asked} == set(MESSAGE_TYPES)
    for frame in asked:
        wire_schema.sent(frame)
        parse_frame(json.dumps(frame), max_bytes=8192)


def test_every_example_of_an_answer_is_one_of_the_document(protocol, wire_schema):
    said = {type_of(model) for model in (*REPLIES, *NOTICES)} | set(PAYLOAD_TYPES)
    answers = [
        frame
        for frame in frames(protocol, said)
        if "server_time" in frame or frame["type"] not in MESSAGE_TYPES
    ]

    assert {type_of(model) for model in (*REPLIES, *NOTICES)} <= {
        frame["type"] for frame in answers
    }
    for frame in answers:
        wire_schema.received(frame)


def test_json_rpc_is_shown_as_it_is(protocol, wire_schema):
    blocks = [json.loads(block) for block in protocol.blocks("json")]
    request, response, error = (block for block in blocks if "jsonrpc" in block)

    wire_schema.sent(request)
    parse_frame(json.dumps(request), max_bytes=8192)
    wire_schema.received(response)
    wire_schema.received(error)
