"""Requantisation: wide exact integers in, beats of a number format out.

Sits behind a pipeline that cannot stall, so the unit takes room (``reserve``) when it issues the
work and looks at ``free`` before it does.  ``Fixed`` answers beat by beat; ``Block`` collects the
whole vector, for its exponent follows from the largest element.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import EXPONENT_BITS, MAX_LEFT, Block, Format
from hdl import numbers
from hdl.stream import CreditQueue, Queue, Tags, beat

SCALE_BITS = EXPONENT_BITS + 2
"""Width of a wide beat's ``scale``, signed."""


def latency(form: Format) -> int:
    """Cycles from a wide beat to its beat at ``o`` (Block: from the last one to the first)."""
    return 3 if isinstance(form, Block) else 2


def wide_beat(lanes: int, width: int, tags: Tags) -> data.StructLayout:
    """Wide integers and what becomes of them.

    ``scale``: for a Fixed format the right shift, as :func:`right_shift` makes it; when the
    component was made with ``left``, any right shift, and a negative one shifts left; for a Block
    format the exponent of the wide integers.
    """
    return data.StructLayout(
        {
            "data": data.ArrayLayout(signed(width), lanes),
            "scale": signed(SCALE_BITS),
            "tag": tags.layout(),
            "first": unsigned(1),
            "last": unsigned(1),
        }
    )


class Requantise(wiring.Component):
    """``golden.numbers.requantise`` on a stream.

    Throughput one beat a cycle.  Latency ``latency(form)``.  Back-pressure: through ``free`` only.

    Parameters
    ----------
    lanes, width: of the wide beats.  form: of the answer.  tags: widths of the tag.
    depth: beats of room; at least the beats in flight, and for Block one whole vector more.
    left: whether a Fixed answer may need left shifts.  least: beats of the shortest vector.

    Members
    -------
    i: wide beats; ``ready`` is always high.  o: beats of ``form``.
    reserve: takes one beat of room.  free: at least one is left.
    saturated: an element of a Fixed answer was held to the range (one cycle).
    """

    def __init__(
        self, lanes: int, width: int, form: Format, tags: Tags, depth: int, left=False, least=1
    ):
        self._lanes, self._width, self._form, self._tags = lanes, width, form, tags
        self._depth, self._left, self._least = depth, left, least
        super().__init__(
            {
                "i": In(stream.Signature(wide_beat(lanes, width, tags))),
                "o": Out(stream.Signature(beat(lanes, form, tags))),
                "reserve": In(1),
                "free": Out(1),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        if isinstance(self._form, Block):
            return self._elaborate_block()
        return self._elaborate_fixed()

    def _elaborate_fixed(self):
        m = Module()
        m.submodules.queue = queue = CreditQueue(self.o.p.shape(), self._depth)
        m.d.comb += self.i.ready.eq(1)
        scale = self.i.p.scale
        valid = Signal()
        tag, first, last = Signal.like(self.i.p.tag), Signal(), Signal()
        m.d.sync += [  # cycle 1: shift
            valid.eq(self.i.valid),
            tag.eq(self.i.p.tag),
            first.eq(self.i.p.first),
            last.eq(self.i.p.last),
        ]
        m.d.comb += [  # cycle 2: round and saturate, into the queue
            queue.i.valid.eq(valid),
            queue.i.p.tag.eq(tag),
            queue.i.p.first.eq(first),
            queue.i.p.last.eq(last),
        ]
        held = []
        for k in range(self._lanes):
            x = self.i.p.data[k]
            if self._left:
                # It stands MAX_LEFT places up, so that one right shift serves both directions.
                x = Cat(Const(0, MAX_LEFT), x).as_signed()
                amount = right_shift(scale + MAX_LEFT, len(x))
            else:
                amount = scale[: _shift_bits(len(x))]
            moved, lost = numbers.shift_right(m, x, amount, f"x{k}")
            moved_r, lost_r = Signal(signed(len(moved)), name=f"moved{k}"), Signal(name=f"lost{k}")
            m.d.sync += [moved_r.eq(moved), lost_r.eq(lost)]
            width = self._form.width
            value, over = numbers.round_saturate(m, moved_r, lost_r, width, f"y{k}")
            held.append(over)
            m.d.comb += queue.i.p.data[k].eq(value)
        over = Signal()
        for bit in held:
            over = over | bit
        m.d.sync += self.saturated.eq(valid & over)
        m.d.comb += [queue.reserve.eq(self.reserve), self.free.eq(queue.free)]
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        return m

    def _elaborate_block(self):
        m = Module()
        kept = {"data": self.i.p.data.shape(), "last": 1}
        m.submodules.queue = queue = CreditQueue(data.StructLayout(kept), self._depth)
        shared = {"shift": self._shift_width, "scale": SCALE_BITS, "tag": self._tags.layout()}
        vectors = Queue(data.StructLayout(shared), max(self._depth // self._least + 1, 2))
        m.submodules.vectors = vectors
        m.d.comb += [
            self.i.ready.eq(1),
            queue.i.valid.eq(self.i.valid),
            queue.i.p.data.eq(self.i.p.data),
            queue.i.p.last.eq(self.i.p.last),
            queue.reserve.eq(self.reserve),
            self.free.eq(queue.free),
        ]
        self._measure(m, vectors)
        self._emit(m, queue, vectors)
        return m

    @property
    def _shift_width(self) -> int:
        return max(self._width.bit_length(), 1)

    def _measure(self, m: Module, vectors: Queue):
        """Cycle 1: OR the significant bits of the vector; at its last beat, queue what is shared:
        its shift, its scale and its tag.
        """
        seen = Signal(self._width - 1)
        union = Signal(self._width - 1)
        bits = 0
        for k in range(self._lanes):
            bits = bits | numbers.significant(self.i.p.data[k])
        m.d.comb += union.eq(Mux(self.i.p.first, 0, seen) | bits)
        done, scale, tag = Signal(), Signal.like(self.i.p.scale), Signal.like(self.i.p.tag)
        m.d.sync += [
            done.eq(self.i.valid & self.i.p.last),
            scale.eq(self.i.p.scale),
            tag.eq(self.i.p.tag),
        ]
        with m.If(self.i.valid):
            m.d.sync += seen.eq(union)
        count = numbers.bit_count(m, seen, "seen")
        keep = self._form.width - 1
        m.d.comb += [
            vectors.i.valid.eq(done),
            vectors.i.p.shift.eq(Mux(count > keep, count - keep, 0)),
            vectors.i.p.scale.eq(scale),
            vectors.i.p.tag.eq(tag),
        ]

    def _emit(self, m: Module, queue: CreditQueue, vectors: Queue):
        """Shift and round the vector's beats into the output register."""
        o, wide, vector = self.o, queue.o, vectors.o
        go, first = Signal(), Signal(init=1)
        m.d.comb += [
            go.eq(wide.valid & vector.valid & (~o.valid | o.ready)),
            wide.ready.eq(go),
            vector.ready.eq(go & wide.p.last),
        ]
        with m.If(o.ready):
            m.d.sync += o.valid.eq(0)
        with m.If(go):
            m.d.sync += [
                o.valid.eq(1),
                o.p.tag.eq(vector.p.tag),
                o.p.first.eq(first),
                o.p.last.eq(wide.p.last),
                o.p.exponent.eq(vector.p.scale.as_signed() + vector.p.shift),
                first.eq(wide.p.last),
            ]
            for k in range(self._lanes):
                x = numbers.shift_right(m, wide.p.data[k], vector.p.shift, f"x{k}")
                value, _ = numbers.round_saturate(m, *x, self._form.width, f"y{k}")
                m.d.sync += o.p.data[k].eq(value)


def right_shift(scale: Value, width: int) -> Value:
    """``scale`` held to the right shifts that matter to ``width`` bits, a negative one to 0.

    No cycle; a unit does it before the cycle of the shift.
    """
    return numbers.clamp_shift(Mux(scale < 0, 0, scale)[: len(scale) - 1], _shift_bits(width))


def _shift_bits(width: int) -> int:
    """Bits of a right shift that can still matter to ``width`` bits (rounding included)."""
    return (width + 1).bit_length()
