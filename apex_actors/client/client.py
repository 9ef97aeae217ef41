"""The client: what a program says to the server, and the stream of what it hears."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from uuid import UUID, uuid4

from pydantic import JsonValue, ValidationError

from apex_actors.client.backoff import Backoff
from apex_actors.client.errors import InvalidReplyError, RequestFailedError
from apex_actors.client.link import Link, Position, Statistics
from apex_actors.protocol import (
    DEFAULT_PAGE,
    PAYLOAD_TYPES,
    CancelRun,
    ClientMessage,
    ConnectionReady,
    DeleteThread,
    Event,
    GetPreferences,
    GetRun,
    GetThreadHistory,
    Heartbeat,
    HeartbeatAck,
    IfBusy,
    ListThreads,
    MessageAccepted,
    Ok,
    Ping,
    PongReply,
    Preferences,
    RefreshToken,
    RenameThread,
    Reply,
    RetryRun,
    RunCancelling,
    RunReply,
    RunStatusReply,
    SetPreferences,
    StartAgent,
    StopAgent,
    SwitchThread,
    ThreadData,
    ThreadHistory,
    Threads,
    TokenRefreshed,
    UserMessage,
    is_event,
)

_Reply = TypeVar("_Reply", bound=Reply)


class ApexClient:
    """A user's connection to the server.

    ```python
    async with ApexClient("http://127.0.0.1:8000", token=token) as client:
        accepted = await client.send_message("Analyze my AI costs")
        async for event in client.events():
            if event.run_id == accepted.run_id and event.type == "run_finished":
                break
    ```

    A lost socket is replaced with backoff and resumed where the last one ended. What can be asked
    twice without harm (messages, by their `client_message_id`; what only reads; `cancel_run`,
    `rename_thread`) is sent again until it is answered. Anything else raises ConnectionLostError
    when the socket goes before the reply: whether the server acted is then unknown. What the
    server cannot take just now is asked again when it says so, for up to `retry_for_s`; other
    refusals raise RequestFailedError.

    Entering raises HandshakeRefusedError or ConnectionLostError when the FIRST connection cannot
    be made. After `give_up_after_s` without a connection everything that waits gets
    ConnectionLostError. There is one stream: consume either `events` or `frames`, in one task. Who
    leaves more than `max_unread_frames` unread stops the reading, replies included.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        token_provider: Callable[[], Awaitable[str]] | None = None,
        position: tuple[int, str] | None = None,
        on_gap: Callable[[Position], Awaitable[None]] | None = None,
        backoff: Backoff | None = None,
        open_timeout_s: float = 10.0,
        give_up_after_s: float | None = 60.0,
        retry_for_s: float = 60.0,
        ack_interval_s: float = 5.0,
        max_unread_frames: int = 10_000,
    ) -> None:
        """`token_provider` is asked before each connection, and when a token is about to expire.

        `position` is that of an earlier connection, to go on from there. `on_gap` is awaited in
        the stream of `events` where the server cannot replay what was missed: read the threads
        afresh there; the events that follow come after the position that it is given.
        What was consumed is confirmed to the server every `ack_interval_s` at most.
        """
        if (token is None) == (token_provider is None):
            raise ValueError("give either token or token_provider")
        self._link = Link(
            url,
            token=token,
            token_provider=token_provider,
            position=None if position is None else Position(*position),
            backoff=backoff or Backoff(),
            open_timeout_s=open_timeout_s,
            give_up_after_s=give_up_after_s,
            ack_interval_s=ack_interval_s,
            max_unread_frames=max_unread_frames,
        )
        self._on_gap = on_gap
        self._retry_for_s = retry_for_s
        self._handed_seq = 0

    async def __aenter__(self) -> Self:
        await self._link.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Say goodbye; streams end, what waits for a reply gets ConnectionLostError."""
        await self._link.close()

    # -- how it stands -------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether there is a socket right now."""
        return self._link.is_connected

    @property
    def welcome(self) -> ConnectionReady:
        """The last `connection_ready`; AttributeError before the first."""
        return self._link.welcome

    @property
    def degraded(self) -> Mapping[str, str]:
        """Parts of the server that are away → what does not work meanwhile; empty when all is well.

        `service_degraded` and `service_recovered`, which say it, are in `frames` too.
        """
        return self._link.degraded

    @property
    def position(self) -> Position | None:
        """Where to go on from, in another process too: what was consumed is behind it.

        None while the server has no log to speak of.
        """
        return self._link.consumed

    @property
    def statistics(self) -> Statistics:
        """What happened so far; counts on."""
        return self._link.statistics

    # -- asking --------------------------------------------------------------------------

    async def send_message(
        self,
        text: str,
        *,
        thread_id: UUID | None = None,
        new_thread: bool = False,
        if_busy: IfBusy = IfBusy.ENQUEUE,
        client_message_id: str | None = None,
    ) -> MessageAccepted:
        """Ask something; returns once message and run are durable.

        Without `thread_id` it goes to the current thread, unless `new_thread` asks for another
        one; where there is none yet, a new one begins.
        """
        message = UserMessage(
            text=text,
            thread_id=thread_id,
            new_thread=new_thread,
            if_busy=if_busy,
            client_message_id=client_message_id or str(uuid4()),
        )
        return await self._ask(message, MessageAccepted, repeatable=True)

    async def start_agent(
        self,
        user_request: str,
        *,
        pipeline: str | None = None,
        thread_id: UUID | None = None,
        client_message_id: str | None = None,
    ) -> MessageAccepted:
        """Start a run for a program; it goes before waiting messages."""
        message = StartAgent(
            user_request=user_request,
            pipeline=pipeline,
            thread_id=thread_id,
            client_message_id=client_message_id or str(uuid4()),
        )
        return await self._ask(message, MessageAccepted, repeatable=True)

    async def retry_run(self, run_id: UUID) -> MessageAccepted:
        """A new run on the message of one that did not complete."""
        return await self._ask(RetryRun(run_id=run_id), MessageAccepted)

    async def cancel_run(self, run_id: UUID) -> RunCancelling | RunStatusReply:
        """Stop a run; its `run_finished` follows. A RunStatusReply says that it had ended."""
        reply = await self._ask(
            CancelRun(run_id=run_id), RunCancelling, RunStatusReply, repeatable=True
        )
        return cast("RunCancelling | RunStatusReply", reply)

    async def stop_agent(self, thread_id: UUID) -> RunCancelling | RunStatusReply:
        """As `cancel_run`, for the run that goes on in a thread."""
        reply = await self._ask(StopAgent(thread_id=thread_id), RunCancelling, RunStatusReply)
        return cast("RunCancelling | RunStatusReply", reply)

    async def get_run(self, run_id: UUID) -> RunReply:
        """All that is needed to draw a run; events up to its `seq` are in it."""
        return await self._ask(GetRun(run_id=run_id), RunReply, repeatable=True)

    # -- threads -------------------------------------------------------------------------

    async def list_threads(
        self, *, limit: int = DEFAULT_PAGE, before: str | None = None
    ) -> Threads:
        """A page of the user's threads, latest first; `before` is `next` of the page before."""
        return await self._ask(ListThreads(limit=limit, before=before), Threads, repeatable=True)

    async def thread_history(
        self, thread_id: UUID, *, limit: int = DEFAULT_PAGE, before: UUID | None = None
    ) -> ThreadHistory:
        """The latest messages of a thread, or those before message `before`, and their runs."""
        message = GetThreadHistory(
            thread_id=thread_id, limit=limit, before=None if before is None else str(before)
        )
        return await self._ask(message, ThreadHistory, repeatable=True)

    async def switch_thread(self, thread_id: UUID) -> ThreadData:
        """Make a thread the current one, also after a reconnect."""
        return await self._ask(SwitchThread(thread_id=thread_id), ThreadData, repeatable=True)

    async def rename_thread(self, thread_id: UUID, title: str) -> None:
        """Give a thread another title; the user's other connections see it as an event."""
        await self._ask(RenameThread(thread_id=thread_id, title=title), Ok, repeatable=True)

    async def delete_thread(self, thread_id: UUID) -> None:
        """Remove a thread with all that was said in it; running work is cancelled first."""
        await self._ask(DeleteThread(thread_id=thread_id), Ok)

    # -- the user and the connection -----------------------------------------------------

    async def get_preferences(self) -> Mapping[str, JsonValue]:
        """The user's preferences."""
        reply = await self._ask(GetPreferences(), Preferences, repeatable=True)
        return reply.preferences

    async def set_preferences(
        self, preferences: Mapping[str, JsonValue]
    ) -> Mapping[str, JsonValue]:
        """Set those named, and return all as they are then."""
        message = SetPreferences(preferences=dict(preferences))
        return (await self._ask(message, Preferences)).preferences

    async def refresh_token(self, token: str) -> TokenRefreshed:
        """Let this connection outlive its token; done unasked where there is a `token_provider`."""
        return await self._ask(RefreshToken.model_validate({"token": token}), TokenRefreshed)

    async def ping(self) -> PongReply:
        """Ask whether the server is there."""
        return await self._ask(Ping(), PongReply)

    async def heartbeat(self) -> HeartbeatAck:
        """As `ping`, in older clients' words."""
        return await self._ask(Heartbeat(), HeartbeatAck)

    async def _ask(
        self,
        message: ClientMessage,
        answer: type[_Reply],
        *others: type[_Reply],
        repeatable: bool = False,
    ) -> _Reply:
        frame = await self._ask_until_taken(message.to_wire(), repeatable=repeatable)
        for model in (answer, *others):
            if frame["type"] == model.model_fields["type"].default:
                try:
                    # A newer server may say more than we know.
                    return model.model_validate(frame, extra="ignore")
                except ValidationError:
                    break
        raise InvalidReplyError(f"what answers {message.type} is not what the protocol says")

    async def _ask_until_taken(self, fields: dict[str, Any], *, repeatable: bool) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + self._retry_for_s
        while True:
            try:
                return await self._link.ask(fields, repeatable=repeatable)
            except RequestFailedError as refused:
                # A refusal says that nothing was done: whatever it was may be asked again.
                if not refused.is_temporary or loop.time() + refused.retry_after_s > ends_s:
                    raise
                await asyncio.sleep(refused.retry_after_s)

    # -- listening -----------------------------------------------------------------------

    def frames(self) -> AsyncIterator[dict[str, Any]]:
        """Every frame as received, the welcomes too; ends when the client is closed.

        Raises HandshakeRefusedError or ConnectionLostError when there will be no more.
        """
        return self._link.frames()

    async def events(self) -> AsyncIterator[Event]:
        """Durable events, each once and in order, across reconnects; ends as `frames` does."""
        async for frame in self._link.frames():
            if is_event(frame):
                # A newer server may have events that we do not know: they are in `frames`.
                if frame["type"] in PAYLOAD_TYPES and frame["seq"] > self._handed_seq:
                    self._handed_seq = frame["seq"]
                    yield Event.from_wire(frame, ignore_unknown=True)
            elif frame.get("recovered") is False:
                # Another log, or too far behind: what follows counts from here.
                self._handed_seq = frame["seq"]
                if self._on_gap is not None:
                    await self._on_gap(Position(frame["seq"], frame["epoch"]))
