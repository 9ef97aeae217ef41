"""The relay stops, whatever the Redis client does with a cancellation."""

import asyncio
import contextlib

from apex_actors.gateway.metrics import GatewayMetrics
from apex_actors.server.announcer import NodeAnnouncer, WakeUpRelay


class DeafWakeUps:
    """Swallows the first cancellation, as redis-py does when it is met at connecting."""

    def __init__(self):
        self.listening = asyncio.Event()
        self.cancellations = 0

    async def listen(self, **_callbacks):
        self.listening.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        self.cancellations += 1
        await asyncio.Event().wait()


async def test_a_relay_stops_although_its_first_cancellation_is_swallowed():
    wake_ups = DeafWakeUps()
    relay = WakeUpRelay.start(wake_ups=wake_ups, announcer=NodeAnnouncer(GatewayMetrics()))
    await wake_ups.listening.wait()
    relay.kill()
    await asyncio.wait_for(relay.stopped(), 5)
    assert wake_ups.cancellations == 1
