"""hdl/external/matrix.py: what a walk says of every beat, against the layout."""

import random

import numpy as np
import pytest

from golden.blocks import GROUP
from golden.numbers import Block
from golden.schedules.external import CODE_BITS, PORT_BITS
from golden.stage import UNITY, Linear
from hdl.external.layout import HALF, Rows, tensor_layout
from hdl.external.matrix import Walk
from tests.bench import Streams

SHAPES = [(5, 64, True), (7, 9, False), (3, 32, True), (9, 40, False), (1, 1, False)]


def stage(rows, columns, grouped):
    scales = np.ones((rows, columns // GROUP) if grouped else rows, dtype=np.int64)
    codes = np.zeros((rows, columns), dtype=np.int8)
    return Linear(
        "s", ("x",), "y", codes, 8, UNITY, Block(), Block(), scales, scales if grouped else None
    )


def described(form, groups, rng):
    """(beats of the matrix, what is to be said of every beat of codes)."""
    is_rows = isinstance(form, Rows)
    lanes, width = form.port // CODE_BITS, 2 * CODE_BITS if is_rows else CODE_BITS
    each = form.row_beats if is_rows else form.group_beats
    header = 1 if is_rows else form.head_beats
    beats, told = [], []
    for first in range(0, form.rows * groups, form.tile):
        scales = [rng.getrandbits(HALF if is_rows else 2 * HALF) for _ in range(form.tile)]
        word = sum(s << k * (HALF if is_rows else 2 * HALF) for k, s in enumerate(scales))
        beats += [word >> k * form.port & (1 << form.port) - 1 for k in range(header)]
        for place in range(first, min(first + form.tile, form.rows * groups)):
            group = place % groups
            for beat in range(each):
                codes, element = (
                    rng.getrandbits(form.port),
                    group * GROUP + beat * form.port // width,
                )
                beats.append(codes)
                told.append(
                    {
                        "codes": codes,
                        "word": element // lanes,
                        "half": element % lanes // (lanes // 2) if is_rows else 0,
                        "group": group,
                        "scale": scales[place - first],
                        "first": beat == 0,
                        "last": beat == each - 1,
                        "opens": beat == 0 and group == 0,
                        "closes": beat == each - 1 and group == groups - 1,
                    }
                )
    assert len(beats) == form.beats
    return beats, told


def run(port, shapes, order, idle, flip=None):
    """(what was told, what should have been, cycles in which beats were taken, matrices)."""
    jobs, rng = [stage(*shape) for shape in shapes], random.Random(port)
    parts = [
        described(tensor_layout(jobs[j], port), shapes[j][1] // GROUP if shapes[j][2] else 1, rng)
        for j in order
    ]
    sent = [beat for beats, _ in parts for beat in beats]
    if flip:
        sent[flip[0]] ^= 1 << flip[1]
    dut = Walk(jobs, port)
    bench = Streams(dut, idle, seed=port)

    async def begin(ctx):
        for job in order:
            ctx.set(dut.job, job)
            ctx.set(dut.go, 1)
            await ctx.tick()
            ctx.set(dut.go, 0)
            ctx.set(dut.job, 0)  # it is looked at with `go` only
            await ctx.tick().until(~dut.busy)

    bench.sim.add_testbench(begin)
    accepted = bench.source("i", dut.i, sent)
    want = [told for _, each in parts for told in each]
    seen = bench.sink("o", dut.o, len(want))
    bench.run()
    got = [
        {name: p.scale.as_bits() if name == "scale" else int(getattr(p, name)) for name in want[0]}
        for p in seen
    ]
    return got, want, accepted, [len(beats) for beats, _ in parts]


@pytest.mark.parametrize("idle", [0.0, 0.4])
@pytest.mark.parametrize("port", PORT_BITS)
def test_every_beat_is_told(port, idle):
    got, want, *_ = run(port, SHAPES, [0, 1, 2, 3, 4, 1, 0], idle)
    for n, (a, b) in enumerate(zip(got, want, strict=True)):
        assert a == b, f"beat {n} of codes"


def test_a_beat_a_cycle():
    _, _, accepted, counts = run(64, SHAPES, [0, 1, 3], 0.0)
    for count in counts:
        part, accepted = accepted[:count], accepted[count:]
        assert part == list(range(part[0], part[0] + count))


@pytest.mark.parametrize(("beat", "name"), [(0, "scale"), (2, "codes")])
def test_a_flipped_bit_is_seen(beat, name):
    got, want, *_ = run(128, SHAPES, [0], 0.0, flip=(beat, 9))
    (wrong,) = [(a, b) for a, b in zip(got, want, strict=True) if a != b]
    assert {key for key in wrong[0] if wrong[0][key] != wrong[1][key]} == {name}
