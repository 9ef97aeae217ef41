"""What people are told when their messages cannot be taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.gateway.handlers import WithFallback
from apex_actors.gateway.handlers.fallback import fallback_answer
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.messages import CancelRun, RetryRun, StartAgent, UserMessage
from apex_actors.protocol.notices import Ok
from apex_actors.storage.errors import StorageUnavailableError

STATE = "your message was not taken"
ABILITIES = "I analyze what your AI usage costs"


@pytest.mark.parametrize(
    "text",
    ["hello", "Hi!", "  HEY there ", "Good morning, everyone!", "hola", "hi, what can you do?"],
)
def test_a_greeting_is_greeted_and_told_what_the_server_can_do(text):
    answer = fallback_answer(text)
    assert answer.startswith(f"Hello! {ABILITIES}")
    assert STATE in answer


@pytest.mark.parametrize(
    "text",
    ["help", "Help me, please!", "what can you do?", "How does this work", "Who are you?", "?"],
)
def test_a_cry_for_help_is_told_what_the_server_can_do(text):
    answer = fallback_answer(text)
    assert answer.startswith(ABILITIES)
    assert STATE in answer


@pytest.mark.parametrize(
    "text",
    [
        "Analyze my AI costs",
        "Hello, analyze my AI costs",
        "help me save on embeddings",
        "history of my costs",
        "hello" * 100,
        "…",
    ],
)
def test_a_question_is_told_that_it_was_not_taken_and_nothing_else(text):
    answer = fallback_answer(text)
    assert STATE in answer
    assert "Hello" not in answer
    assert ABILITIES not in answer


@given(st.text(max_size=8191))
def test_whatever_is_said_has_an_answer_without_a_word_of_it(text):
    assert fallback_answer(text) in {
        fallback_answer("hello"),
        fallback_answer("help"),
        fallback_answer("Analyze my AI costs"),
    }


class Part:
    """Handlers of a server whose database is away, or not."""

    def __init__(self, error=None):
        self.error = error

    def table(self):
        types = (UserMessage, StartAgent, RetryRun, CancelRun)
        return dict.fromkeys(types, self.handle)

    async def handle(self, _message, _session):
        if self.error is not None:
            raise self.error
        return Ok()


HELLO = UserMessage(type="user_message", text="hello")


@pytest.mark.parametrize(
    "message", [HELLO, StartAgent(type="start_agent", user_request="hello")], ids=lambda m: m.type
)
async def test_without_the_database_a_message_is_answered_and_may_come_again(message, refusal):
    table = WithFallback(Part(StorageUnavailableError("away"))).table()
    refused = await refusal(table[type(message)](message, None))
    assert refused.code is ErrorCode.SERVICE_DEGRADED
    assert refused.message == fallback_answer("hello")
    assert refused.retry_after_ms > 0


async def test_with_it_a_message_is_taken():
    assert await WithFallback(Part()).table()[UserMessage](HELLO, None) == Ok()


async def test_what_is_no_speech_and_what_is_no_absence_is_left_as_it_is():
    away, bug = StorageUnavailableError("away"), LookupError("a bug")
    with pytest.raises(StorageUnavailableError):
        await WithFallback(Part(away)).table()[CancelRun](None, None)
    with pytest.raises(LookupError):
        await WithFallback(Part(bug)).table()[UserMessage](HELLO, None)


def test_it_handles_what_the_part_handles():
    assert WithFallback(Part()).table().keys() == Part().table().keys()
