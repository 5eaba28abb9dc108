"""A memory behind the port of a core, for tests: commands in order, answers when it likes."""

from __future__ import annotations

import random
from collections import deque


class Memory:
    """Serves ``port`` (hdl.external.port) from ``words``, from a testbench in the background.

    ``busy`` is the chance that a command or a beat to write has to wait for a cycle; a read is
    answered after one of the cycles in ``latency``, in order.

    Members
    -------
    reads, writes: addresses in order.  cycles: in which the reads were taken.
    """

    def __init__(self, port, words: dict[int, int], busy=0.0, latency=(3, 4), seed=0):
        self.port, self.words = port, words
        self.busy, self.latency, self.rng = busy, latency, random.Random(seed)
        self.reads: list[int] = []
        self.writes: list[int] = []
        self.cycles: list[int] = []
        self._commands: deque = deque()
        self._written: deque = deque()
        self._answers: deque = deque()

    async def run(self, ctx):
        port, cycle, held = self.port, 0, None
        while True:
            ready, takes = (self.rng.random() >= self.busy for _ in range(2))
            due = bool(self._answers) and self._answers[0][0] <= cycle
            ctx.set(port.command.ready, ready)
            ctx.set(port.wdata.ready, takes)
            ctx.set(port.rvalid, due)
            ctx.set(port.rdata, self._answers.popleft()[1] if due else self.rng.getrandbits(16))
            *_, valid, command, offered, beat = await ctx.tick().sample(
                port.command.valid, port.command.p, port.wdata.valid, port.wdata.p
            )
            now = (command.write, command.address) if valid else None
            assert held in (None, now), f"cycle {cycle}: command {held} became {now}"
            held = None if ready else now
            if valid and ready:
                self._take(*now, cycle)
            if offered and takes:
                self._written.append(beat)
            self._serve(cycle)
            cycle += 1

    def _take(self, write: int, address: int, cycle: int) -> None:
        self._commands.append((write, address))
        (self.writes if write else self.reads).append(address)
        if not write:
            self.cycles.append(cycle)

    def _serve(self, cycle: int) -> None:
        """Commands in their order; one that writes waits for its beat, and all behind it."""
        while self._commands:
            write, address = self._commands[0]
            if write and not self._written:
                return
            self._commands.popleft()
            if write:
                self.words[address] = self._written.popleft()
            else:
                due = cycle + self.rng.randrange(*self.latency)
                self._answers.append((due, self.words.get(address, 0)))
