"""A memory behind hdl.external.port.MemoryPort, for Amaranth's simulator: slow and moody."""

import random


class PlayedMemory:
    """Takes commands, write data and time as it likes; answers reads in order.

    Parameters
    ----------
    port: of the component under test.  beats, width: of the memory.
    mood: how probable it is that it takes what is offered.  latency: cycles of a read, at the most.
    """

    def __init__(self, port, beats, width, mood=1.0, latency=4, seed=0):
        self._port, self._rng, self._mood, self._latency = port, random.Random(seed), mood, latency
        self.width, self.bytes = width, bytearray(beats * width // 8)
        self._asked, self._data, self._wait = [], [], 0

    def beat(self, address):
        size = self.width // 8
        return slice(address * size, (address + 1) * size)

    async def run(self, ctx):
        """A background testbench."""
        port, rng = self._port, self._rng
        while True:
            ready, taking = rng.random() < self._mood, rng.random() < self._mood
            ctx.set(port.command.ready, ready)
            ctx.set(port.wdata.ready, taking)
            ctx.set(port.rvalid, 0)
            ctx.set(port.rdata, rng.getrandbits(self.width))
            self._act(ctx)
            *_, valid, command, given, data = await ctx.tick().sample(
                port.command.valid, port.command.p, port.wdata.valid, port.wdata.p
            )
            if valid and ready:
                self._asked.append((int(command.write), int(command.address)))
            if given and taking:
                self._data.append(int(data))

    def _act(self, ctx):
        """The oldest command, if it is due."""
        while self._asked and self._asked[0][0] and self._data:
            _, address = self._asked.pop(0)
            assert self.beat(address).stop <= len(self.bytes), "written behind the end"
            self.bytes[self.beat(address)] = self._data.pop(0).to_bytes(self.width // 8, "little")
        if self._asked and not self._asked[0][0]:
            if self._wait:
                self._wait -= 1
                return
            _, address = self._asked.pop(0)
            assert self.beat(address).stop <= len(self.bytes), "read behind the end"
            ctx.set(self._port.rvalid, 1)
            ctx.set(self._port.rdata, int.from_bytes(self.bytes[self.beat(address)], "little"))
            self._wait = self._rng.randrange(self._latency + 1)
