"""The second pass of attention: exact sums of weights, and of weight times cached value."""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import MANTISSA_BITS, Block
from hdl import mac, numbers
from hdl.attention_shape import Shape
from hdl.kv_cache import ReadPort, index
from hdl.mac import Multiply
from hdl.softmax import WHOLE_BITS, halved
from hdl.stream import Queue, delay
from hdl.walk import Walk

TOTAL_LATENCY = 2
"""Cycles from a beat's last weight to its totals."""


def depth(shape: Shape) -> int:
    """Beats of answers that may be under way between the sums and their normalisation."""
    return max(2, min(shape.beats, 8))


def totals_layout(shape: Shape) -> data.StructLayout:
    """Sums of weights of a group of heads, and the places of their leading ones."""
    return data.StructLayout(
        {
            "total": data.ArrayLayout(unsigned(shape.total_bits), shape.heads),
            "place": data.ArrayLayout(range(shape.total_bits), shape.heads),
        }
    )


class WeightedSum(wiring.Component):
    """Sums over the slots, a beat of values at a time, each rounded to 16 bits.

    Order: that of the weights. Throughput one slot a cycle. Latency of a beat: TOTAL_LATENCY from
    its last weight to ``totals``, 4 cycles more for the sums. Back-pressure: any; at most
    ``depth(shape)`` beats are under way, until ``gone``.

    Members
    -------
    go: start (the value is held). final: the last slot, stable until ``done``.
    done: the last value is being multiplied. top: the largest exponent of a block, stable.
    weights: stream. value: read port. mul: multiplies them.
    totals: stream of ``totals_layout``. sums: stream of signed 16 bits,
    ``sum / 2**(place + 1 - spare_bits)``. gone: a beat of both has been taken.
    tap: every weight, in the first beat of its head.
    """

    def __init__(self, shape: Shape):
        self._shape = shape
        sums = data.ArrayLayout(signed(MANTISSA_BITS), shape.lanes)
        value = ReadPort(shape.lanes, shape.job.value, shape.slots, shape.beats)
        weight = unsigned(tables.UNIT)
        super().__init__(
            {
                "go": In(1),
                "final": In(range(shape.slots)),
                "done": Out(1),
                "top": In(value.members["exponent"].shape),
                "weights": In(stream.Signature(data.ArrayLayout(weight, shape.heads))),
                "value": Out(value),
                "mul": Out(Multiply(shape.lanes)),
                "totals": Out(stream.Signature(totals_layout(shape))),
                "sums": Out(stream.Signature(sums)),
                "gone": In(1),
                "tap": Out(shape.tap(weight)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        first, last, accepted = self._issue(m)
        places = self._total(m, first, last, accepted)
        self._sum(m, first, last, accepted, places)
        return m

    def _issue(self, m: Module):
        """Read values ahead of their weights; offer both to the multipliers."""
        shape = self._shape
        m.submodules.walk = walk = Walk((shape.groups, shape.head_beats, shape.slots))
        ready, read, accepted = Signal(), Signal(), Signal()
        first, last, end = Signal(), Signal(), Signal()
        under_way, room = Signal(range(depth(shape) + 1)), Signal()
        m.d.comb += [
            walk.go.eq(self.go),
            walk.final2.eq(self.final),
            walk.step.eq(ready),
            self.done.eq(accepted & end),
            self.value.slot.eq(walk.at2),
            self.value.beat.eq(index(walk.at0, walk.at1, shape.head_beats)),
            self.value.en.eq(ready),
            ready.eq(~read | accepted),
            room.eq(~last | (under_way != depth(shape))),
            self.mul.valid.eq(read & self.weights.valid & room),
            accepted.eq(self.mul.valid & self.mul.ready),
            self.weights.ready.eq(accepted),
        ]
        m.d.sync += under_way.eq(under_way + (accepted & last) - self.gone)
        first_beat = Signal()
        with m.If(ready):
            m.d.sync += [
                read.eq(walk.valid),
                first.eq(walk.at2 == 0),
                last.eq(walk.at2 == self.final),
                end.eq(walk.done),
                first_beat.eq(walk.at1 == 0),
                self.tap.slot.eq(walk.at2),
                self.tap.group.eq(walk.at0),
            ]
        m.d.comb += [self.tap.valid.eq(accepted & first_beat), self.tap.data.eq(self.weights.p)]
        weights = self._aligned(m)
        for k in range(shape.lanes):
            weight = weights[k * shape.heads // shape.lanes]
            m.d.comb += [self.mul.a[k].eq(self.value.data[k]), self.mul.b[k].eq(weight)]
        return first, last, accepted

    def _aligned(self, m: Module) -> list[Value]:
        """The weights, halved as often as the value's exponent is below the largest."""
        weights = [self.weights.p[h] for h in range(self._shape.heads)]
        if not isinstance(self._shape.job.value, Block):
            return weights
        apart = Signal(unsigned(len(self.value.exponent)))
        m.d.comb += apart.eq(self.top - self.value.exponent)
        down = numbers.clamp_shift(apart, WHOLE_BITS)
        return [halved(weight, down) for weight in weights]

    def _total(self, m: Module, first, last, accepted):
        """Cycle 1: the sum of weights is complete; its leading one is found as it is queued."""
        shape = self._shape
        layout = totals_layout(shape)
        m.submodules.queue = queue = Queue(layout, depth(shape))
        done, places = Signal(), Signal(layout.members["place"])
        m.d.sync += done.eq(accepted & last)
        m.d.comb += [queue.i.valid.eq(done), queue.i.p.place.eq(places)]
        for h in range(shape.heads):
            total = Signal(shape.total_bits, name=f"total{h}")
            with m.If(accepted):
                m.d.sync += total.eq(Mux(first, 0, total) + self.weights.p[h])
            m.d.comb += [
                queue.i.p.total[h].eq(total),
                places[h].eq(numbers.leading_one(m, total, f"total{h}")),
            ]
        wiring.connect(m, queue.o, wiring.flipped(self.totals))
        return places

    def _sum(self, m: Module, first, last, accepted, places):
        """Accumulate the products that come back; at the last slot, round by the total's size."""
        shape = self._shape
        product_bits = MANTISSA_BITS + tables.UNIT
        back = data.StructLayout({"valid": 1, "first": 1, "last": 1})
        issued = Signal(back)
        m.d.comb += [issued.valid.eq(accepted), issued.first.eq(first), issued.last.eq(last)]
        flags = delay(m, issued, mac.LATENCY, "flags")
        done, moved_done = Signal(), Signal()
        m.d.sync += [done.eq(flags.valid & flags.last), moved_done.eq(done)]
        shifts = self._shifts(m, places, mac.LATENCY)
        m.submodules.sums_queue = queue = Queue(self.sums.p.shape(), depth(shape))
        m.d.comb += queue.i.valid.eq(moved_done)
        for k, product in enumerate(self.mul.p):
            width = product_bits + (shape.slots - 1).bit_length()
            total = Signal(signed(width), name=f"sum{k}")
            with m.If(flags.valid):
                term = product[:product_bits].as_signed()
                m.d.sync += total.eq(Mux(flags.first, 0, total) + term)
            shift = shifts[k * shape.heads // shape.lanes]
            moved, lost = numbers.shift_right(m, total, shift, f"sum{k}")
            moved_r, lost_r = Signal(signed(len(moved)), name=f"moved{k}"), Signal(name=f"lost{k}")
            m.d.sync += [moved_r.eq(moved), lost_r.eq(lost)]
            # The quotient is smaller than the largest value: it fits.
            m.d.comb += queue.i.p[k].eq(numbers.round_off(moved_r, lost_r)[:MANTISSA_BITS])
        wiring.connect(m, queue.o, wiring.flipped(self.sums))

    def _shifts(self, m: Module, places, cycles: int):
        """The places as shifts, when the sums that belong to them are complete."""
        shape = self._shape
        shifts = []
        for h in range(shape.heads):
            shift = Signal(range(shape.total_bits + 1), name=f"shift{h}")
            m.d.comb += shift.eq(places[h] + (1 - shape.job.spare_bits))
            shifts.append(delay(m, shift, cycles, f"shift{h}"))
        return shifts
