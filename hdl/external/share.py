"""One memory for two: a core, and the loader while the core has nothing to do."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.external.port import MemoryPort

ON_THEIR_WAY = 1 << 12
"""Reads or writes of the core that may be on their way at once: more than memories take."""


class Share(wiring.Component):
    """Gives a memory to the core, or to the loader while it is ``busy`` and the core is through.

    The core keeps the memory until all that it has asked for was answered, and for each of its
    write commands a beat was taken; it waits while the loader has it.

    Latency: none.  The loader waits for what the core has begun, and one cycle.  Throughput: that
    of the memory.

    Parameters
    ----------
    address_bits, width: of the memory.

    Members
    -------
    core, loader: ports of the two.  memory: that of the memory.
    busy: the loader wants the memory, and will have all answers when it no longer does.
    """

    def __init__(self, address_bits: int, width: int):
        port = MemoryPort(address_bits, width)
        super().__init__({"core": In(port), "loader": In(port), "busy": In(1), "memory": Out(port)})

    def elaborate(self, platform):
        m = Module()
        core, loader, memory = self.core, self.loader, self.memory
        granted = Signal()
        asked = Signal(range(ON_THEIR_WAY))
        owed = Signal(range(-ON_THEIR_WAY, ON_THEIR_WAY))  # beats that commands lack
        m.d.comb += [memory.command.p.eq(core.command.p), memory.wdata.p.eq(core.wdata.p)]
        with m.If(granted):
            m.d.comb += [memory.command.p.eq(loader.command.p), memory.wdata.p.eq(loader.wdata.p)]
        for own, user in ((~granted, core), (granted, loader)):
            m.d.comb += [user.rdata.eq(memory.rdata), user.rvalid.eq(memory.rvalid & own)]
            for name in ("command", "wdata"):
                theirs, shared = getattr(user, name), getattr(memory, name)
                m.d.comb += theirs.ready.eq(shared.ready & own)
                with m.If(own):
                    m.d.comb += shared.valid.eq(theirs.valid)
        command, given = core.command, core.wdata.valid & core.wdata.ready
        taken = command.valid & command.ready
        m.d.sync += [
            asked.eq(asked + (taken & ~command.p.write) - core.rvalid),
            owed.eq(owed + (taken & command.p.write) - given),
        ]
        through = (asked == 0) & (owed == 0) & ~command.valid & ~core.wdata.valid
        m.d.sync += granted.eq(self.busy & (granted | through))
        return m
