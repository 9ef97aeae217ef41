"""Wake-ups between processes, by publish and subscribe of Redis or Valkey."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio import RedisCluster
from redis.exceptions import RedisError

from apex_actors.storage.cache import PREFIX, Cache, Client
from apex_actors.storage.errors import CacheUnavailableError

#: One channel for all, so that on a cluster one node has it: that of the word in braces.
CHANNEL: Final = f"{PREFIX}:{{wake}}"

#: How long a listener waits in one go, in seconds.
LISTEN_PULSE_S: Final = 1.0

#: Users whom one message names.
USERS_PER_MESSAGE: Final = 500

Message = dict[str, Any]


class WakeUps:
    """Tells other processes that there is something to read or to do; carries no data.

    A wake-up may be lost: whoever waits for one polls as well. On a cluster the channel is a sharded
    one where the servers know such (Redis 7, Valkey): a plain one would go to every node.
    """

    def __init__(self, cache: Cache, *, node: str) -> None:
        self._cache = cache
        self._node = node

    async def wake(self, user_ids: Iterable[int], *, work: bool) -> None:
        """The logs of these users have grown; ``work``: a run may be claimed."""
        users = [str(user_id) for user_id in user_ids]
        async with self._cache.guarded() as client:
            for start in range(0, len(users) or 1, USERS_PER_MESSAGE):
                named = users[start : start + USERS_PER_MESSAGE]
                word = "work" if work and start == 0 else "-"
                await _publish(client, " ".join((self._node, word, *named)))

    async def listen(self, *, on_user: Callable[[int], None], on_work: Callable[[], None]) -> None:
        """Call back for each wake-up of another node; raises CacheUnavailableError when cut off."""
        async with self._cache.guarded() as client, _subscribed(client) as next_message:
            while True:
                message = await next_message()
                if message is None:
                    await asyncio.sleep(0)
                    continue
                node, word, *users = (*str(message["data"]).split(" "), "")
                if node == self._node:
                    continue
                if word == "work":
                    on_work()
                for user in users:
                    if user.isdecimal():
                        on_user(int(user))


async def _publish(client: Client, data: str) -> None:
    if isinstance(client, RedisCluster):
        try:
            await client.spublish(CHANNEL, data)
        except RedisError as error:
            if not _is_unknown(error):
                raise
        else:
            return
    await client.publish(CHANNEL, data)


@asynccontextmanager
async def _subscribed(client: Client) -> AsyncIterator[Callable[[], Awaitable[Message | None]]]:
    """A way to the next message, or None after LISTEN_PULSE_S without one."""
    if isinstance(client, RedisCluster):
        # Whoever was cut off may have been so because the channel has moved.
        await client.initialize()
        await client.nodes_manager.initialize()
        async with client.pubsub() as channel:
            owner = client.get_node_from_key(CHANNEL)
            try:
                await channel.ssubscribe(CHANNEL)
                # Only with the confirmation an error is read.
                await channel.get_sharded_message(timeout=LISTEN_PULSE_S, target_node=owner)
            except RedisError as error:
                if not _is_unknown(error):
                    raise
            else:
                yield _sharded(client, channel, owner)
                return
    async with client.pubsub() as channel:
        await channel.subscribe(CHANNEL)

        async def next_message() -> Message | None:
            # A connection that was cut is made and subscribed anew by the next call.
            message: Message | None = await channel.get_message(
                ignore_subscribe_messages=True, timeout=LISTEN_PULSE_S
            )
            return message

        yield next_message


def _sharded(
    client: RedisCluster, channel: Any, owner: Any
) -> Callable[[], Awaitable[Message | None]]:
    async def next_message() -> Message | None:
        message: Message | None = await channel.get_sharded_message(
            timeout=LISTEN_PULSE_S, target_node=owner
        )
        told = None if message is None else message["type"]
        if told == "sunsubscribe" or client.get_node_from_key(CHANNEL) != owner:
            raise CacheUnavailableError("the channel of wake-ups has moved to another node")
        return message if told == "smessage" else None

    return next_message


def _is_unknown(error: RedisError) -> bool:
    """Whether the server does not know the command: it is older than sharded channels.

    It says so itself, or redis-py does, which has asked for its commands.
    """
    return "unknown command" in str(error).lower() or "command doesn't exist" in str(error)
