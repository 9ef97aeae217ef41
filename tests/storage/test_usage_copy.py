"""Prefix blocks as bytes."""

from hypothesis import given
from hypothesis import strategies as st

from apex_actors.storage.usage_copy import pack_blocks, unpack_blocks


@given(st.lists(st.integers(-(2**63), 2**63 - 1)).map(tuple))
def test_there_and_back_changes_nothing(hashes):
    assert unpack_blocks(pack_blocks(hashes)) == hashes


def test_eight_bytes_a_block():
    assert pack_blocks((1, -1)) == b"\x01" + b"\x00" * 7 + b"\xff" * 8
