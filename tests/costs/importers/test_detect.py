"""Formats are recognised by their content."""

import pytest

from apex_actors.costs.importers import FileFormat, UnknownFormatError, detect

NATIVE = b'{"occurred_at": "2026-11-01T00:00:00Z", "provider": "openai", "model": "gpt-5"}'
MOONCAKE = b'{"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [0]}'


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (NATIVE, FileFormat.NATIVE_JSONL),
        (b"\n\r\n" + NATIVE + b"\n", FileFormat.NATIVE_JSONL),
        (b"{broken\n" + NATIVE, FileFormat.NATIVE_JSONL),
        (MOONCAKE, FileFormat.MOONCAKE_TRACE),
        (b"TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,3\n", FileFormat.AZURE_TRACE),
        (
            b"model,provider,occurred_at,input_tokens,output_tokens,team\r\n",
            FileFormat.NATIVE_CSV,
        ),
    ],
)
def test_a_known_format_is_recognised_and_the_reason_said(head, expected):
    detection = detect(head)

    assert detection.format is expected
    assert detection.reason.startswith(("CSV with the columns ", "JSON lines with the fields "))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\n \n",
        b"hello",
        b"[1, 2]",
        b'{"a": 1}',
        b"{" * 5000,
        b"\xff\xfe\x00",
        b"a,b,c\n1,2,3",
    ],
)
def test_anything_else_is_refused_with_what_would_do(head):
    with pytest.raises(UnknownFormatError, match=r"is empty|none of the known formats \(native-"):
        detect(head)


def test_a_refusal_holds_nothing_of_the_file():
    with pytest.raises(UnknownFormatError) as caught:
        detect(b"my secret,column\n")

    assert "secret" not in str(caught.value)
