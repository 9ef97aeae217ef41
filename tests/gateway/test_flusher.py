"""One flush for each socket in a turn of the loop."""

import asyncio

from apex_actors.gateway.flusher import Flusher


class Socket:
    def __init__(self, flusher, again=0):
        self.flusher = flusher
        self.again = again
        self.flushes = 0

    def flush(self):
        self.flushes += 1
        if self.again:
            self.again -= 1
            self.flusher.add(self)


async def test_what_asks_in_one_turn_is_flushed_in_the_next():
    flusher = Flusher()
    sockets = [Socket(flusher) for _ in range(3)]
    for socket in sockets:
        flusher.add(socket)
    assert [socket.flushes for socket in sockets] == [0, 0, 0]
    await asyncio.sleep(0)
    assert [socket.flushes for socket in sockets] == [1, 1, 1]
    await asyncio.sleep(0)
    assert [socket.flushes for socket in sockets] == [1, 1, 1]


async def test_who_asks_while_it_is_flushed_gets_another_turn():
    flusher = Flusher()
    socket = Socket(flusher, again=2)
    flusher.add(socket)
    for _ in range(5):
        await asyncio.sleep(0)
    assert socket.flushes == 3
