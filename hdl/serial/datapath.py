"""The datapath of a serial core: one memory of values, sums, one shifter, one rounding.

Cycles, from the cycle in which an element is read (``take``):
    1                   the element meets its factor at the multipliers
    1 + mac             products are added to the sums
    2 + mac             a sum is shifted (``emit``)
    3 + mac             rounded and held
    4 + mac             ``emitted``: the answer is there, and is written if ``store``
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import MANTISSA_BITS, limits
from golden.stages.attention import SCORE_BITS
from hdl import mac, numbers
from hdl.memory import Memories
from hdl.norm_image import LEFT
from hdl.serial.shape import ACCUMULATED, SHIFT_BITS, WORD, Shape
from hdl.single_port import SinglePort
from hdl.stream import delay


class A(enum.Enum, shape=2):
    """What the multipliers' first factor is."""

    VALUE = 0
    EMBEDDING = 1
    LOW = 2
    ANSWER = 3


class B(enum.Enum, shape=2):
    """What their second one is; WEIGHTS are those of every lane."""

    FACTOR = 0
    VALUE = 1
    SLOPE = 2
    WEIGHTS = 3


class Rounding(enum.Enum, shape=2):
    """How an answer is rounded: half to even, not at all, half up."""

    EVEN = 0
    FLOOR = 1
    UP = 2


class Held(enum.Enum, shape=2):
    """To how many bits an answer is held."""

    ELEMENT = 0
    SCORE = 1
    WORD = 2


class Function(enum.Enum, shape=2):
    """Which table is looked up."""

    EXP2 = 0
    RECIPROCAL = 1
    ROOT = 2
    GUMBEL = 3


TABLE_BITS = tables.gumbel().index_bits + tables.gumbel().low_bits
"""Width of what a table is asked for: that of the largest."""


def settings_layout() -> data.StructLayout:
    """What stays for many cycles.

    a, b, factor: of the products.  shift, rounding, held, relu: of answers.  store: they are
    written.  race: they are compared with the peak, not the values.  function: of look-ups.
    """
    return data.StructLayout(
        {
            "a": A,
            "b": B,
            "factor": signed(MANTISSA_BITS),
            "shift": unsigned(SHIFT_BITS),
            "rounding": Rounding,
            "held": Held,
            "relu": 1,
            "store": 1,
            "race": 1,
            "function": Function,
        }
    )


class Datapath(wiring.Component):
    """Everything between the memory of values and the memory of values.

    One element is read or written in a cycle. ``rows`` products a cycle; no back-pressure.

    Members
    -------
    read, embedding, weights: places that are read.  write: place of the next answer.
    take: what is read goes to the sum of ``lane`` (with B.WEIGHTS of every lane); first: alone;
    base: added to a table's base.  emit: the sum of ``lane``, with what is taken now, is an answer.
    load, loaded: the first sum is replaced; double: it is doubled.
    at: what the table is asked for; stable from ``take`` until the product has come.
    settings: see settings_layout; they count for what passes their place in the pipeline.
    compare, best: the peak becomes the answer if it is larger, or in any case.
    value: that was read a cycle ago.  total: the first sum.  answer, emitted: see above.
    below: from the peak down to the value or the answer; above: they are larger than the peak.
    saturated: an answer was held.
    """

    def __init__(self, name: str, shape: Shape, memories: Memories):
        self._shape = shape
        self._weights = memories.rom(
            f"{name}.weights", shape.rows * shape.weight_bits, shape.weight_depth
        )
        self._embeddings = memories.rom(
            f"{name}.embeddings", MANTISSA_BITS, shape.embed_rows * shape.embed.output_size
        )
        built = {} if shape.shared else {Function.EXP2: tables.exp2()}
        built |= {
            Function.RECIPROCAL: tables.reciprocal(),
            Function.ROOT: tables.root(shape.norm_size),
            Function.GUMBEL: tables.gumbel(),
        }
        self._tables = [
            (function, table, self._table_rom(memories, f"{name}.{function.name.lower()}", table))
            for function, table in built.items()
        ]
        lane = range(shape.rows)
        super().__init__(
            {
                "read": In(range(shape.depth)),
                "write": In(range(shape.depth)),
                "embedding": In(range(shape.embed_rows * shape.embed.output_size)),
                "weights": In(range(shape.weight_words)),
                "take": In(1),
                "first": In(1),
                "base": In(1),
                "emit": In(1),
                "lane": In(lane),
                "load": In(1),
                "loaded": In(signed(shape.total_bits)),
                "double": In(1),
                "at": In(TABLE_BITS),
                "settings": In(settings_layout()),
                "compare": In(1),
                "best": In(1),
                "mul": Out(mac.Multiply(shape.rows)),
                "value": Out(signed(WORD)),
                "total": Out(signed(shape.total_bits)),
                "answer": Out(signed(WORD)),
                "emitted": Out(1),
                "below": Out(signed(WORD + 1)),
                "above": Out(1),
                "saturated": Out(1),
            }
        )

    @staticmethod
    def _table_rom(memories: Memories, name: str, table):
        small = table.index_bits <= tables.exp2().index_bits  # a block RAM would be almost empty
        width = table.base_bits + table.slope_bits
        return memories.rom(name, width, 1 << table.index_bits, synchronous=not small)

    def elaborate(self, platform):
        m = Module()
        self._values(m)
        slope, low, base = self._look_up(m)
        self._multiply(m, slope, low)
        self._answer(m, *self._add(m, base))
        self._race(m)
        return m

    def _values(self, m: Module) -> None:
        """The memory of values: one port, as the large memories of small chips have."""
        m.submodules.values = words = SinglePort(WORD, self._shape.depth)
        store = self.emitted & self.settings.store
        m.d.comb += [
            words.addr.eq(Mux(store, self.write, self.read)),
            words.write.eq(store),
            words.data.eq(self.answer),
            self.value.eq(words.o),
        ]

    def _look_up(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """(slope, low bits, base) of the table that is asked."""
        slope, low, base = (Signal(signed(WORD), name=n) for n in ("slope", "low", "base"))
        answers = [(function, table, rom.data) for function, table, rom in self._tables]
        if self._shape.shared:
            answers.append((Function.EXP2, tables.exp2(), self._weights.data))
        for function, table, rom in self._tables:
            m.submodules[function.name.lower()] = rom
            m.d.comb += rom.addr.eq(self.at[table.low_bits :])
        for function, table, word in answers:
            end = table.base_bits + table.slope_bits
            with m.If(self.settings.function == function):
                m.d.comb += [
                    base.eq(word[: table.base_bits].as_signed()),
                    slope.eq(word[table.base_bits : end].as_signed()),
                    low.eq(self.at[: table.low_bits]),
                ]
        return slope, low, base

    def _multiply(self, m: Module, slope: Value, low: Value) -> None:
        """The cycle after ``take``: factors for all lanes."""
        m.submodules.weights_rom, m.submodules.embeddings = self._weights, self._embeddings
        settings, bits = self.settings, self._shape.weight_bits
        a, b = Signal(signed(MANTISSA_BITS)), Signal(signed(MANTISSA_BITS))
        m.d.comb += [
            self._weights.addr.eq(self._word()),
            self._embeddings.addr.eq(self.embedding),
            self.mul.valid.eq(1),
        ]
        with m.Switch(settings.a):
            with m.Case(A.VALUE):
                m.d.comb += a.eq(self.value)
            with m.Case(A.EMBEDDING):
                m.d.comb += a.eq(self._embeddings.data)
            with m.Case(A.LOW):
                m.d.comb += a.eq(low)
            with m.Case(A.ANSWER):
                m.d.comb += a.eq(self.answer)
        with m.Switch(settings.b):
            with m.Case(B.VALUE):
                m.d.comb += b.eq(self.value)
            with m.Case(B.SLOPE):
                m.d.comb += b.eq(slope)
            with m.Default():
                m.d.comb += b.eq(settings.factor)
        for k in range(self._shape.rows):
            weight = self._weights.data[k * bits : (k + 1) * bits].as_signed()
            m.d.comb += [
                self.mul.a[k].eq(a),
                self.mul.b[k].eq(Mux(settings.b == B.WEIGHTS, weight, b)),
            ]

    def _word(self) -> Value:
        """The word of the memory of weights that is read: of weights, or of the shared table."""
        if not self._shape.shared:
            return self.weights
        entry = self.at[tables.exp2().low_bits : tables.exp2().index_bits + tables.exp2().low_bits]
        there = self._shape.weight_words + entry
        return Mux(self.settings.b == B.WEIGHTS, self.weights, there)

    def _add(self, m: Module, base: Value) -> tuple[list[Signal], data.View]:
        """(the sums, what comes to them in this cycle)."""
        flags = data.StructLayout(
            {"take": 1, "first": 1, "base": 1, "emit": 1, "lane": len(self.lane)}
        )
        now = Signal(flags)
        m.d.comb += [getattr(now, name).eq(getattr(self, name)) for name in flags.members]
        come = delay(m, now, ACCUMULATED - 1, "come")
        every = self.settings.b == B.WEIGHTS
        sums = [self.total]
        for k in range(self._shape.rows):
            bits = self._shape.sum_bits
            total = self.total if k == 0 else Signal(signed(bits), name=f"sum{k}")
            before = Mux(come.first, 0, total)
            if k == 0:
                before = Mux(come.base, base, before)
            else:
                sums.append(total)
            with m.If(come.take & (every | (come.lane == k))):
                m.d.sync += total.eq(before + self.mul.p[k])
        with m.If(self.load):
            m.d.sync += self.total.eq(self.loaded)
        with m.If(self.double):
            m.d.sync += self.total.eq(self.total << 1)
        return sums, come

    def _answer(self, m: Module, sums: list[Signal], come: data.View) -> None:
        """One cycle to pick a sum and shift it, one to round and hold."""
        settings, chosen = self.settings, Signal(signed(self._shape.total_bits))
        picked = 0
        for k, total in enumerate(sums):
            here = Signal(name=f"pick{k}")
            m.d.sync += here.eq(come.lane == k)
            wide = Signal(chosen.shape(), name=f"wide{k}")
            m.d.comb += wide.eq(total)
            picked = picked | (wide & here.replicate(len(wide)))
        m.d.comb += chosen.eq(picked)
        wide = Cat(Const(0, LEFT), chosen).as_signed()
        moved, lost = numbers.shift_right(m, wide, settings.shift, "wide")
        shifted, sticky = Signal(signed(len(moved))), Signal()
        go, rounding = Signal(), Signal(Rounding)
        m.d.sync += [
            shifted.eq(moved),
            sticky.eq(lost),
            go.eq(delay(m, come.emit, 1, "emit")),
        ]
        m.d.sync += [rounding.eq(settings.rounding), self.emitted.eq(go)]
        result, over = self._rounded(m, shifted, sticky, rounding)
        with m.If(go):
            m.d.sync += [self.answer.eq(result), self.saturated.eq(over)]
        with m.Else():
            m.d.sync += self.saturated.eq(0)

    def _rounded(self, m: Module, shifted: Value, sticky: Value, rounding) -> tuple[Signal, Value]:
        """(the answer, whether it was held to fewer bits)."""
        settings = self.settings
        half, floor, sign = shifted[0], shifted[1:], shifted[-1]
        even = rounding == Rounding.EVEN
        up, over, high = Signal(), Signal(), Signal(WORD)
        m.d.comb += up.eq(half & Mux(even, sticky | floor[0], rounding == Rounding.UP))
        for held, width in ((Held.ELEMENT, MANTISSA_BITS), (Held.SCORE, SCORE_BITS)):
            # Beside the sum, not behind it: what is cut off, or the largest number and one more.
            beyond = floor[width - 1 : -1]
            outside = (beyond ^ sign.replicate(len(beyond))).any()
            edge = floor[: width - 1].all() & up & ~sign
            with m.If(settings.held == held):
                m.d.comb += [over.eq(outside | edge), high.eq(limits(width)[1])]
        result = Signal(signed(WORD))
        with m.If(settings.relu & sign):
            m.d.comb += result.eq(0)
        with m.Elif(over):
            m.d.comb += result.eq(high ^ sign.replicate(WORD))
        with m.Else():
            m.d.comb += result.eq(floor[:WORD] + up)
        return result, over

    def _race(self, m: Module) -> None:
        """The peak of scores, or of the race for the next token."""
        peak = Signal(signed(WORD))
        m.d.comb += [
            self.below.eq(peak - Mux(self.settings.race, self.answer, self.value)),
            self.above.eq(self.below < 0),
        ]
        with m.If(self.compare & (self.best | self.above)):
            m.d.sync += peak.eq(self.answer)
