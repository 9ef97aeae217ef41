"""Error codes and their numbers."""

from apex_actors.protocol import JSON_RPC_CODES, CloseCode, ErrorCode, JsonRpcCode


def test_every_error_code_has_its_own_json_rpc_number_outside_the_standard_ones():
    """Two codes share a number only where JSON-RPC itself has one number for both."""
    standard = set(JsonRpcCode)
    ours = [number for number in JSON_RPC_CODES.values() if number not in standard]

    assert set(JSON_RPC_CODES) == set(ErrorCode)
    assert len(ours) == len(set(ours))
    assert all(-32099 <= number <= -32000 for number in ours)


def test_close_codes_are_those_of_the_protocol():
    """Clients decide by these numbers whether to come back: they never change."""
    assert sorted(CloseCode) == [1000, 1003, 1007, 1008, 1009, 1011, 1012, 4401, 4408, 4429]
