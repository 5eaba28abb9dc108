"""An external memory inside the simulator: for small models, on every engine.

Models of real memories are in sim/memory; this one has a latency, and pauses at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.external.image import memory_bytes
from hdl.external.layout import Layout
from hdl.external.port import memory_port
from hdl.memory import Memories
from hdl.stream import Queue, delay

WORDS = "bench.memory"
"""Name of the memory that holds it."""

LATENCY = 12
"""Cycles from a command to what it reads."""

WRITES = 4
"""Writes whose beats have not come."""


def words(layout: Layout) -> Sequence[int]:
    """Its beats when a run begins."""
    return beats(layout, memory_bytes(layout).tobytes())


def beats(layout: Layout, raw: bytes) -> list[int]:
    """Bytes as beats."""
    size = layout.port // 8
    return [int.from_bytes(raw[k : k + size], "little") for k in range(0, len(raw), size)]


class MemoryPlayer(wiring.Component):
    """Answers a core's memory port.

    Reads wait until what was asked to be written is written.

    Members
    -------
    port: the other side of a core's.  pause: no command is taken in this cycle.
    """

    def __init__(self, layout: Layout, memories: Memories):
        self._layout = layout
        self._ram = memories.ram(WORDS, layout.port, layout.end)
        super().__init__({"port": In(memory_port(layout)), "pause": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.ram = ram = self._ram
        m.submodules.writes = writes = Queue(self.port.command.p.address.shape(), WRITES)
        port, command, read = self.port, self.port.command, Signal()
        m.d.comb += [
            command.ready.eq(~self.pause & Mux(command.p.write, writes.i.ready, ~writes.o.valid)),
            read.eq(command.valid & command.ready & ~command.p.write),
            writes.i.valid.eq(command.valid & command.ready & command.p.write),
            writes.i.p.eq(command.p.address),
            port.wdata.ready.eq(writes.o.valid),
            writes.o.ready.eq(port.wdata.valid),
            ram.write.eq(writes.o.valid & port.wdata.valid),
            ram.waddr.eq(writes.o.p),
            ram.wdata.eq(port.wdata.p),
            ram.addr.eq(command.p.address),
            port.rvalid.eq(delay(m, read, LATENCY, "read")),
            port.rdata.eq(delay(m, ram.data, LATENCY - 1, "data")),
        ]
        return m


def play_memory(m: Module, core, memories: Memories, pause) -> None:
    """Attach one to a core, if it has the port."""
    if not hasattr(core, "memory"):
        return
    m.submodules.memory = player = MemoryPlayer(Layout(core.plan, core.schedule.port), memories)
    wiring.connect(m, core.memory, player.port)
    m.d.comb += player.pause.eq(pause)


def flat_members(core) -> dict:
    """Members of a bench whose memory is outside: what sim/memory/memory.h calls them."""
    address, width = core.memory.command.p.address.shape(), core.memory.rdata.shape()
    return {
        "mem_cmd_valid": Out(1),
        "mem_cmd_ready": In(1),
        "mem_cmd_write": Out(1),
        "mem_cmd_address": Out(address),
        "mem_wdata_valid": Out(1),
        "mem_wdata_ready": In(1),
        "mem_wdata": Out(width),
        "mem_rdata_valid": In(1),
        "mem_rdata": In(width),
    }


def join_memory(m: Module, core, bench) -> None:
    """Connect a core's memory port to the members of a bench."""
    port = core.memory
    m.d.comb += [
        bench.mem_cmd_valid.eq(port.command.valid),
        port.command.ready.eq(bench.mem_cmd_ready),
        bench.mem_cmd_write.eq(port.command.p.write),
        bench.mem_cmd_address.eq(port.command.p.address),
        bench.mem_wdata_valid.eq(port.wdata.valid),
        port.wdata.ready.eq(bench.mem_wdata_ready),
        bench.mem_wdata.eq(port.wdata.p),
        port.rvalid.eq(bench.mem_rdata_valid),
        port.rdata.eq(bench.mem_rdata),
    ]


def memory_words(plan, schedule) -> Mapping[str, Sequence[int]]:
    """The contents of the memory of a bench, by name, if it has one."""
    return {WORDS: words(Layout(plan, schedule.port))} if schedule.port else {}
