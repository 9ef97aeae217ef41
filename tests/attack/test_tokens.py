"""Tokens that are forged, and origins that look like one of ours."""

import pytest
from attack_kit.cases import check_request, rows
from attack_kit.forgery import ALLOWED_ORIGINS, ORIGINS, TOKENS
from attack_kit.wire import handshake, request

SETTINGS = {"gateway": {"allowed_origins": ALLOWED_ORIGINS}}


@pytest.mark.parametrize("case", rows(TOKENS))
async def test_tokens(target, case):
    await check_request(target, case)


@pytest.mark.parametrize("case", rows(ORIGINS))
async def test_origins(target, case):
    await check_request(target, case)


async def test_every_bad_token_gets_the_same_answer(target):
    cases = [case for case in TOKENS if case.expected == TOKENS[0].expected and not case.pending]
    answers = {(await target.answer(case.bytes_for(target))).body for case in cases}
    assert len(answers) == 1
    assert len(cases) > 80


async def test_a_name_that_points_to_this_machine_gets_nothing_by_it(target):
    """DNS rebinding: a page elsewhere whose host's address has become ours."""
    host = f"evil.example:{target.port}"
    origin = [("Origin", f"http://{host}")]
    knock = await target.answer(handshake(target.token(), extra=origin, host=host))
    assert (knock.status, knock.code) == (403, "origin_not_allowed")
    headers = [("Host", host), ("Content-Type", "application/json"), ("Content-Length", "13")]
    for more, code in (([], "forbidden"), (origin, "origin_not_allowed")):
        sign_in = await target.answer(
            request("POST /dev/token HTTP/1.1", [*headers, *more], b'{"sub":"ann"}')
        )
        assert (sign_in.status, sign_in.code) == (403, code)
