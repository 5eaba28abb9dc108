"""Three nested counters: the order in which a pass visits what is cached."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Walk(wiring.Component):
    """Visits ``(at0, at1, at2)`` in order, ``at2`` fastest, the first with ``go``.

    Latency 0 from ``go`` to the first visit; throughput one visit a cycle. Back-pressure: a visit
    stays until ``step``. Tested: ranges of 1 to 5.

    Members
    -------
    go: start; only while ``valid`` is low.
    final0, final1, final2: the last value of each counter; stable during the walk. Left
    unconnected, a counter covers its whole range.
    valid: ``at`` is a visit. step: take it. done: it is the last one (with ``valid``).
    """

    def __init__(self, sizes: tuple[int, int, int]):
        self._sizes = sizes
        members = {f"at{k}": Out(range(size)) for k, size in enumerate(sizes)}
        members |= {f"final{k}": In(range(size), init=size - 1) for k, size in enumerate(sizes)}
        super().__init__({"go": In(1), "step": In(1), "valid": Out(1), "done": Out(1)} | members)

    def elaborate(self, platform):
        m = Module()
        running = Signal()
        m.d.sync += running.eq(self.valid & ~(self.step & self.done))
        m.d.comb += self.valid.eq(self.go | running)
        carry = self.valid & self.step
        done = 1
        for k in reversed(range(3)):
            at = getattr(self, f"at{k}")
            ends = at == getattr(self, f"final{k}")
            with m.If(carry & ends):
                m.d.sync += at.eq(0)
            with m.Elif(carry):
                m.d.sync += at.eq(at + 1)
            carry, done = carry & ends, done & ends
        m.d.comb += self.done.eq(done)
        return m
