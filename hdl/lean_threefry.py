"""Threefry-2x32 with one adder: the words of ``hdl/threefry.py`` for half of its logic.

A pair takes a cycle a round and three for every key: the first word's, the second word's, and the
number of the key.
"""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring

from golden.noise import PARITY, ROTATIONS, ROUNDS
from hdl.threefry import PORTS, WORD

GROUP = 4
"""Rounds between two keys."""

KEYS = ROUNDS // GROUP + 1
"""Keys that are added, that of the start included."""

LATENCY = 1 + ROUNDS + 3 * KEYS
"""Cycles from a counter to its words, and from a counter to the next if they are taken at once."""


class LeanThreefry(wiring.Component):
    """Two random words of 32 bits a counter, every LATENCY cycles; members as those of Threefry.

    Back-pressure: the words stay until they are taken; no counter is taken before.
    """

    def __init__(self):
        super().__init__(PORTS)

    def elaborate(self, platform):
        m = Module()
        words = self.o.p
        x0, x1 = words.word0, words.word1
        group, turn = Signal(range(KEYS)), Signal(range(len(ROTATIONS)))
        key, number, second = Signal(), Signal(), Signal()  # what is added, if no round is done
        a, b, total = (Signal(WORD, name=name) for name in ("a", "b", "total"))
        m.d.comb += [
            a.eq(Mux(second, x1, x0)),
            b.eq(Mux(number, group, Mux(key, self._key(m, group, second), x1))),
            total.eq(a + b),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
                with m.If(self.o.ready):
                    m.d.sync += self.o.valid.eq(0)
                with m.If(self.i.valid & self.i.ready):
                    m.d.sync += [
                        x0.eq(self.i.p.counter0), x1.eq(self.i.p.counter1), group.eq(0), turn.eq(0),
                    ]  # fmt: skip
                    m.next = "KEY0"
            with m.State("KEY0"):
                m.d.comb += key.eq(1)
                m.d.sync += x0.eq(total)
                m.next = "KEY1"
            with m.State("KEY1"):
                m.d.comb += [key.eq(1), second.eq(1)]
                m.d.sync += x1.eq(total)
                m.next = "NUMBER"
            with m.State("NUMBER"):
                m.d.comb += [number.eq(1), second.eq(1)]
                m.d.sync += [x1.eq(total), group.eq(group + 1)]
                m.next = "ROUND"
                with m.If(group == KEYS - 1):
                    m.d.sync += self.o.valid.eq(1)
                    m.next = "IDLE"
            with m.State("ROUND"):
                rotated = Array(x1.rotate_left(distance) for distance in ROTATIONS)[turn]
                m.d.sync += [x0.eq(total), x1.eq(rotated ^ total), turn.eq(turn + 1)]
                with m.If((turn + 1)[: GROUP.bit_length() - 1] == 0):
                    m.next = "KEY0"
        return m

    def _key(self, m: Module, group: Signal, second: Signal) -> Signal:
        """The key of a group for either word: the three in turn."""
        keys = (self.key0, self.key1, self.key0 ^ self.key1 ^ PARITY)
        key = Signal(WORD)
        with m.Switch(group):
            for g in range(KEYS):
                with m.Case(g):
                    m.d.comb += key.eq(Mux(second, keys[(g + 1) % 3], keys[g % 3]))
        return key
