"""Cosines and sines of one position, for every pair of a head: ``golden.stages.rope.rotation``.

A pair's phase is its turn times the position, bit by bit of the position; then sine and cosine are
looked up, one after the other.
"""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import MANTISSA_BITS
from golden.stage import PHASE_BITS, Rope
from golden.stages.rope import QUARTER
from hdl import mac, table
from hdl.memory import Memories
from hdl.weights import Order

PAIR = data.StructLayout({"cosine": signed(MANTISSA_BITS), "sine": signed(MANTISSA_BITS)})

Pattern = list[list[int]]
"""Pair of a head, by row and place: rows that repeat through the beats of a vector."""


def pattern(order: Order, d_head: int, lanes: int) -> Pattern:
    """Which pair stands at each pair of places of the beats of a head; 0 where zeros stand."""
    places = [max(place, 0) % d_head // 2 for place in order.rows[::2]]
    rows = [places[k : k + lanes // 2] for k in range(0, len(places), lanes // 2)]
    rows[-1] += [0] * (lanes // 2 - len(rows[-1]))
    used = [place >= 0 for place in order.rows[::2]]
    for period in range(1, len(rows) + 1):
        if all(
            not used[k] or places[k] == rows[k // (lanes // 2) % period][k % (lanes // 2)]
            for k in range(len(places))
        ):
            return rows[:period]
    raise AssertionError("rows repeat after all of them at the latest")


def cycles(pairs: int, position: int) -> int:
    """Cycles from a position that is new to ``known``, for so many pairs, with free multipliers."""
    look_up = 1 + table.LATENCY + 1
    return 1 + pairs * (1 + position.bit_length() + 2 * look_up)


def image(
    name: str, jobs: Sequence[Sequence[Rope]], lanes: int, orders: Sequence[Order]
) -> dict[str, list[int]]:
    """Words of the memories of the unit ``name`` from its stages [job][layer].

    Raises
    ------
    ValueError
        If two stages turn by different angles.
    """
    turns = jobs[0][0].turns
    for stage in (stage for stages in jobs for stage in stages):
        if (stage.turns != turns).any():
            raise ValueError(f"unit {name}: {stage.name} turns otherwise than {jobs[0][0].name}")
    rows = pattern(orders[0], jobs[0][0].d_head, lanes)
    return {
        f"{name}.turns": [int(turns[pair]) for row in rows for pair in row],
        f"{name}.sine": table.table_words(tables.sine()),
    }


class Rotation(wiring.Component):
    """Keeps cosine and sine of every pair of a pattern, for the position that was wanted last.

    Latency :func:`cycles` from a new position to ``known``; the multiplier may be starved.
    Tested: with hdl.units.rope.

    Parameters
    ----------
    name: of the memories ``<name>.turns`` and ``<name>.sine``.  rows: the pattern; only its shape
    counts here.  position_bits: width of a position.

    Members
    -------
    wanted, position: of which position; stable from ``wanted`` until it is ``known``.
    known: ``pairs`` are those of ``position``.
    row: which row of the pattern.  pairs: its cosines and sines.
    asks, a, b: factors of an interpolation are offered.  ready: and accepted.  p: their product.
    """

    def __init__(self, name: str, rows: Pattern, position_bits: int, memories: Memories):
        self._shape = len(rows), len(rows[0])
        self._value = Signal(signed(MANTISSA_BITS))
        self._turns = memories.rom(
            f"{name}.turns", PHASE_BITS, max(len(rows) * len(rows[0]), 2), synchronous=False
        )
        self._lookup = table.Lookup(tables.sine(), f"{name}.sine", memories)
        super().__init__(
            {
                "wanted": In(1),
                "position": In(position_bits),
                "known": Out(1),
                "row": In(range(len(rows))),
                "pairs": Out(data.ArrayLayout(PAIR, len(rows[0]))),
                "asks": Out(1),
                "a": Out(signed(MANTISSA_BITS)),
                "b": Out(signed(MANTISSA_BITS)),
                "ready": In(1),
                "p": In(signed(2 * MANTISSA_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows, places = self._shape
        held, valid = Signal.like(self.position), Signal()
        row, place = Signal(range(rows)), Signal(range(places))
        phase, turn = Signal(PHASE_BITS), Signal(PHASE_BITS)
        left = Signal(max(len(held), 1))  # without positions nothing turns
        cosine, store, wait = Signal(), Signal(), Signal(range(mac.LATENCY))
        m.submodules.turns = turns = self._turns
        m.d.comb += [
            self.known.eq(valid & (held == self.position)),
            turns.addr.eq(row * places + place),
        ]
        self._table(m, phase)
        final = (row == rows - 1) & (place == places - 1)
        with m.FSM():
            with m.State("IDLE"), m.If(self.wanted & ~self.known):
                m.d.sync += [held.eq(self.position), valid.eq(0), row.eq(0), place.eq(0)]
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.sync += [phase.eq(0), turn.eq(turns.data), left.eq(held), cosine.eq(0)]
                m.next = "TURN"
                with m.If(held == 0):
                    m.next = "LOOK"
            with m.State("TURN"):  # a bit of the position a cycle
                m.d.sync += [turn.eq(turn << 1), left.eq(left >> 1)]
                with m.If(left[0]):
                    m.d.sync += phase.eq(phase + turn)
                with m.If(left >> 1 == 0):
                    m.next = "LOOK"
            self._look_up(m, store, wait)
            with m.State("NEXT"):
                m.next = "LOOK"
                m.d.sync += [phase.eq(phase + (1 << QUARTER)), cosine.eq(1)]
                with m.If(cosine):
                    m.d.sync += place.eq(Mux(place == places - 1, 0, place + 1))
                    with m.If(place == places - 1):
                        m.d.sync += row.eq(row + 1)
                    m.next = "BEGIN"
                    with m.If(final):
                        m.d.sync += valid.eq(1)
                        m.next = "IDLE"
        self._keep(m, row, place, cosine, store)
        return m

    def _table(self, m: Module, phase: Signal) -> None:
        """The quarter wave, mirrored and negated by the upper bits of the phase."""
        m.submodules.lookup = lookup = self._lookup
        mirrored, negative = phase[QUARTER], phase[QUARTER + 1]
        place = phase[QUARTER - tables.SINE_BITS : QUARTER]
        m.d.comb += [
            lookup.x.eq(place ^ mirrored.replicate(tables.SINE_BITS)),
            lookup.p.eq(self.p),
            self.a.eq(lookup.a),
            self.b.eq(lookup.b),
            self._value.eq(Mux(negative, -lookup.y, lookup.y)),
        ]

    def _look_up(self, m: Module, store: Signal, wait: Signal) -> None:
        """LOOK: the table is addressed; ASK: interpolate; WAIT: the product comes and is stored."""
        with m.State("LOOK"):
            m.next = "ASK"
        with m.State("ASK"):
            m.d.comb += self.asks.eq(1)
            with m.If(self.ready):
                m.d.sync += wait.eq(mac.LATENCY - 1)
                m.next = "WAIT"
        with m.State("WAIT"):
            m.d.sync += wait.eq(wait - 1)
            with m.If(wait == 0):
                m.d.comb += store.eq(1)
                m.next = "NEXT"

    def _keep(self, m: Module, row, place, cosine, store) -> None:
        """A memory a place and function, so that a row is read at once."""
        rows, places = self._shape
        for k in range(places):
            for name, chosen in (("cosine", cosine), ("sine", ~cosine)):
                kept = memory.Memory(shape=unsigned(MANTISSA_BITS), depth=max(rows, 2), init=[])
                m.submodules[f"{name}{k}"] = kept
                write, read = kept.write_port(), kept.read_port(domain="comb")
                m.d.comb += [
                    write.addr.eq(row),
                    write.data.eq(self._value),
                    write.en.eq(store & chosen & (place == k)),
                    read.addr.eq(self.row),
                    Value.cast(self.pairs[k][name]).eq(read.data),
                ]
