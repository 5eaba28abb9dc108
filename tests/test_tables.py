"""golden/tables.py against float64 over all inputs, and hdl/table.py against golden."""

import hashlib
import math

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from golden import tables
from hdl.mac import MultiplierArray
from hdl.memory import Memories
from hdl.table import LATENCY, Lookup, table_words

TABLES = {
    "exp2": tables.exp2, "reciprocal": tables.reciprocal, "gelu": tables.gelu_tail,
    "gumbel": tables.gumbel, "root16": lambda: tables.root(16), "root24": lambda: tables.root(24),
    "root48": lambda: tables.root(48), "root576": lambda: tables.root(576),
    "sine": tables.sine, "sigmoid": tables.sigmoid,
}  # fmt: skip
DIGESTS = {
    "exp2": "3b28358b947ff116f6307b13bf98123539d771d408a38baf260e32a500c2e9ad",
    "reciprocal": "11fc30a5cdd1b841b459dce2e4c10c2b339be52b7eca38eca01d23593a1e74bd",
    "gelu": "877be7fb483a12931efecd22c9e59f797fa33736f325cfc1afc60e42bbde8c29",
    "gumbel": "2c3055291285a7f85ca1a6fc09f4a28353696306fda7f07c9a1e0f082a2c5d85",
    "root16": "1bfe9cfa6321fd25b4a302e9e7a838e33de0ac8f2bef222d4c521685f6e80662",
    "root24": "988eafdb5f318d163cb3aeda5c32fd4aba9b60194982f73f421e7544b7950614",
    "root48": "6e2d3b6232fe0b9b5fd0fc32c3df3e24f2cce1c5f022202800b04917c38dab9f",
    "sine": "4ca9ef8b742ff70adf13ce6c3944b8e854ce5a2c94b7bed7ec4f75bf3729d780",
    "sigmoid": "eafbbd45cdec9921027e733210b8dd05db730e35bc7c69ee2d2ae31ca3a02893",
    "root576": "d5fd84d53362a0aad04b1eeb755fa1380f4711788eeaa821a3f0a2d24e0c38cf",
}


def root(n):
    def exact(x):
        t = (1 + (x & 0x7FFF) / 2**15) * 2.0 ** (x >> 15)
        return np.sqrt(n / t) / 2 ** tables.norm_exponent(n) * 2**15

    return exact


def gelu(x):
    tail = np.array([math.erfc(u / math.sqrt(2)) for u in (x / 2**12).tolist()])
    return x / 2**12 * 0.5 * tail * 2**16


# worst error measured over all inputs, in units of the answer: (function, bound)
EXACT = {
    "exp2": (lambda x: 2.0 ** (-x / 2**12) * 2**15, 0.72),
    "reciprocal": (lambda x: 2**15 / (1 + x / 2**15), 0.58),
    "gelu": (gelu, 1.34),
    "root16": (root(16), 0.66),
    "root24": (root(24), 0.63),
    "root48": (root(48), 0.64),
    "root576": (root(576), 0.65),
    "sine": (lambda x: np.sin(np.pi / 2 * (x + 0.5) / 2**16) * 2**15, 0.70),
    "sigmoid": (lambda x: 2**15 / (1 + np.exp(-x / 2**12)), 0.70),
}


@pytest.mark.parametrize("name", EXACT)
def test_worst_error_over_all_inputs(name):
    table, (function, bound) = TABLES[name](), EXACT[name]
    x = np.arange(1 << (table.index_bits + table.low_bits))
    error = np.abs(table.lookup(x) - np.minimum(function(x), table.top)).max()
    assert bound - 0.02 < error < bound


RISING = ("sine", "sigmoid")


@pytest.mark.parametrize("name", RISING)
def test_rises(name):
    """A step of one unit down may remain between segments."""
    table = TABLES[name]()
    steps = np.diff(table.lookup(np.arange(1 << (table.index_bits + table.low_bits))))
    assert steps.min() >= -1


@pytest.mark.parametrize("name", [name for name in EXACT if name not in ("gelu", *RISING)])
def test_falls(name):
    """exp2 and reciprocal fall; in a root a step of one unit up may remain between segments."""
    table = TABLES[name]()
    steps = np.diff(table.lookup(np.arange(1 << (table.index_bits + table.low_bits))))
    assert steps.max() <= (1 if name.startswith("root") else 0)


@pytest.mark.parametrize("name", TABLES)
def test_words(name):
    table = TABLES[name]()
    numbers = [*table.base, *table.slope, table.index_bits, table.low_bits, table.shift, table.top]
    digest = hashlib.sha256(np.array(numbers, dtype="<i8").tobytes()).hexdigest()
    assert digest == DIGESTS[name], "a table has changed: every golden digest changes with it"
    assert len(table.base) == len(table.slope) == 1 << table.index_bits
    assert table.slope_bits <= 16
    assert table.low_bits < 16


def test_norm_exponent():
    for n in range(1, 2000):
        q = tables.norm_exponent(n)
        assert 4**q >= n
        assert q == 0 or 4 ** (q - 1) < n


class OneLane(wiring.Component):
    """A Lookup on one multiplier."""

    def __init__(self, table, words):
        self.lookup = Lookup(table, "t", Memories({"t": words}))
        self.array = MultiplierArray([1])
        super().__init__({"en": In(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.lookup, m.submodules.array = self.lookup, self.array
        user = self.array.users[0]
        m.d.comb += [
            self.lookup.en.eq(self.en),
            user.valid.eq(1),
            user.a[0].eq(self.lookup.a),
            user.b[0].eq(self.lookup.b),
            self.lookup.p.eq(user.p[0]),
        ]
        return m


def answers(table, inputs, stall=False, words=None):
    """What comes out LATENCY cycles after each input; with ``stall``, ``en`` rests between."""
    dut = OneLane(table, table_words(table) if words is None else words)
    sim, seen = Simulator(dut), []
    sim.add_clock(1e-6)
    inputs = [int(x) for x in inputs]

    async def flow(ctx):
        for k in range(len(inputs) + LATENCY):
            ctx.set(dut.lookup.x, inputs[min(k, len(inputs) - 1)])
            if k >= LATENCY:
                seen.append(ctx.get(dut.lookup.y))
            await ctx.tick()

    async def stalled(ctx):
        for k, x in enumerate(inputs):
            ctx.set(dut.lookup.x, x)
            ctx.set(dut.en, 1)
            await ctx.tick()
            ctx.set(dut.en, 0)
            ctx.set(dut.lookup.x, inputs[k - 1])
            held = ctx.get(dut.lookup.a), ctx.get(dut.lookup.b)
            if k % 3:
                await ctx.tick().repeat(k % 3)
            assert held == (ctx.get(dut.lookup.a), ctx.get(dut.lookup.b))
            await ctx.tick().repeat(LATENCY - 1)
            seen.append(ctx.get(dut.lookup.y))

    sim.add_testbench(stalled if stall else flow)
    sim.run()
    return seen


def test_hardware_over_all_inputs():
    table = tables.exp2()
    x = np.arange(1 << 12)
    assert answers(table, x) == table.lookup(x).tolist()


@pytest.mark.parametrize("stall", [False, True])
@pytest.mark.parametrize("name", TABLES)
def test_hardware_samples(name, stall):
    table = TABLES[name]()
    bits = table.index_bits + table.low_bits
    x = np.random.default_rng(3).integers(0, 1 << bits, 150)
    x[:3] = 0, (1 << bits) - 1, 1 << (bits - 1)
    assert answers(table, x, stall) == table.lookup(x).tolist()


def test_a_corrupted_word_is_caught():
    table = tables.exp2()
    words = table_words(table)
    words[5] ^= 1 << 20
    x = np.arange(5 << 6, 6 << 6)
    assert answers(table, x, words=words) != table.lookup(x).tolist()
