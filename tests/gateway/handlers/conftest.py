"""Fixtures of the handlers: sessions of users, and what they ask."""

from datetime import UTC, datetime

import pytest

from apex_actors.execution import Acceptance, ExecutionSettings, MessageToAccept, ThreadService
from apex_actors.gateway.auth import VerifiedToken
from apex_actors.gateway.session import Session
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.event_log import EventLog


@pytest.fixture
def session_of(database):
    async def session_of(sub, org="acme"):
        identity = Identity(org=org, sub=sub)
        session = Session("c", VerifiedToken(identity, datetime(2026, 11, 22, tzinfo=UTC)))
        session.user_id = (await EventLog(database).open(identity)).user_id
        return session

    return session_of


@pytest.fixture
async def session(session_of):
    return await session_of("ann")


@pytest.fixture
def refusal():
    """What a handler refuses with: ``await refusal(handlers.method(…))``."""

    async def refusal(coroutine):
        with pytest.raises(ProtocolViolation) as refused:
            await coroutine
        return refused.value

    return refusal


@pytest.fixture
def service(database, announcer, sessions):
    return ThreadService(database=database, announcer=announcer, sessions=sessions)


@pytest.fixture
def ask(database, announcer):
    """Have a message accepted: ``await ask(session, "How much?", thread_id=…)``."""
    acceptance = Acceptance(
        database=database, announcer=announcer, settings=ExecutionSettings(waiting_per_user=1000)
    )

    async def ask(session, text="How much?", **fields):
        return await acceptance.accept(
            MessageToAccept(user_id=session.user_id, text=text, pipeline="costs", **fields)
        )

    return ask
