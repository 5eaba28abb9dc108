"""The first pass of attention: scores of every head over the cached slots, and their maxima."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import EXPONENT_BITS, MANTISSA_BITS, Block
from golden.stages.attention import SCORE_BITS
from golden.tables import SCORE_FRACTION
from hdl import mac, numbers
from hdl.attention_shape import Shape
from hdl.kv_cache import ReadPort, index
from hdl.mac import Multiply
from hdl.stream import delay
from hdl.walk import Walk

SHIFT_BITS = 6
"""Width of a right shift of a dot product; the largest one rounds any to zero."""


def latency(shape: Shape) -> int:
    """Cycles from the read of a head's last beat to ``complete``, when all is accepted at once."""
    read, beats, rounding = 1, int(shape.head_beats > 1), 2 + int(shape.dynamic)
    return read + mac.LATENCY + shape.tree + beats + rounding


class Scores(wiring.Component):
    """Dot products of the query with cached keys, as saturated scores in a memory of [group, slot].

    Visits group by group, in each slot by slot, in each the beats of a head. Throughput one beat a
    cycle; ``latency(shape)``. Back-pressure: a low ``mul.ready`` holds the pass.

    Members
    -------
    go: start (query and key are held). final: the last slot. shift: of Fixed scores, stable.
    key, query: read ports. mul: multiplies them.
    done: the last beat is being read. complete: the last score is being written.
    read_group, read_slot, read_en: read a score, ``scores`` follows 1 cycle later and stays; a
    score that is being written is seen. peak: maxima of ``peak_group``, in the same cycle.
    saturated: a score was held to its range. tap: every score as it is written.
    """

    def __init__(self, shape: Shape):
        self._shape = shape
        job = shape.job
        scores = data.ArrayLayout(signed(SCORE_BITS), shape.heads)
        super().__init__(
            {
                "go": In(1),
                "final": In(range(shape.slots)),
                "shift": In(SHIFT_BITS),
                "key": Out(ReadPort(shape.lanes, job.key, shape.slots, shape.beats)),
                "query": Out(ReadPort(shape.lanes, job.query, 1, shape.beats)),
                "mul": Out(Multiply(shape.lanes)),
                "done": Out(1),
                "complete": Out(1),
                "read_group": In(range(shape.groups)),
                "read_slot": In(range(shape.slots)),
                "read_en": In(1),
                "scores": Out(scores),
                "peak_group": In(range(shape.groups)),
                "peak": Out(scores),
                "saturated": Out(1),
                "tap": Out(shape.tap(signed(SCORE_BITS))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        flags, right, left = self._issue(m)
        dots, flags, right, left = self._dots(m, flags, right, left)
        flags, scores, over = self._round(m, dots, flags, right, left)
        m.d.sync += self.saturated.eq(flags.valid & over)
        self._keep(m, flags, scores)
        return m

    def _issue(self, m: Module):
        """Cycle 0: read a beat of key and query; cycle 1: offer it to the multipliers."""
        shape = self._shape
        m.submodules.walk = walk = Walk((shape.groups, shape.slots, shape.head_beats))
        layout = data.StructLayout(
            {
                "valid": 1,
                "group": range(shape.groups),
                "slot": range(shape.slots),
                "opens": 1,  # the first beat of a dot product
                "closes": 1,  # and the last
                "first": 1,  # the first slot of a group
                "end": 1,
            }
        )
        ready, offered = Signal(), Signal(layout)
        place = index(walk.at0, walk.at2, shape.head_beats)
        m.d.comb += [
            walk.go.eq(self.go),
            walk.final1.eq(self.final),
            walk.step.eq(ready),
            self.done.eq(walk.valid & walk.done & ready),
            ready.eq(~offered.valid | self.mul.ready),
            self.key.slot.eq(walk.at1),
        ]
        for port in (self.key, self.query):
            m.d.comb += [port.beat.eq(place), port.en.eq(ready)]
        with m.If(ready):
            m.d.sync += [
                offered.valid.eq(walk.valid),
                offered.group.eq(walk.at0),
                offered.slot.eq(walk.at1),
                offered.opens.eq(walk.at2 == 0),
                offered.closes.eq(walk.at2 == shape.head_beats - 1),
                offered.first.eq(walk.at1 == 0),
                offered.end.eq(walk.done),
            ]
        m.d.comb += self.mul.valid.eq(offered.valid)
        for k in range(shape.lanes):
            m.d.comb += [self.mul.a[k].eq(self.query.data[k]), self.mul.b[k].eq(self.key.data[k])]
        flags = Signal(layout)
        m.d.comb += [flags.eq(offered), flags.valid.eq(offered.valid & self.mul.ready)]
        right, left = self._shifts(m)
        return (delay(m, x, mac.LATENCY, n) for x, n in ((flags, "f"), (right, "r"), (left, "l")))

    def _shifts(self, m: Module):
        """Right and left shift of the offered beat; a static format has the right one only."""
        if not isinstance(self._shape.job.key, Block):
            return Signal(0, name="right"), Signal(0, name="left")
        shift = Signal(signed(EXPONENT_BITS + 2))
        right, left = Signal(SHIFT_BITS), Signal(EXPONENT_BITS + 2)
        most = (1 << SHIFT_BITS) - 1
        m.d.comb += [
            shift.eq(-SCORE_FRACTION - (self.query.exponent + self.key.exponent)),
            right.eq(Mux(shift < 0, 0, Mux(shift > most, most, shift))),
            left.eq(Mux(shift < 0, -shift, 0)),
        ]
        return right, left

    def _dots(self, m: Module, flags, right, left):
        """Sum the products of each head, four to one a cycle; then the beats of a head."""
        shape = self._shape
        size = shape.lanes // shape.heads
        width = 2 * MANTISSA_BITS + (shape.d_pad - 1).bit_length()
        heads = [[self.mul.p[h * size + k] for k in range(size)] for h in range(shape.heads)]
        for stage in range(shape.tree):
            for h, terms in enumerate(heads):
                sums = []
                for k in range(0, len(terms), 4):
                    pairs = [sum(terms[j : j + 2]) for j in range(k, min(k + 4, len(terms)), 2)]
                    register = Signal(signed(width), name=f"sum{stage}_{h}_{k // 4}")
                    m.d.sync += register.eq(sum(pairs))
                    sums.append(register)
                heads[h] = sums
            flags, right, left = self._delayed(m, flags, right, left, f"tree{stage}")
        dots = [terms[0] for terms in heads]
        if shape.head_beats == 1:
            return dots, flags, right, left
        dot = Signal(signed(width))
        with m.If(flags.valid):
            m.d.sync += dot.eq(Mux(flags.opens, 0, dot) + dots[0])
        closed = Signal(flags.shape())
        m.d.comb += [closed.eq(flags), closed.valid.eq(flags.valid & flags.closes)]
        return [dot], *self._delayed(m, closed, right, left, "dot")

    def _delayed(self, m: Module, flags, right, left, name: str):
        names = (f"{name}_flags", f"{name}_right", f"{name}_left")
        return [delay(m, x, 1, n) for x, n in zip((flags, right, left), names, strict=True)]

    def _round(self, m: Module, dots, flags, right, left):
        """One cycle to shift right, one to round and saturate; for a block, one to shift left."""
        dynamic = self._shape.dynamic
        scores, over = [], 0
        for h, dot in enumerate(dots):
            shift = right if dynamic else self.shift
            moved, lost = numbers.shift_right(m, dot, shift, f"dot{h}")
            moved_r, lost_r = Signal(signed(len(moved)), name=f"moved{h}"), Signal(name=f"lost{h}")
            m.d.sync += [moved_r.eq(moved), lost_r.eq(lost)]
            rounded = numbers.round_off(moved_r, lost_r)
            score, held = self._saturated(m, rounded, f"score{h}")
            if dynamic:
                shifted = numbers.shift_left(score, delay(m, left, 2, f"left{h}"))
                score, again = self._saturated(m, shifted, f"block_score{h}")
                held = delay(m, held, 1, f"held{h}") | again
            scores.append(score)
            over = over | held
        return delay(m, flags, 2 + dynamic, "round"), scores, over

    def _saturated(self, m: Module, x, name: str):
        value, over = numbers.saturate(m, x, SCORE_BITS, name)
        value_r, over_r = Signal(signed(SCORE_BITS), name=f"{name}_r"), Signal(name=f"{name}_o")
        m.d.sync += [value_r.eq(value), over_r.eq(over)]
        return value_r, over_r

    def _keep(self, m: Module, flags, scores):
        """Write scores and the maxima so far."""
        shape = self._shape
        place_bits = (shape.slots - 1).bit_length()
        m.submodules.memory = words = memory.Memory(
            shape=unsigned(shape.heads * SCORE_BITS),
            depth=max(shape.groups << place_bits, 2),
            init=[],
        )
        write = words.write_port()
        read = words.read_port(transparent_for=(write,))
        m.d.comb += [
            write.addr.eq(Cat(flags.slot[:place_bits], flags.group)),
            write.data.eq(Cat(*scores)),
            write.en.eq(flags.valid),
            read.addr.eq(Cat(self.read_slot[:place_bits], self.read_group)),
            read.en.eq(self.read_en),
            self.scores.as_value().eq(read.data),
            self.complete.eq(flags.valid & flags.end),
            self.tap.valid.eq(flags.valid),
            self.tap.slot.eq(flags.slot),
            self.tap.group.eq(flags.group),
            self.tap.data.as_value().eq(Cat(*scores)),
        ]
        running, largest = Signal.like(self.peak), Signal.like(self.peak)
        for h, score in enumerate(scores):
            above = flags.first | (score > running[h])
            m.d.comb += largest[h].eq(Mux(above, score, running[h]))
        with m.If(flags.valid):
            m.d.sync += running.eq(largest)
        if shape.groups == 1:
            m.d.comb += self.peak.eq(running)
            return
        m.submodules.peaks = peaks = memory.Memory(
            shape=unsigned(shape.heads * SCORE_BITS), depth=shape.groups, init=[]
        )
        peak_w, peak_r = peaks.write_port(), peaks.read_port(domain="comb")
        m.d.comb += [
            peak_w.addr.eq(flags.group),
            peak_w.data.eq(largest.as_value()),
            peak_w.en.eq(flags.valid),
            peak_r.addr.eq(self.peak_group),
            self.peak.as_value().eq(peak_r.data),
        ]
