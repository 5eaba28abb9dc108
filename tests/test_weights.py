"""hdl/weights.py: matrices as words, and the sources of words."""

import time

import numpy as np
import pytest

from hdl.memory import Memories
from hdl.weights import LATENCY, SOURCES, Order, weight_source, weight_words
from tests.bench import Streams

WIDTH = 20
WORDS = [int(w) for w in np.random.default_rng(2).integers(0, 2**WIDTH, 23)]
REQUESTS = [(3, 5), (0, 1), (22, 1), (4, 4), (10, 13), (7, 2)]


def run(kind, requests=REQUESTS, words=WORDS, idle=0.0, seed=0):
    memories = Memories({"w": words}, wires=kind == "wires")
    dut = weight_source(kind, "w", WIDTH, len(words), 13, memories)
    bench = Streams(dut, idle, seed)
    asked = bench.source("i", dut.i, [{"base": b, "count": c} for b, c in requests])
    want = [(words[b + k], int(k == c - 1)) for b, c in requests for k in range(c)]
    arrived = None
    if kind == "stream":
        left = bench.sink("requests", dut.requests, len(requests))
        # assign() takes structs only, so this port has a driver of its own
        arrived = feed(bench, dut.weights, [w for w, _ in want], idle)
    cycles: list[int] = []
    seen = bench.sink("o", dut.o, len(want), cycles)
    bench.run()
    if kind == "stream":
        assert [(int(p.base), int(p.count)) for p in left] == requests
    return [(int(p.data), int(p.last)) for p in seen], want, asked, cycles, arrived


def feed(bench, port, words, idle=0.0):
    """Drive a port of bare words."""
    rng = np.random.default_rng(bench.seed)

    async def driver(ctx):
        for word in words:
            while rng.random() < idle:
                await ctx.tick()
            ctx.set(port.p, word)
            ctx.set(port.valid, 1)
            await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)

    bench.sim.add_testbench(driver, background=True)


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("kind", SOURCES)
def test_words_in_order(kind, idle):
    got, want, *_ = run(kind, idle=idle, seed=3)
    assert got == want


@pytest.mark.parametrize("kind", SOURCES)
def test_one_word_a_cycle(kind):
    *_, asked, cycles, _ = run(kind)
    assert cycles[0] - asked[0] == LATENCY
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))


def test_a_corrupted_word_is_seen():
    bad = [*WORDS]
    bad[6] ^= 1
    got, *_ = run("rom", words=bad)
    assert got != run("rom")[1]


def test_unknown_source():
    with pytest.raises(ValueError, match="expected one of rom, wires, stream"):
        weight_source("tape", "w", 8, 4, 4, Memories())


def unpack(words, bits, groups, beats, rows, lanes):
    """The matrix back from its words, by plain loops."""
    matrix = np.zeros((groups * rows, beats * lanes), dtype=np.int64)
    for g in range(groups):
        for b in range(beats):
            word = words[g * beats + b]
            for r in range(rows):
                for k in range(lanes):
                    value = (word >> ((r * lanes + k) * bits)) & ((1 << bits) - 1)
                    value -= (value >> (bits - 1)) << bits
                    matrix[g * rows + r, b * lanes + k] = value
    return matrix


@pytest.mark.parametrize(("lanes", "rows"), [(1, 1), (4, 2), (2, 8), (16, 16)])
@pytest.mark.parametrize("bits", [4, 8, 11, 16])
def test_words_hold_the_matrix(lanes, rows, bits):
    weights = np.random.default_rng(1).integers(-(1 << (bits - 1)), 1 << (bits - 1), (27, 18))
    words = weight_words(weights, bits, lanes, rows)
    groups, beats = Order.natural(weights.shape).words(lanes, rows)
    assert len(words) == groups * beats
    matrix = unpack(words, bits, groups, beats, rows, lanes)
    assert matrix[:27, :18].tolist() == weights.tolist()
    assert not matrix[27:].any()
    assert not matrix[:, 18:].any()


def test_order_places_rows_and_columns():
    weights = np.arange(6).reshape(2, 3)
    order = Order(rows=(1, -1, 0, -1), columns=(-1, 2, 0, 1))
    matrix = unpack(weight_words(weights, 8, 2, 2, order), 8, 2, 2, 2, 2)
    assert matrix.tolist() == [[0, 5, 3, 4], [0, 0, 0, 0], [0, 2, 0, 1], [0, 0, 0, 0]]


def test_packing_is_fast():
    weights = np.random.default_rng(1).integers(-128, 128, (1000, 64))
    start = time.perf_counter()
    weight_words(weights, 8, 8, 8)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("weights", "order", "message"),
    [
        ([[128]], None, "does not fit 8 bits"),
        ([[1], [2]], Order((0, 0), (0,)), "each row from 0 to 1 once"),
        ([[1, 2]], Order((0,), (0,)), "each column from 0 to 1 once"),
    ],
)
def test_what_cannot_be_packed(weights, order, message):
    with pytest.raises(ValueError, match=message):
        weight_words(np.array(weights), 8, 1, 1, order)
