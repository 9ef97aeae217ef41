"""The router: from a message's type to its handler, in the name of the token's user only."""

from datetime import UTC, datetime

import pytest

from apex_actors.gateway.auth import VerifiedToken
from apex_actors.gateway.router import MessageRouter
from apex_actors.gateway.session import Session
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.messages import Heartbeat, ListThreads, Ping
from apex_actors.protocol.violation import ProtocolViolation


@pytest.fixture
def session():
    return Session(
        "c", VerifiedToken(Identity(org="acme", sub="ann"), datetime(2026, 11, 22, tzinfo=UTC))
    )


@pytest.fixture
def router():
    return MessageRouter({Ping: lambda *given: ("ping", *given), Heartbeat: lambda *_: "heartbeat"})


def test_a_message_reaches_its_handler_with_the_session(router, session):
    message = Ping()
    assert router.route(message, session) == ("ping", message, session)
    assert router.route(Heartbeat(user_id="ann"), session) == "heartbeat"


@pytest.mark.parametrize("forged", ["bob", "Ann", "ann ", "acme"])
def test_promise_8_a_user_id_that_is_not_the_tokens_is_refused(router, session, forged):
    with pytest.raises(ProtocolViolation) as refused:
        router.route(Ping(user_id=forged), session)
    assert refused.value.code is ErrorCode.USER_MISMATCH


def test_a_type_without_a_handler_is_answered_with_those_that_have_one(router, session):
    with pytest.raises(ProtocolViolation) as refused:
        router.route(ListThreads(), session)
    assert refused.value.code is ErrorCode.UNKNOWN_MESSAGE_TYPE
    assert refused.value.details == {"known_types": ["heartbeat", "ping"]}


def test_what_a_handler_refuses_is_passed_on(session):
    def refuse(*_):
        raise ProtocolViolation(ErrorCode.QUEUE_FULL, "full")

    with pytest.raises(ProtocolViolation, match="full"):
        MessageRouter({Ping: refuse}).route(Ping(), session)


def test_the_table_is_fixed_when_the_router_is_made(session):
    table = {Ping: lambda *_: "first"}
    router = MessageRouter(table)
    table[Ping] = lambda *_: "second"
    assert router.route(Ping(), session) == "first"


def test_a_router_without_handlers_is_refused():
    with pytest.raises(ValueError, match="handlers"):
        MessageRouter({})
