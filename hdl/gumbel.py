"""Random words to scaled Gumbel noise: ``golden.noise.gumbel_noise`` times the noise scale.

Words come a beat at a time and are normalised and looked up a beat at a time, but they meet the
multipliers in groups, for the multipliers are shared and every use of them takes a whole cycle:

    cycle 0, 1          leading zeros: shifts by 16 and 8, then by 4, 2 and 1
    1                   address of the table
    2                   base and slope; a whole group is interpolated
    2 + mac             Gumbel values come back and are kept
    3 + mac             the group is scaled
    3 + 2 mac           products come back; the first beat leaves, one beat a cycle
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import MANTISSA_BITS
from hdl import mac
from hdl.memory import Memories
from hdl.stream import Queue, delay
from hdl.threefry import WORD

KEPT = tables.GUMBEL_SEGMENT_BITS + tables.GUMBEL_LOW_BITS
COARSE = 1 + KEPT + 7
"""Leading bits that matter before the last shift, of at most 7."""

LATENCY = 3 + 2 * mac.LATENCY
"""Cycles from the last word of a group to its first products, when the multipliers are free."""

MOST_BEATS = 4
"""Beats of a group, at the most: they leave while the next group is on its way."""


@dataclass(frozen=True)
class Bank:
    """How noise meets its multipliers.

    Parameters
    ----------
    beat: words of a beat.  width: words of a group, 1, 2 or 4 beats.
    multipliers: ``width``: a cycle either interpolates a group or scales one; ``2 * width``: both.
    """

    beat: int
    width: int
    multipliers: int

    def __post_init__(self):
        if self.beats not in (1, 2, MOST_BEATS) or self.beats * self.beat != self.width:
            raise ValueError(f"{self}: expected groups of 1, 2 or {MOST_BEATS} beats")
        if self.multipliers not in (self.width, 2 * self.width):
            raise ValueError(f"{self}: expected as many multipliers as words, or twice as many")

    @property
    def beats(self) -> int:
        """Beats of a group."""
        return self.width // self.beat

    @property
    def both(self) -> bool:
        """Whether a cycle of the multipliers interpolates one group and scales another."""
        return self.multipliers > self.width

    @property
    def interval(self) -> int:
        """Cycles from a group to the next, when the multipliers are free."""
        return mac.LATENCY + (1 if self.both else 2)


class Gumbel(wiring.Component):
    """Products of Gumbel noise and its scale, for beats of random words.

    Latency LATENCY; throughput a group every ``bank.interval`` cycles, but no more than a beat a
    cycle.  Back-pressure: a beat is taken (``reserve``) when there is room (``free``) for its
    answer, which cannot wait; the multipliers may be starved for any time.

    Parameters
    ----------
    name: of the memories ``<name>.gumbel<k>``, k below ``bank.beat``.  bank: see Bank.

    Members
    -------
    i: beats of words; ``final`` ends a group early.  scale: of all words that are inside.
    mul: ``bank.multipliers`` products.  reserve, free: room for a beat.
    valid, products: of a beat that leaves.
    """

    def __init__(self, name: str, bank: Bank, memories: Memories):
        self._bank = bank
        self._table = table = tables.gumbel()
        width = table.base_bits + table.slope_bits
        self._roms = [
            memories.rom(f"{name}.gumbel{k}", width, 1 << table.index_bits)
            for k in range(bank.beat)
        ]
        words = data.StructLayout(
            {"words": data.ArrayLayout(WORD, bank.beat), "final": unsigned(1)}
        )
        super().__init__(
            {
                "i": In(stream.Signature(words)),
                "scale": In(MANTISSA_BITS),
                "mul": Out(mac.Multiply(bank.multipliers)),
                "reserve": Out(1),
                "free": In(1),
                "valid": Out(1),
                "products": Out(data.ArrayLayout(signed(2 * MANTISSA_BITS), bank.beat)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        coarse, taking, coarse_final, coarse_valid = self._coarse(m)
        found, taken = Signal(), Signal()
        final = Signal()
        m.d.comb += taking.eq(~found | taken)
        with m.If(taking):
            m.d.sync += [found.eq(coarse_valid), final.eq(coarse_final)]
        looked_up = self._look_up(m, coarse, taking)
        self._products(m, looked_up, found, final, taken)
        return m

    def _coarse(self, m: Module):
        """(every word normalised to 8 places; taken; last of its group; valid), from a queue.

        The queue's ``ready`` is a register: a busy array does not reach back to the generator.
        """
        words, lanes = self.i, []
        for k in range(self._bank.beat):
            word = words.p.words[k]
            side = word[-1]
            z = Cat(Const(1, 1), word[:-1] ^ side.replicate(WORD - 1))
            place, z = _normalise(m, z, (16, 8), f"coarse{k}")
            lanes.append(Cat(z[-COARSE:], place, side))
        layout = data.ArrayLayout(len(lanes[0]), len(lanes))
        m.submodules.coarse = queue = Queue(
            data.StructLayout({"data": layout, "final": unsigned(1)}), 2
        )
        m.d.comb += [
            queue.i.valid.eq(words.valid),
            words.ready.eq(queue.i.ready),
            Value.cast(queue.i.p.data).eq(Cat(lanes)),
            queue.i.p.final.eq(words.p.final),
        ]
        found = [(z[-1], z[COARSE:-1], z[:COARSE]) for z in queue.o.p.data]
        return found, queue.o.ready, queue.o.p.final, queue.o.valid

    def _look_up(self, m: Module, coarse, taking: Value) -> list[data.View]:
        """(base, slope, low) of every word of a beat."""
        table, answers = self._table, []
        layout = data.StructLayout(
            {
                "base": signed(table.base_bits),
                "slope": signed(table.slope_bits),
                "low": unsigned(table.low_bits),
            }
        )
        for k, (rom, (side, octave, z)) in enumerate(zip(self._roms, coarse, strict=True)):
            m.submodules[f"gumbel{k}"] = rom
            place, z = _normalise(m, z, (4, 2, 1), f"fine{k}")
            x = Cat(z[-1 - KEPT : -1], place, octave, side)
            low = Signal(table.low_bits, name=f"low{k}")
            m.d.comb += [rom.addr.eq(x[table.low_bits :]), rom.en.eq(taking)]
            with m.If(taking):
                m.d.sync += low.eq(x[: table.low_bits])
            answers.append(layout(Cat(rom.data, low)))
        return answers

    def _products(self, m: Module, looked_up, found: Value, final: Value, taken: Signal):
        """Gather a group, interpolate it, scale it.

        ``under_way``: a group is being interpolated; ``held``: its Gumbel values are there.
        """
        mul, bank = self.mul, self._bank
        place = Signal(range(bank.beats))
        under_way, held = Signal(), Signal()
        interpolate, scale, granted = Signal(), Signal(), Signal()
        complete = final | (place == bank.beats - 1)
        room = ~held if not bank.both else Const(1, 1)  # both: what is held leaves in this cycle
        m.d.comb += [
            interpolate.eq(found & complete & self.free & ~under_way & room),
            scale.eq(held),
            mul.valid.eq(interpolate | scale),
            granted.eq(mul.valid & mul.ready),
            taken.eq(found & self.free & (~complete | (interpolate & granted))),
            self.reserve.eq(taken),
        ]
        with m.If(taken):
            m.d.sync += place.eq(Mux(complete, 0, place + 1))
        begins, scales = granted & interpolate, granted & scale
        come = delay(m, begins, mac.LATENCY, "interpolated")
        with m.If(begins):
            m.d.sync += under_way.eq(1)
        with m.If(scales):
            m.d.sync += held.eq(0)
        with m.If(come):
            m.d.sync += [under_way.eq(0), held.eq(1)]
        last, held_last = Signal.like(place), Signal.like(place)  # the last beat of the group
        with m.If(begins):
            m.d.sync += last.eq(place)
        with m.If(come):
            m.d.sync += held_last.eq(last)
        group = self._gathered(m, looked_up, taken, place)
        values = self._interpolated(m, group, begins, come)
        shift = bank.width if bank.both else 0
        for k, (word, value) in enumerate(zip(group, values, strict=True)):
            if bank.both:
                factors = {k: (word.slope, word.low), k + shift: (value, self.scale)}
            else:
                factors = {k: (Mux(held, value, word.slope), Mux(held, self.scale, word.low))}
            for lane, (a, b) in factors.items():
                m.d.comb += [mul.a[lane].eq(a), mul.b[lane].eq(b)]
        products = [mul.p[k + shift] for k in range(bank.width)]
        ends = delay(m, held_last, mac.LATENCY, "ends")
        self._leave(m, products, delay(m, scales, mac.LATENCY, "scaled"), ends)

    def _gathered(self, m: Module, looked_up, taken: Value, place: Value) -> list[data.View]:
        """The words of a group: the last beat that comes, and those before it from registers."""
        bank, group = self._bank, []
        for b in range(bank.beats):
            for k, word in enumerate(looked_up):
                if b == bank.beats - 1:
                    group.append(word)
                    continue
                kept = Signal(word.shape(), name=f"kept{b}_{k}")
                with m.If(taken & (place == b)):
                    m.d.sync += kept.eq(word)
                here = Mux(place == b, Value.cast(word), Value.cast(kept))  # the last, if early
                group.append(word.shape()(here))
        return group

    def _interpolated(self, m: Module, group, begins: Value, come: Value) -> list[Signal]:
        """The Gumbel values of the group whose products have come."""
        table, values = self._table, []
        for k, word in enumerate(group):
            base = Signal(signed(table.base_bits), name=f"base{k}")
            answer = Signal(signed(table.base_bits + 1), name=f"answer{k}")
            value = Signal(signed(MANTISSA_BITS), name=f"gumbel{k}")
            with m.If(begins):
                m.d.sync += base.eq(word.base)
            m.d.comb += answer.eq((base + self.mul.p[k]) >> table.shift)
            with m.If(come):
                m.d.sync += value.eq(Mux(answer > table.top, table.top, answer))
            values.append(value)
        return values

    def _leave(self, m: Module, products: Sequence, come: Value, ends: Value):
        """The first beat leaves as it comes, the others from registers."""
        bank = self._bank
        m.d.comb += self.valid.eq(come)
        firsts = products[: bank.beat]
        m.d.comb += [self.products[k].eq(product) for k, product in enumerate(firsts)]
        if bank.beats == 1:
            return
        place, left = Signal(range(bank.beats)), Signal(range(bank.beats))
        rest = Signal(data.ArrayLayout(2 * MANTISSA_BITS * bank.beat, bank.beats))
        with m.If(come):
            m.d.sync += [place.eq(1), left.eq(ends), Value.cast(rest).eq(Cat(products))]
        with m.Elif(left != 0):
            m.d.sync += [place.eq(place + 1), left.eq(left - 1)]
            m.d.comb += [self.valid.eq(1), Value.cast(self.products).eq(rest[place])]


def _normalise(m: Module, z: Value, steps: tuple[int, ...], name: str) -> tuple[Value, Value]:
    """(places shifted, a bit for each of ``steps``; ``z`` shifted left past its leading zeros)."""
    places = []
    for step in steps:
        empty, moved = Signal(name=f"{name}_empty{step}"), Signal(len(z), name=f"{name}_by{step}")
        m.d.comb += [empty.eq(~z[-step:].any()), moved.eq(Mux(empty, z << step, z))]
        places.insert(0, empty)
        z = moved
    return Cat(*places), z
