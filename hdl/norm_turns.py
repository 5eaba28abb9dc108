"""Who uses the multipliers of a norm: the vector that is scaled, a root, or arriving squares."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Turns(wiring.Component):
    """At most one of ``square``, ``ask`` and ``scale``.  Latency 0.

    Two vectors may be inside, in order: the older is looked up and scaled, the younger summed.  The
    older goes first; the last beat of the younger waits until the older has asked for its root.

    Members
    -------
    beat, beat_last: a beat has arrived and can be kept; it is the last one of its vector.
    total: a sum is whole (one cycle).  root: a root comes in the next cycle.
    free: there is room for an answer.  kept_last: the beat to be scaled is the last one.
    ready: the offer of this cycle is accepted.
    square, ask, scale: offers to form the squares of ``beat``, the interpolation of a root, and the
        next scaled beat.
    open: ``square`` follows ``beat``.
    """

    def __init__(self):
        inputs = ("beat", "beat_last", "total", "root", "free", "kept_last", "ready")
        outputs = ("square", "ask", "scale", "open")
        super().__init__(dict.fromkeys(inputs, In(1)) | dict.fromkeys(outputs, Out(1)))

    def elaborate(self, platform):
        m = Module()
        owed = Signal()  # a last beat is in, its interpolation has not been issued
        asking = Signal()  # base and slope of the older vector wait for their product
        scaling = Signal()  # a root is being computed or used
        has_root = Signal()  # as soon as it comes: all that asks hangs on it
        m.d.comb += [
            self.scale.eq(has_root & self.free),
            self.ask.eq(asking & ~scaling),
            self.open.eq(~(self.beat_last & owed) & ~self.scale & ~self.ask),
            self.square.eq(self.beat & self.open),
        ]
        with m.If(self.square & self.ready & self.beat_last):
            m.d.sync += owed.eq(1)
        with m.If(self.total):
            m.d.sync += asking.eq(1)
        with m.If(self.ask & self.ready):
            m.d.sync += [owed.eq(0), asking.eq(0), scaling.eq(1)]
        with m.If(self.root):
            m.d.sync += has_root.eq(1)
        with m.If(self.scale & self.ready & self.kept_last):
            m.d.sync += [has_root.eq(0), scaling.eq(0)]
        return m
