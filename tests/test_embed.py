"""hdl/units/embed.py against golden/stages/embed.py."""

from functools import partial

import numpy as np
import pytest

from golden.numbers import Fixed
from golden.stage import Embed
from golden.stages import Context
from golden.stages.embed import execute
from hdl.memory import Memories
from hdl.stream import beats
from hdl.units import embed
from tests.bench import Streams, collected
from tests.units import TAGS, check, refused, watch

FORM = Fixed(16, 10)


def stage(size, n_vocab=11, n_ctx=9, form=FORM, seed=4):
    rng = np.random.default_rng(seed)
    low, high = -(2 ** (form.width - 1)), 2 ** (form.width - 1)
    tokens = rng.integers(low, high, (n_vocab, size))
    positions = rng.integers(low, high, (n_ctx, size)) if n_ctx else None
    tokens[0], tokens[1] = low, high - 1
    return Embed("embed", (), "x", tokens, positions, form)


def run(s, lanes, idle=0.0, corrupt=None, count=12):
    image = embed.image("e", [[s]], lanes)
    for memory, address, flip in corrupt or ():
        image[memory][address] ^= flip
    dut = embed.Embed("e", [s], 1, lanes, TAGS, Memories(image))
    rng = np.random.default_rng(7)
    tokens = [0, 1, len(s.tokens) - 1, *(int(t) for t in rng.integers(0, len(s.tokens), count - 3))]
    n_ctx = 16 if s.positions is None else len(s.positions)
    tags = [{"position": n % n_ctx, "stream": n & 1} for n in range(count)]
    bench = Streams(dut, idle=idle, seed=2)
    notes = watch(bench, dut)
    payloads = [{"token": t, "tag": tag} for t, tag in zip(tokens, tags, strict=True)]
    accepted = bench.source("i", dut.i, payloads)
    cycles = []
    seen = bench.sink("o", dut.o, count * beats(s.output_size, lanes), cycles)
    bench.run()
    got = collected(seen, s.output_size, s.format)
    contexts = [Context(token=t, position=g["position"]) for t, g in zip(tokens, tags, strict=True)]
    want = [execute(s, c, c.token) for c in contexts]
    return got, want, seen, tags, accepted, cycles, notes


@pytest.mark.parametrize("idle", [0.0, 0.4])
@pytest.mark.parametrize("n_ctx", [9, 0])
@pytest.mark.parametrize(
    ("size", "lanes"), [(16, 16), (24, 8), (48, 16), (32, 4), (7, 4), (7, 1), (1, 1), (1, 8)]
)
def test_matches_golden(size, lanes, n_ctx, idle):
    got, want, seen, tags, *_, notes = run(stage(size, n_ctx=n_ctx), lanes, idle)
    check(got, want, seen, tags)
    if not n_ctx:
        assert not notes["saturated"]
    elif size >= 16:
        assert notes["saturated"]


def test_a_wide_format():
    got, want, seen, tags, *_ = run(stage(5, form=Fixed(32, 20)), 4)
    check(got, want, seen, tags)


@pytest.mark.parametrize(("size", "lanes"), [(16, 16), (24, 8), (7, 1)])
def test_latency_and_throughput(size, lanes):
    count = beats(size, lanes)
    *_, accepted, cycles, _ = run(stage(size), lanes)
    assert accepted[0] == count - 1
    assert cycles == list(range(embed.LATENCY, embed.LATENCY + 12 * count))


@pytest.mark.parametrize("memory", ["e.tokens", "e.positions"])
def test_a_corrupted_word_is_caught(memory):
    s = stage(24, n_vocab=2, n_ctx=1)
    s.tokens[:] = 3
    got, want, *_ = run(s, 8, corrupt=[(memory, 1, 1 << 17)])
    assert any((a.mantissa != b.mantissa).any() for a, b in zip(got, want, strict=True))


def test_one_stage_only():
    for jobs, layers in (([], 1), ([stage(4), stage(4)], 1), ([stage(4)], 2)):
        refused("unit e", partial(embed.Embed, "e", jobs, layers, 4, TAGS, Memories()))


def test_rows_begin_at_powers_of_two():
    words = embed.image("e", [[stage(24)]], 8)["e.tokens"]
    assert len(words) == 11 * 4
    assert all(word == 0 for word in words[3::4])
