"""Which pages may: those on the list, and our own where no name could lie."""

import pytest

from apex_actors.gateway.origins import AllowedOrigins

LISTED = "https://chat.example.com"


@pytest.mark.parametrize(
    ("origins", "host", "allowed"),
    [
        ([LISTED], "anything", True),
        (["http://127.0.0.1:8000"], "127.0.0.1:8000", True),
        (["https://127.0.0.1:8000"], "127.0.0.1:8000", True),
        (["http://[::1]:8000"], "[::1]:8000", True),
        (["http://localhost:8000"], "localhost:8000", True),
        (["http://127.0.0.1:8001"], "127.0.0.1:8000", False),
        (["http://rebound.example"], "rebound.example", False),
        (["http://localhost.example"], "localhost.example", False),
        ([LISTED.upper()], "anything", False),
        ([LISTED + "/"], "anything", False),
        ([LISTED + ":443"], "anything", False),
        ([LISTED, LISTED], "anything", False),
        ([], "anything", False),
        (["http://["], "[", False),
        (["http://[:]"], "[:]", False),
        (["null"], "null", False),
    ],
)
def test_origins(origins, host, allowed):
    assert AllowedOrigins([LISTED]).allows(origins, [host]) is allowed
