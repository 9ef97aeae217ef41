"""Rows of JSON documents."""

import io
import json
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.costs.importers import UnreadableFileError, open_usage_file
from apex_actors.costs.importers.documents import MAX_ROW_BYTES, elements


class Dribble(io.RawIOBase):
    """A stream that gives a few bytes at a time, so that every border is met."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = io.BytesIO(data)
        self._size = size

    def read(self, _size: int = -1) -> bytes:
        return self._data.read(self._size)


def values(text: str | bytes, *path: str, size: int = 7) -> list[object]:
    data = text.encode() if isinstance(text, str) else text
    return [element.value for element in elements(Dribble(data, size), path)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
OBJECTS = st.lists(st.dictionaries(st.text(), JSON))


@given(rows=OBJECTS, size=st.integers(1, 40), indent=st.none() | st.just(2))
def test_rows_are_found_wherever_the_stream_is_cut(rows, size, indent):
    around = {"before": {"data": [1]}, "data": rows, "after": ["]", "}"]}

    assert values(json.dumps(around, indent=indent), "data", size=size) == rows
    assert values(json.dumps(rows, indent=indent), size=size) == rows


@pytest.mark.parametrize(
    "text",
    [
        '{"data": [{"a": 1}, {"a": 2}]}',
        '{"data": [{"a": 1}]}\n{"data": [{"a": 2}]}\n',
        '[{"data": [{"a": 1}]}, {"data": [{"a": 2}]}]',
        '{"data": {"a": 1}}{"data": {"a": 2}}',
        '[[{"data": [[{"a": 1}], {"a": 2}]}]]',
    ],
)
def test_pages_may_stand_in_any_way_after_each_other(text):
    assert values(text, "data") == [{"a": 1}, {"a": 2}]


def test_a_row_knows_what_its_surroundings_said_before_it():
    text = '{"r": 1, "a": [{"s": 2, "b": [{"x": 3}], "late": 4}]}'

    (element,) = elements(io.BytesIO(text.encode()), ("a", "b"))

    assert element.value == {"x": 3}
    assert [dict(parent, late=None) for parent in element.parents] == [
        {"r": 1, "late": None},
        {"s": 2, "late": None},
    ]


def test_numbers_with_fractions_are_exact():
    assert values('[{"a": 0.1000000000000000000001}]') == [
        {"a": Decimal("0.1000000000000000000001")}
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"a": tru}', "not a JSON object"),
        ('{"a" 1}', "not a JSON object"),
        ("[NaN]", "not a JSON object"),
        ("17", "not a JSON object"),
        ('"text"', "not a JSON object"),
        ('{"a": NaN}', "not a JSON object"),
        ("\x0b", "not a JSON object"),
    ],
)
def test_a_row_that_is_no_object_is_refused_alone(row, reason):
    found = list(elements(io.BytesIO(f'[{{"a": 1}}, {row}, {{"a": 2}}]'.encode()), ()))

    assert [element.value for element in found] == [{"a": 1}, None, {"a": 2}]
    assert found[1].number == 2
    assert found[1].reason.startswith(reason)


def test_a_row_that_is_too_long_is_refused_alone():
    long = b'{"a": "' + b"x" * MAX_ROW_BYTES + b'"}'

    found = list(elements(io.BytesIO(b'[{"b": 1}, ' + long + b', {"b": 2}]'), ()))

    assert [element.value for element in found] == [{"b": 1}, None, {"b": 2}]
    assert found[1].reason == "is too long to be a row"


@pytest.mark.parametrize(
    "text",
    [
        '{"data": [{"a": 1}',
        '{"data": [{"a": ',
        '{"data"',
        '{"data": [}',
        "[",
        "]",
        "{,]",
        '{"a" 1}',
    ],
)
def test_a_document_that_breaks_off_is_said_to_be_damaged(text):
    with pytest.raises(UnreadableFileError, match="Nothing was imported"):
        values(text, "data")


def test_deep_nesting_is_damage_and_no_crash():
    with pytest.raises(UnreadableFileError):
        values("[" * 5000, "data", size=5000)


def test_a_page_without_its_array_is_refused_and_not_passed_over():
    found = list(elements(io.BytesIO(b'{"error": "x"} {"data": [{"a": 1}]}'), ("data",)))

    assert [element.reason for element in found] == ["has no data", None]


class Generated(io.RawIOBase):
    """One document of very many buckets, made while it is read."""

    def __init__(self, buckets: int) -> None:
        self._parts = self._made(buckets)
        self._rest = b""

    @staticmethod
    def _made(buckets: int) -> Iterator[bytes]:
        yield b'{"object": "page", "data": ['
        for number in range(buckets):
            result = {
                "object": "organization.usage.completions.result", "input_tokens": number,
                "output_tokens": 1, "num_model_requests": 1, "model": "gpt-5",
            }  # fmt: skip
            bucket = {
                "object": "bucket", "start_time": 1_700_000_000 + 60 * number,
                "end_time": 1_700_000_060 + 60 * number, "results": [result],
            }  # fmt: skip
            yield json.dumps(bucket).encode() + b", "
        yield b'], "has_more": false}'

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size:
            part = next(self._parts, b"")
            if not part:
                break
            self._rest += part
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


@pytest.mark.slow
def test_a_document_of_any_size_is_read_in_constant_memory():
    def peak(buckets: int) -> int:
        tracemalloc.start()
        try:
            opened = open_usage_file(Generated(buckets), tenant="acme")
            assert sum(row.request_count for row in opened.rows) == buckets
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(5_000), peak(200_000)

    # 200,000 buckets are some 45 MB; the difference is noise.
    assert large < small + 1_000_000
