"""What a message gets that cannot be taken: who greets is greeted, who asks for help is helped."""

import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from apex_actors.gateway.router import Handler, HandlerPart, HandlerTable
from apex_actors.gateway.session import Session
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.messages import StartAgent, UserMessage
from apex_actors.protocol.notices import Reply
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.errors import StorageUnavailableError

#: When a client may send its message again, in milliseconds.
RETRY_MS: Final = 1000

#: Nobody greets or cries for help at greater length, in characters: the rest is a question.
LONGEST_PHRASE: Final = 80

_STATE: Final = (
    "The database is away: your message was not taken, and none is until it is back. "
    "Send it again then; what was taken before is safe."
)

_ABILITIES: Final = (
    "I analyze what your AI usage costs: totals, what drives them, by model, feature, team and "
    'user, and where you can save. Ask "Analyze my AI costs", for example.'
)

_GREETING: Final = re.compile(
    r"(?:hello|hi|hiya|hey|howdy|greetings|good (?:morning|afternoon|evening|day)"
    r"|hallo|hola|bonjour|ciao)(?: (?:there|all|everybody|everyone|you|again|apex))*"
)

_HELP: Final = re.compile(
    r"(?:please )?help(?: me)?(?: please)?|i need (?:some )?help|can you help(?: me)?|"
    r"what (?:can|do) you do|what are you(?: able to do)?|who are you|"
    r"what (?:can|should) i (?:ask|do|say)(?: you)?|how (?:does|do) (?:this|it|you) work|"
    r"how (?:do|can) i (?:start|begin|use (?:this|you))"
)

_NO_WORD: Final = re.compile(r"[\W_]+")


def fallback_answer(text: str) -> str:
    """What can be said to ``text`` without storing or looking up anything.

    Nothing of ``text`` itself is in it.
    """
    greets = asks_for_help = False
    if len(text) <= LONGEST_PHRASE:
        words = _NO_WORD.sub(" ", text.casefold().replace("'", "")).strip()
        greeting = _GREETING.match(words + " ")
        rest = words
        if greeting is not None and words[greeting.end() : greeting.end() + 1] in {"", " "}:
            rest = words[greeting.end() :].strip()
            greets = not rest or _HELP.fullmatch(rest) is not None
        asks_for_help = _HELP.fullmatch(rest) is not None or (not words and "?" in text)
    parts = ["Hello!"] if greets else []
    if greets or asks_for_help:
        parts.append(_ABILITIES)
    return " ".join([*parts, _STATE])


class WithFallback:
    """Handlers whose messages of people are answered even where they cannot be taken.

    The answer is the error ``service_degraded``: the protocol has no reply in words that would not
    be an event, and an event that is not in the log must not be seen.
    """

    def __init__(self, part: HandlerPart) -> None:
        self._part = part

    def table(self) -> HandlerTable:
        """Handler by type of message: those of the part, none more."""
        table = dict(self._part.table())
        table[UserMessage] = _answered(table[UserMessage], lambda message: message.text)
        table[StartAgent] = _answered(table[StartAgent], lambda message: message.user_request)
        return table


def _answered(handler: Handler, text_of: Callable[[Any], str]) -> Handler:
    @functools.wraps(handler)
    async def handle(message: Any, session: Session) -> Reply | None:
        outcome = handler(message, session)
        try:
            return await outcome if isinstance(outcome, Awaitable) else outcome
        except StorageUnavailableError:
            raise ProtocolViolation(
                ErrorCode.SERVICE_DEGRADED,
                fallback_answer(text_of(message)),
                retry_after_ms=RETRY_MS,
            ) from None

    return handle
