"""hdl/threefry.py and hdl/lean_threefry.py against the published vectors and golden.noise."""

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.noise import threefry2x32
from hdl import lean_threefry
from hdl.lean_threefry import LeanThreefry
from hdl.threefry import ROUNDS_PER_CYCLE, Threefry, interval, latency, stage_numbers
from tests.bench import Streams

WORD = st.integers(0, 2**32 - 1)
PUBLISHED = [  # key, counter, words: Random123, kat_vectors
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


SHAPES = [(r, s) for r in ROUNDS_PER_CYCLE for s in stage_numbers(r) if r > 1 or s < 3]
LEAN = (0, 0)
"""Stands for LeanThreefry."""


def run(key, counters, rounds, stages, idle=0.0, seed=1):
    """(words, cycles of acceptance, cycles of the answers) of (counter0, counter1) under a key."""
    dut = LeanThreefry() if (rounds, stages) == LEAN else Threefry(rounds, stages)
    bench = Streams(dut, idle=idle, seed=seed)
    payloads = [dict(zip(("counter0", "counter1"), pair, strict=True)) for pair in counters]

    async def keys(ctx):
        ctx.set(dut.key0, key[0])
        ctx.set(dut.key1, key[1])

    bench.sim.add_testbench(keys)
    accepted = bench.source("i", dut.i, payloads)
    cycles: list[int] = []
    seen = bench.sink("o", dut.o, len(counters), cycles)
    bench.run()
    return [(int(p.word0), int(p.word1)) for p in seen], accepted, cycles


def golden(key, counters):
    array = np.array(counters, dtype=np.uint32)
    keys = np.broadcast_to(np.array(key, dtype=np.uint32), array.shape)
    return [tuple(int(x) for x in pair) for pair in threefry2x32(keys, array)]


@pytest.mark.parametrize(("rounds", "stages"), [LEAN, *SHAPES])
def test_published_vectors(rounds, stages):
    for key, counter, expected in PUBLISHED:
        assert run(key, [counter], rounds, stages)[0] == [expected]


@pytest.mark.parametrize(("rounds", "stages"), [LEAN, *SHAPES])
@settings(max_examples=3, deadline=None, derandomize=True)
@given(
    key=st.tuples(WORD, WORD),
    counters=st.lists(st.tuples(WORD, WORD), min_size=1, max_size=14),
    seed=WORD,
)
def test_matches_golden(rounds, stages, key, counters, seed):
    words, *_ = run(key, counters, rounds, stages, idle=0.4, seed=seed)
    assert words == golden(key, counters)


@pytest.mark.parametrize(("rounds", "stages"), SHAPES)
def test_words_that_are_not_taken_hold_all_stages(rounds, stages):
    key, counters = (5, 6), [(k, 7) for k in range(12)]
    assert run(key, counters, rounds, stages, idle=0.9)[0] == golden(key, counters)


@pytest.mark.parametrize(("rounds", "stages"), SHAPES)
def test_latency_and_interval(rounds, stages):
    _, accepted, cycles = run((1, 2), [(3, k) for k in range(12)], rounds, stages)
    assert latency(rounds) == 20 // rounds + 1
    assert [b - a for a, b in zip(accepted, cycles, strict=True)] == [latency(rounds)] * 12
    assert set(np.diff(accepted)) == {interval(rounds, stages)} == {20 // rounds // stages}


def test_lean_latency():
    _, accepted, cycles = run((1, 2), [(3, k) for k in range(4)], *LEAN)
    assert [b - a for a, b in zip(accepted, cycles, strict=True)] == [lean_threefry.LATENCY] * 4
    assert set(np.diff(accepted)) == {lean_threefry.LATENCY}


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("rounds", [0, 3, 20])
def test_other_numbers_of_rounds_are_refused(rounds):
    with pytest.raises(ValueError, match="rounds_per_cycle"):
        Threefry(rounds)
    with pytest.raises(ValueError, match=r"stages is 3, not in \[1, 2, 5, 10\]"):
        Threefry(2, 3)
    gc.collect()  # inside of the filter: what was refused was never elaborated
