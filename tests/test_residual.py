"""hdl/units/residual.py against golden/stages/residual.py."""

from functools import partial

import numpy as np
import pytest

from golden.numbers import Block, Fixed, Vector
from golden.stage import Residual
from golden.stages import Context
from golden.stages.residual import execute
from hdl.memory import Memories
from hdl.stream import beats
from hdl.units import residual
from tests.units import TAGS, check, drive, refused

FORM = Fixed(16, 10)


def stage(size, branch=FORM, form=FORM):
    return Residual("residual", ("x", "b"), "y", size, branch, form)


def build(jobs, lanes, flip=0):
    image = residual.image("r", jobs)
    if flip:
        image["r.parameters"][0] ^= flip
    layers = max(len(stages) for stages in jobs)
    return residual.Residual(
        "r", [stages[0] for stages in jobs], layers, lanes, TAGS, Memories(image)
    )


def values(size, form, count, seed):
    """Vectors of ``form``; a Block's exponents reach all shifts and beyond both ends."""
    rng = np.random.default_rng(seed)
    low, high = -(2 ** (form.width - 1)), 2 ** (form.width - 1) - 1
    rows = [np.full(size, low), np.full(size, high), np.zeros(size, np.int64), np.full(size, low)]
    rows += [rng.integers(low, high + 1, size) >> rng.integers(0, 12) for _ in range(count - 4)]
    exponents = [-10, -11, 0, -128, 127, -26, -27, -45, *range(-50, 40)]
    exponents = [getattr(form, "exponent", e) for e in exponents]
    return [Vector(row.astype(np.int64), e) for row, e in zip(rows, exponents[:count], strict=True)]


def run(stages, jobs, lanes, xs, branches, tags, **options):
    got, seen, accepted, cycles, notes = drive(
        build(jobs, lanes, options.pop("flip", 0)), {"x": xs, "branch": branches}, tags, lanes,
        stages[0].size, stages[0].format, **options,
    )  # fmt: skip
    context = Context(token=0, position=0)
    want = [execute(s, context, x, b) for s, x, b in zip(stages, xs, branches, strict=True)]
    return got, want, seen, accepted, cycles, notes["saturated"], bool(context.saturated)


@pytest.mark.parametrize("idle", [0.0, 0.4])
@pytest.mark.parametrize("branch", [FORM, Block(16)], ids=str)
@pytest.mark.parametrize(
    ("size", "lanes"), [(16, 16), (24, 8), (48, 16), (32, 4), (7, 4), (7, 1), (1, 8)]
)
def test_matches_golden(size, lanes, branch, idle):
    count = 60 if size * lanes <= 7 else 9
    xs, branches = values(size, FORM, count, 1), values(size, branch, count, 2)
    tags = [{"position": n % 16, "stream": n & 1} for n in range(count)]
    s = stage(size, branch)
    got, want, seen, _, _, held, expected = run(
        [s] * count, [[s]], lanes, xs, branches, tags, idle=idle
    )
    check(got, want, seen, tags)
    assert held == expected


def test_every_alignment():
    s = stage(8, Block(16))
    xs = [Vector(np.arange(-4, 4), -10)] * 256
    odd = np.array([1, -1, 3, -3, 32767, -32768, 12345, -24576])
    branches = [Vector(odd, e) for e in range(-128, 128)]
    got, want, seen, *_ = run([s] * 256, [[s]], 8, xs, branches, [{}] * 256)
    check(got, want, seen, [{}] * 256)


def test_a_wide_stream():
    s = stage(6, Block(16), Fixed(32, 20))
    xs, branches = values(6, s.format, 60, 3), values(6, Block(16), 60, 4)
    got, want, seen, *_ = run([s] * 60, [[s]], 2, xs, branches, [{}] * 60, idle=0.2)
    check(got, want, seen, [{}] * 60)


def test_jobs_and_layers_have_rows_of_their_own():
    grid = [
        [stage(4, Block(16), Fixed(16, f)) for f in (3, 9, 14)],
        [stage(4, Block(16), Fixed(16, 6))],
    ]
    order = [(0, 0), (1, 0), (0, 2), (0, 1), (0, 2), (1, 0)]
    stages = [grid[job][layer] for job, layer in order]
    xs = [Vector(np.array([5, -7, 900, 0]), s.format.exponent) for s in stages]
    branches = [Vector(np.array([111, -333, 7, 20001]), -8)] * 6
    tags = [{"job": job, "layer": layer} for job, layer in order]
    got, want, seen, *_ = run(stages, grid, 2, xs, branches, tags)
    check([Vector(v.mantissa, 0) for v in got], [Vector(v.mantissa, 0) for v in want], seen, tags)


@pytest.mark.parametrize("branch", [FORM, Block(16)], ids=str)
def test_latency_and_throughput(branch):
    s, count = stage(24, branch), beats(24, 8) * 8
    xs, branches = values(24, FORM, 8, 1), values(24, branch, 8, 2)
    *_, accepted, cycles, _, _ = run([s] * 8, [[s]], 8, xs, branches, [{}] * 8)
    assert accepted["x"] == accepted["branch"] == list(range(count))
    assert cycles == list(range(residual.latency(branch), residual.latency(branch) + count))


def test_a_corrupted_word_is_caught():
    s = stage(4, Block(16))
    xs, branches = [Vector(np.arange(4), -10)], [Vector(np.arange(4) * 100, -12)]
    got, want, *_ = run([s], [[s]], 4, xs, branches, [{}], flip=1)
    assert any((a.mantissa != b.mantissa).any() for a, b in zip(got, want, strict=True))


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match=r"Q7\.9"):
        residual.image("r", [[stage(4, Fixed(16, 9))]])
    for jobs in ([], [stage(4), stage(5)], [stage(4), stage(4, Block(16))]):
        refused("unit r", partial(residual.Residual, "r", jobs, 1, 4, TAGS, Memories()))
