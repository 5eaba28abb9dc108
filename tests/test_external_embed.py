"""hdl/external/embed.py against golden/stages/embed.py."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from golden.formats import half_integers
from golden.numbers import Fixed
from golden.schedules.external import PORT_BITS
from golden.stage import Embed, Exponent
from golden.stages import Context
from golden.stages.embed import execute
from hdl.external import embed
from hdl.memory import Memories
from hdl.stream import beats
from tests.bench import Streams, collected
from tests.external import token_row
from tests.units import TAGS, OnArray, check, refused, rival, watch

FORM = Fixed(32, 20)
SHAPES = [(port, lanes) for port in PORT_BITS for lanes in (1, 2, 4, 8, 16) if 8 * lanes <= port]


def stage(size, n_vocab=11, form=FORM, exponent=-4, seed=4):
    """Extreme codes and scales first, subnormal ones and negative ones among the rest."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(-128, 128, (n_vocab, size)).astype(np.int8)
    tokens[0], tokens[1] = -128, 127
    scales = rng.standard_normal(n_vocab).astype(np.float16)
    extremes = np.array([65504, -65504, 2.0**-24, -1023 * 2.0**-24, 0], dtype=np.float16)
    scales[: len(extremes)] = extremes[:n_vocab]
    return Embed(
        "embed", ("token",), "embed", tokens, None, form, half_integers(scales), Exponent(exponent)
    )


def run(s, lanes, port, idle=0.0, greed=0.0, count=14, flip=None):
    image = embed.image("e", [[s]])
    dut = embed.Embed("e", [s], 1, lanes, port, TAGS, Memories(image))
    on_array = OnArray(dut)
    order = np.random.default_rng(7).integers(0, len(s.tokens), count)
    tokens = [*range(len(s.tokens)), *order.tolist()][:count]
    tags = [{"position": n % 16, "stream": n & 1} for n in range(count)]
    bench = Streams(on_array, idle, seed=2)
    if greed:
        rival(bench, on_array.array, greed, seed=3)
    notes = watch(bench, dut)
    requests = [{"token": t, "tag": tag} for t, tag in zip(tokens, tags, strict=True)]
    accepted = bench.source("i", dut.i, requests)
    rows = [b for t in tokens for b in token_row(s, t, port)]
    if flip:
        rows[flip[0]] ^= 1 << flip[1]
    bench.source("rows", dut.rows, rows)
    cycles = []
    seen = bench.sink("o", dut.o, count * beats(s.output_size, lanes), cycles)
    bench.run()
    context = Context(token=0, position=0)
    want = [execute(s, context, t) for t in tokens]
    got = collected(seen, s.output_size, s.format)
    assert notes["saturated"] == bool(context.saturated) or flip
    return SimpleNamespace(
        got=got, want=want, seen=seen, tags=tags, accepted=accepted, cycles=cycles
    )


def held_to_golden(*shape, **options):
    ran = run(*shape, **options)
    check(ran.got, ran.want, ran.seen, ran.tags)
    return ran


@pytest.mark.parametrize(("port", "lanes"), SHAPES)
def test_matches_golden(port, lanes):
    held_to_golden(stage(19), lanes, port)


@pytest.mark.parametrize(
    ("size", "port", "lanes"), [(16, 128, 16), (7, 64, 2), (1, 32, 4), (24, 16, 1)]
)
def test_stalls_and_a_contended_array(size, port, lanes):
    held_to_golden(stage(size), lanes, port, idle=0.4, greed=0.4)


@pytest.mark.parametrize(
    ("form", "exponent"),
    [(Fixed(32, 28), -4), (Fixed(32, 0), -8), (Fixed(16, 10), -7), (Fixed(32, 29), -60)],
    ids=str,
)
def test_formats(form, exponent):
    ran = held_to_golden(stage(9, form=form, exponent=exponent), 4, 64)
    assert any(v.mantissa.any() for v in ran.got) == (exponent > -60)


def test_ties_go_to_the_even_one():
    codes = np.array([[1, 2, 3, 5, -1, -3, -5, 7]], dtype=np.int8)
    s = Embed("e", (), "e", codes, None, Fixed(32, 0), np.array([1 << 23]), Exponent(0))
    assert run(s, 4, 64, count=1).got[0].mantissa.tolist() == [0, 1, 2, 2, 0, -2, -2, 4]


def test_the_last_beat_is_filled_with_zeros():
    last = run(stage(9), 4, 128, count=1).seen[-1]
    assert last.data[0] != 0
    assert list(last.data)[1:] == [0, 0, 0]


@pytest.mark.parametrize(("size", "port", "lanes"), [(16, 128, 4), (19, 32, 4), (7, 16, 1)])
def test_latency_and_throughput(size, port, lanes):
    ran = run(stage(size), lanes, port, count=5)
    count = beats(size, lanes)
    starts = [n * (1 + count) for n in range(5)]
    assert ran.accepted == starts
    assert ran.cycles == [start + embed.LATENCY + k for start in starts for k in range(count)]


@pytest.mark.parametrize(("beat", "bit"), [(0, 11), (1, 3)])
def test_a_flipped_bit_is_caught(beat, bit):
    s = replace(stage(16), scales=half_integers(np.ones(11)))
    ran = run(s, 4, 64, count=1, flip=(beat, bit))
    assert (ran.got[0].mantissa != ran.want[0].mantissa).any()


def test_what_cannot_be_built_is_refused():
    s = stage(8)

    def build(jobs, layers=1, lanes=4, port=64):
        return partial(embed.Embed, "e", jobs, layers, lanes, port, TAGS, Memories())

    refused("one embedding", build([s, s]))
    refused("one embedding", build([s], layers=2))
    refused("lanes", build([s], lanes=16))
    refused("no scales", build([replace(s, scales=None)]))
    with pytest.raises(ValueError, match="finer"):
        embed.image("e", [[stage(8, form=Fixed(32, 30), exponent=0)]])
