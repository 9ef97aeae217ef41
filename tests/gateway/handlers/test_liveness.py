"""Signs of life: answered without anything else, and confirmations noted."""

from datetime import UTC, datetime

import pytest

from apex_actors.gateway.auth import VerifiedToken
from apex_actors.gateway.handlers import LivenessHandlers
from apex_actors.gateway.session import Session
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.messages import Ack, Heartbeat, Ping, Pong


@pytest.fixture
def handlers():
    return LivenessHandlers()


@pytest.fixture
def session():
    return Session(
        "c", VerifiedToken(Identity(org="acme", sub="ann"), datetime(2026, 11, 22, tzinfo=UTC))
    )


def test_pings_and_heartbeats_are_answered_without_a_log(handlers, session):
    assert handlers.ping(Ping(), session).type == "pong"
    assert handlers.heartbeat(Heartbeat(), session).type == "heartbeat_ack"


def test_pongs_and_acks_are_only_noted_and_never_go_back(handlers, session):
    for message, acknowledged in (
        (Ack(seq=7), 7),
        (Pong(seq=3), 7),
        (Pong(), 7),
        (Ack(), 7),
        (Pong(seq=10), 10),
    ):
        assert handlers.acknowledge(message, session) is None
        assert session.acknowledged == acknowledged
