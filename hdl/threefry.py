"""Threefry-2x32 with 20 rounds: ``golden.noise.threefry2x32``, a pair of words every few cycles.

Additions, rotations and exclusive ors only.  The rounds are done ``rounds_per_cycle`` at a time in
``stages`` that work on successive pairs: one stage does all rounds of a pair; as many stages as
there are steps take a new pair every cycle.  A stage does the same few rounds again and again, so
stages after the first cost less than engines of their own would: with constant rounds there is
nothing left to choose.

Keys are added before every fourth round, together with that round's addition, and their sum is made
a cycle ahead; so there are no more additions in a row than rounds in a cycle (5 and 10 a cycle: one
more for each four rounds).  At 100 MHz on a slow device 2 are comfortable and 4 are the limit.
"""

from math import gcd

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.noise import PARITY, ROTATIONS, ROUNDS

WORD = 32

KEYED = 4
"""Rounds from keys added to keys added."""

COUNTER = data.StructLayout({name: unsigned(WORD) for name in ("counter0", "counter1")})
WORDS = data.StructLayout({"word0": unsigned(WORD), "word1": unsigned(WORD)})

PORTS = {
    "key0": In(WORD),
    "key1": In(WORD),
    "i": In(stream.Signature(COUNTER)),
    "o": Out(stream.Signature(WORDS)),
}
"""Members of every body of the generator; see Threefry."""

ROUNDS_PER_CYCLE = (1, 2, 4, 5, 10)
"""What ``rounds_per_cycle`` may be."""


def latency(rounds_per_cycle: int) -> int:
    """Cycles from a counter to its words: 1 to load, then the rounds."""
    return 1 + ROUNDS // rounds_per_cycle


def interval(rounds_per_cycle: int, stages: int) -> int:
    """Cycles from a counter to the next."""
    return ROUNDS // rounds_per_cycle // stages


def stage_numbers(rounds_per_cycle: int) -> list[int]:
    """What ``stages`` may be."""
    steps = ROUNDS // rounds_per_cycle
    return [n for n in range(1, steps + 1) if steps % n == 0]


class Threefry(wiring.Component):
    """Two random words of 32 bits a counter.

    Latency ``latency(rounds_per_cycle)``, interval ``interval(rounds_per_cycle, stages)`` cycles.
    Back-pressure: the words stay until they are taken, and hold all stages.

    Parameters
    ----------
    rounds_per_cycle: 1, 2, 4, 5 or 10.  stages: a divisor of ROUNDS / rounds_per_cycle.

    Members
    -------
    key0, key1: of all pairs that are inside: they may change only when there are none.
    i: stream of COUNTER (counter0, counter1).  o: stream of WORDS (word0, word1).

    Raises
    ------
    ValueError: another number of rounds a cycle, or of stages.
    """

    def __init__(self, rounds_per_cycle: int = 2, stages: int = 1):
        if rounds_per_cycle not in ROUNDS_PER_CYCLE:
            raise ValueError(f"rounds_per_cycle is {rounds_per_cycle}, not in {ROUNDS_PER_CYCLE}")
        if stages not in stage_numbers(rounds_per_cycle):
            raise ValueError(f"stages is {stages}, not in {stage_numbers(rounds_per_cycle)}")
        self._rounds, self._stages = rounds_per_cycle, stages
        self._interval = interval(rounds_per_cycle, stages)
        super().__init__(PORTS)

    def elaborate(self, platform):
        m = Module()
        keys = (self.key0, self.key1, Signal(WORD, name="key2"))
        m.d.comb += keys[2].eq(self.key0 ^ self.key1 ^ PARITY)
        phase = Signal(range(self._interval), init=self._interval - 1)
        held = Signal(self._stages)  # which stages hold a pair
        on, move = Signal(), Signal()  # all stages hand their pair on, and there is one that moves
        free = ~held[-1] | ~self.o.valid | self.o.ready
        m.d.comb += [
            on.eq((phase == self._interval - 1) & free),
            self.i.ready.eq(on),
            move.eq(on & (held.any() | self.i.valid)),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(move):
            m.d.sync += [phase.eq(0), held.eq(Cat(self.i.valid, held))]
            with m.If(held[-1]):
                m.d.sync += self.o.valid.eq(1)
        with m.Elif(phase != self._interval - 1):
            m.d.sync += phase.eq(phase + 1)
        self._chain(m, keys, phase, move)
        return m

    def _chain(self, m: Module, keys, phase: Signal, move: Signal):
        """The words of every stage: the loaded counter, then what the stage before has made.

        The keys that belong to the end of the last round are added behind the last register.
        """
        given = self.i.p.counter0, self.i.p.counter1
        inside = phase != self._interval - 1
        for s in range(self._stages):
            x0, x1 = Signal(WORD, name=f"stage{s}_0"), Signal(WORD, name=f"stage{s}_1")
            y0, y1 = self._one_cycle(m, keys, x0, x1, phase, s, on=move | inside)
            with m.If(move | inside):
                m.d.sync += [x0.eq(Mux(inside, y0, given[0])), x1.eq(Mux(inside, y1, given[1]))]
            given = y0, y1
        made = Signal(WORDS)
        with m.If(move & (~self.o.valid | self.o.ready)):
            m.d.sync += made.eq(Cat(*given))
        for word, value in enumerate((made.word0, made.word1)):
            key, count = _key(keys, ROUNDS // KEYED, word)
            last = Signal(WORD, name=f"last_key{word}")
            m.d.sync += last.eq(key + count)
            m.d.comb += self.o.p[f"word{word}"].eq(value + last)

    def _one_cycle(
        self, m: Module, keys, x0: Value, x1: Value, phase: Signal, stage: int, on: Value
    ):
        """The words after the rounds that ``stage`` does in this phase; ``on``: it ends."""
        before = stage * self._interval
        for j in range(self._rounds):
            rounds = [(before + q) * self._rounds + j for q in range(self._interval)]
            both, second = Const(0, WORD), Const(0, WORD)
            if any(r % KEYED == 0 for r in rounds):
                both, second = self._keys(m, keys, rounds, phase, on if j == 0 else None)
            name = f"round{stage}_{j}"
            y0, y1 = Signal(WORD, name=f"{name}_0"), Signal(WORD, name=f"{name}_1")
            keyed = Signal(WORD, name=f"{name}_keyed")
            m.d.comb += [
                y0.eq(x0 + x1 + both),
                keyed.eq(x1 + second),
                y1.eq(self._rotated(keyed, rounds, phase) ^ y0),
            ]
            x0, x1 = y0, y1
        return x0, x1

    def _keys(self, m: Module, keys, rounds: list[int], phase: Signal, on: Value | None):
        """(sum of what is added to both words before this round, what is added to the second).

        With ``on`` they come out of registers, which take the next phase's when a phase ends.
        """
        groups = [r // KEYED if r % KEYED == 0 else None for r in rounds]
        if on is not None:
            groups = groups[1:] + groups[:1]
        parts = [[_key(keys, group, word) for group in groups] for word in range(2)]
        first, second = (
            _chosen([k for k, _ in part], phase) + _chosen([Const(c, 3) for _, c in part], phase)
            for part in parts
        )
        both = Signal(WORD, name=f"both{rounds[0]}")
        other = Signal(WORD, name=f"second{rounds[0]}")
        if on is None:
            m.d.comb += [both.eq(first + second), other.eq(second)]
        else:
            with m.If(on):
                m.d.sync += [both.eq(first + second), other.eq(second)]
        return both, other

    def _rotated(self, x: Value, rounds: list[int], phase: Signal) -> Value:
        """``x`` rotated by the distance of the round; the distances repeat every 8 rounds."""
        distances = [ROTATIONS[r % 8] for r in rounds]
        period = min(8 // gcd(8, self._rounds), self._interval)
        ways = [x.rotate_left(distance) for distance in distances[:period]]
        return _chosen(ways, phase[: (period - 1).bit_length()])


def _key(keys, group: int | None, word: int) -> tuple[Value, int]:
    """(key, number) that are added to ``word`` before round ``KEYED * group``; or nothing."""
    if group is None:
        return Const(0, WORD), 0
    return keys[(group + word) % 3], word * group


def _chosen(ways: list, phase: Value) -> Value:
    return ways[0] if len(ways) == 1 else Array(ways)[phase]
