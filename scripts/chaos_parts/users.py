"""People who use the product through its own client, whatever happens to it."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final
from uuid import UUID, uuid4

import jwt

from apex_actors.client import ApexClient, Backoff, ClientError, RequestFailedError
from apex_actors.protocol import ErrorCode, IfBusy, MessageAccepted, is_event
from chaos_parts.record import Diary, Record, Sent

TOKEN_LIFE_S: Final = 3600

ORGS: Final = 7
SUBS: Final = 5
"""Users are pairs of these, so that each tenant has several and each name is in several tenants."""

THREADS: Final = 3
"""Threads that a user goes back to; more are opened now and then."""

SHORTEST_THOUGHT_S: Final = 0.1
LONGEST_THOUGHT_S: Final = 0.9

PROGRAM_PERCENT: Final = 15
"""Of the messages that start an agent, and so go before those that wait."""

INTERRUPT_PERCENT: Final = 10
"""Of the others that interrupt what is under way."""

OPEN_AGAIN_S: Final = 0.2
IMPATIENCE_S: Final = 0.08

NEVER_S: Final = 3600.0
"""Nobody here gives up before the end."""


class User:
    """Acts at random until told to stop, and writes down everything."""

    def __init__(
        self, number: int, *, url: str, secret: str, random: Random, record: Record
    ) -> None:
        org, sub = f"org-{number % ORGS}", f"user-{number % SUBS}"
        self.diary = Diary(org, sub, mark=f"mark{random.getrandbits(64):016x}")
        record.diaries.append(self.diary)
        self._record = record
        self._random = random
        self._url = url
        self._token = token_of(org, sub, secret)
        self._client: ApexClient
        self._listening: asyncio.Task[None] | None = None
        self._position: tuple[int, str] | None = None
        self._threads: list[UUID] = []
        self._unfinished: set[UUID] = set()
        self._failed: list[UUID] = []

    async def live(self, stop: asyncio.Event, others: list["User"]) -> None:
        """Act until ``stop``, and listen on."""
        actions: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._send, 70),
            (self._send_impatiently, 6),
            (self._send_again, 6),
            (self._cancel, 6),
            (self._retry, 4),
            (self._come_back, 8),
            (lambda: self._pry(self._random.choice(others)), 4),
        ]
        await self._open()
        while not stop.is_set():
            [(action, _)] = self._random.choices(actions, [weight for _, weight in actions])
            try:
                await action()
            except RequestFailedError as refused:
                self._record.refused[refused.code] += 1
            except ClientError as lost:
                self._record.refused[type(lost).__name__] += 1
                await self._close()
                await self._open()
            thought_s = self._random.uniform(SHORTEST_THOUGHT_S, LONGEST_THOUGHT_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), thought_s)

    async def leave(self) -> None:
        """Close the connection."""
        await self._close()

    # What a user does.

    async def _send(self) -> None:
        sent = self._compose()
        await self._deliver(sent, self._thread())

    async def _send_impatiently(self) -> None:
        """Close the page at once, come back, and send it again."""
        sent, thread_id = self._compose(), self._thread()
        sending = asyncio.ensure_future(self._deliver(sent, thread_id, plain=True))
        await asyncio.sleep(self._random.uniform(0, IMPATIENCE_S))
        await self._come_back()
        with contextlib.suppress(ClientError):
            await sending
        await self._deliver(sent, thread_id, plain=True)

    async def _send_again(self) -> None:
        """The same message once more: the same answer."""
        if self.diary.sent:
            sent = self._random.choice(self.diary.sent[-20:])
            if sent.answer is not None:
                await self._deliver(sent, sent.answer.thread_id, plain=True)

    async def _cancel(self) -> None:
        if self._unfinished:
            await self._client.cancel_run(self._random.choice(sorted(self._unfinished)))

    async def _retry(self) -> None:
        if self._failed:
            run_id = self._random.choice(self._failed)
            answer = await self._client.retry_run(run_id)
            if not answer.duplicate:
                self._accept(answer)
                self.diary.retried.append(answer)

    async def _come_back(self) -> None:
        """Leave, and go on from where the last connection ended."""
        await self._close()
        await asyncio.sleep(self._random.uniform(0, OPEN_AGAIN_S))
        await self._open()
        self._record.reconnects += 1

    async def _pry(self, other: "User") -> None:
        """Ask for what belongs to another."""
        runs = self._record.run_ids(other.diary)
        if other is self or not runs:
            return
        try:
            await self._client.get_run(self._random.choice(runs))
        except RequestFailedError as refused:
            if refused.code != ErrorCode.RUN_NOT_FOUND:
                raise
        else:
            self.diary.violates(8, f"was shown a run of {other.diary.user}")

    # Helpers.

    def _compose(self) -> Sent:
        number = len(self.diary.sent) + 1
        text = f"Costs of {self.diary.mark}, question {number}"
        sent = Sent(str(uuid4()), text, time.time())
        self.diary.sent.append(sent)
        return sent

    def _thread(self) -> UUID | None:
        wanted = self._random.randrange(THREADS + 1)
        return self._threads[-1 - wanted] if wanted < len(self._threads) else None

    async def _deliver(self, sent: Sent, thread_id: UUID | None, *, plain: bool = False) -> None:
        client = self._client
        if not plain and self._random.randrange(100) < PROGRAM_PERCENT:
            answer = await client.start_agent(
                sent.text,
                thread_id=thread_id,
                client_message_id=sent.client_message_id,
            )
        else:
            interrupts = not plain and self._random.randrange(100) < INTERRUPT_PERCENT
            answer = await client.send_message(
                sent.text,
                thread_id=thread_id,
                new_thread=thread_id is None,
                if_busy=IfBusy.INTERRUPT if interrupts else IfBusy.ENQUEUE,
                client_message_id=sent.client_message_id,
            )
        known = sent.answer
        if known is None:
            sent.answer, sent.answered_s = answer, time.time()
            self._accept(answer)
        elif (answer.message_id, answer.run_id) != (known.message_id, known.run_id):
            self.diary.violates(
                1, f"message {known.message_id} was accepted again as {answer.message_id}"
            )

    def _accept(self, answer: MessageAccepted) -> None:
        if answer.thread_id not in self._threads:
            self._threads.append(answer.thread_id)
        self._unfinished.add(answer.run_id)

    async def _open(self) -> None:
        while True:
            self._client = ApexClient(
                self._url,
                token=self._token,
                position=self._position,
                backoff=Backoff(base_s=0.1, cap_s=1.0, random=self._random),
                open_timeout_s=3.0,
                give_up_after_s=None,
                retry_for_s=NEVER_S,
                ack_interval_s=1.0,
            )
            try:
                await self._client.__aenter__()
            except ClientError:
                await asyncio.sleep(OPEN_AGAIN_S)
                continue
            break
        self._listening = asyncio.create_task(self._listen(self._client))

    async def _close(self) -> None:
        client = self._client
        await client.close()
        if self._listening is not None:
            with contextlib.suppress(ClientError):
                await self._listening
            self._listening = None
        self._position = client.position or self._position
        self._record.reconnects += client.statistics.reconnects
        self._record.recovered += client.statistics.recovered

    async def _listen(self, client: ApexClient) -> None:
        async for frame in client.frames():
            if is_event(frame):
                self.diary.events.append(frame)
                if frame["type"] == "run_finished":
                    self._run_finished(UUID(frame["run_id"]), frame["payload"]["status"])
            elif frame.get("recovered") is False:
                self.diary.violates(4, f"what follows seq {self.diary.seq} was not recovered")
            elif self.diary.start_seq is None and frame.get("seq") is not None:
                self.diary.start_seq = frame["seq"]

    def _run_finished(self, run_id: UUID, status: str) -> None:
        self._unfinished.discard(run_id)
        if status != "completed":
            self._failed.append(run_id)


def token_of(org: str, sub: str, secret: str) -> str:
    """A token as the company's own sign-in would issue it."""
    now = int(time.time())
    claims = {"iss": "apex", "aud": "apex", "sub": sub, "org": org}
    return jwt.encode({**claims, "iat": now, "exp": now + TOKEN_LIFE_S}, secret, algorithm="HS256")
