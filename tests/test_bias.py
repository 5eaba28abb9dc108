"""hdl/units/bias.py against golden/stages/bias.py, and models that have biases."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from golden.accuracy import integer_logits
from golden.config import LINEARS
from golden.errors import OptionError
from golden.numbers import Block, Fixed, Vector
from golden.quantize import Options, quantize
from golden.schedules.external import PORT_BITS
from golden.stage import Bias, Convert, Residual
from golden.stages import Context
from golden.stages.bias import execute
from hdl.external.biases import Biases
from hdl.memory import Memories
from hdl.stream import beats
from hdl.units import bias
from hdl.weights import Order
from tests.bench import Streams, collected, padded
from tests.external import to_beats
from tests.llama import BASE, CONFIGS, random_llama
from tests.random_models import random_checkpoint
from tests.test_residual import values
from tests.units import TAGS, check, drive, refused

FORM = Fixed(32, 20)


def stage(size, form=FORM, seed=0, peak=1 << 26):
    constant = np.random.default_rng([size, seed]).integers(-peak, peak, size)
    return Bias("bias", ("x",), "y", constant, Block(16), form)


def order(size):
    return Order(tuple(range(size)), tuple(range(size)))


def build(jobs, lanes, orders, fed=False, flip=None):
    orders = None if fed else orders or [order(len(row[0].bias)) for row in jobs]
    image = bias.image("b", jobs, lanes, orders)
    if flip:
        image[flip][0] ^= 1
    layers = [len(row) for row in jobs]
    return bias.Bias("b", [row[0] for row in jobs], layers, lanes, TAGS, Memories(image), orders)


def run(stages, jobs, lanes, xs, tags, fed=False, flip=None, orders=None, **options):
    if fed:
        parts = [padded(s.bias, lanes).reshape(-1, lanes).tolist() for s in stages]
        options["payloads"] = {"biases": [beat for part in parts for beat in part]}
    dut = build(jobs, lanes, orders, fed, flip)
    total = sum(beats(len(x.mantissa), lanes) for x in xs)
    size = total * lanes // len(xs)  # on average
    _, seen, accepted, cycles, notes = drive(
        dut, {"i": xs}, tags, lanes, size, stages[0].format, **options
    )
    whole = collected(seen, total * lanes, stages[0].format)
    got = [
        Vector(v.mantissa[: len(x.mantissa)], s.format.exponent)
        for v, x, s in zip(whole, xs, stages, strict=True)
    ]
    return got, seen, accepted, cycles, notes["saturated"]


def wanted(stages, xs):
    context = Context(token=0, position=0)
    return [execute(s, context, x) for s, x in zip(stages, xs, strict=True)], context


@pytest.mark.parametrize("fed", [False, True], ids=["kept", "fed"])
@pytest.mark.parametrize(
    ("size", "lanes", "idle"), [(48, 16, 0.0), (24, 8, 0.4), (7, 4, 0.0), (7, 1, 0.4), (1, 2, 0.4)]
)
def test_matches_golden(size, lanes, idle, fed):
    count = 60 if lanes == 1 else 9
    xs, s = values(size, Block(16), count, 2), stage(size)
    tags = [{"position": n % 16, "stream": n & 1} for n in range(count)]
    got, seen, *_, held = run([s] * count, [[s]], lanes, xs, tags, fed, idle=idle)
    want, context = wanted([s] * count, xs)
    check(got, want, seen, tags)
    assert held == bool(context.saturated)


@pytest.mark.parametrize("peak", [1 << 10, (1 << 31) - 1])
def test_every_alignment(peak):
    s = stage(4, peak=peak)
    xs = [Vector(np.array([1, -3, 32767, -32768]), e) for e in range(-128, 128)]
    got, seen, *_, held = run([s] * 256, [[s]], 4, xs, [{}] * 256)
    check(got, wanted([s] * 256, xs)[0], seen, [{}] * 256)
    assert held


@pytest.mark.parametrize("fed", [False, True], ids=["kept", "fed"])
def test_jobs_and_layers_have_biases_and_exponents_of_their_own(fed):
    grid = [[stage(7, Fixed(32, f), f) for f in (3, 19, 24)], [stage(16, Fixed(32, 16))]]
    places = [(0, 0), (1, 0), (0, 2), (1, 0), (0, 1), (1, 0)]
    stages = [grid[job][layer] for job, layer in places]
    xs = [Vector(np.arange(len(s.bias)) * 111 - 300, -8) for s in stages]
    tags = [{"job": job, "layer": layer} for job, layer in places]
    got, seen, *_ = run(stages, grid, 4, xs, tags, fed, idle=0.2)
    check(got, wanted(stages, xs)[0], seen, tags)


def test_places_without_an_element_have_no_bias():
    s, places = stage(6), (0, 1, 2, -1, 3, 4, 5, -1)
    x = np.array([5, -7, 900, 0, 1, 2, 3, 0])
    got, *_ = run([s], [[s]], 4, [Vector(x, -9)], [{}], orders=[Order(places, places)])
    used = np.array(places) >= 0
    want = execute(s, Context(0, 0), Vector(x[used], -9))
    assert got[0].mantissa[used].tolist() == want.mantissa.tolist()
    assert not got[0].mantissa[~used].any()


@pytest.mark.parametrize("fed", [False, True], ids=["kept", "fed"])
def test_latency_and_throughput(fed):
    s, count = stage(24), beats(24, 8) * 8
    xs = values(24, Block(16), 8, 2)
    _, _, accepted, cycles, _ = run([s] * 8, [[s]], 8, xs, [{}] * 8, fed)
    assert accepted["i"] == list(range(count))
    assert cycles == list(range(bias.LATENCY, bias.LATENCY + count))


@pytest.mark.parametrize("memory", ["b.biases", "b.parameters"])
def test_a_corrupted_word_is_caught(memory):
    s = stage(4)
    xs = [Vector(np.arange(4) * 100, -12)]
    got, *_ = run([s], [[s]], 4, xs, [{}], flip=memory)
    assert (got[0].mantissa != wanted([s], xs)[0][0].mantissa).any()


def test_what_cannot_share_is_refused():
    for jobs in ([], [stage(4), stage(4, Fixed(16, 10))]):
        make = partial(bias.Bias, "b", jobs, [1] * len(jobs), 4, TAGS, Memories())
        refused("unit b", make)


# Out of an external memory ----------------------------------------------------------------------

SHAPES = [(port, lanes) for port in PORT_BITS for lanes in (1, 2, 4) if 32 * lanes <= port]


def from_memory(sizes, lanes, port, idle=0.0, flip=None):
    """(biases that came, biases that went in, cycles)."""
    rng = np.random.default_rng([*sizes, lanes, port])
    vectors = [rng.integers(-(1 << 31), 1 << 31, size) for size in sizes]
    packed = [b for v in vectors for b in to_beats(v.astype("<i4").tobytes(), port)]
    if flip is not None:
        packed[flip] ^= 1
    dut, cycles = Biases(max(sizes), lanes, port), []
    bench = Streams(dut, idle, seed=port)
    bench.source("i", dut.i, packed)
    want = np.concatenate([padded(v, lanes) for v in vectors])
    seen = bench.sink("o", dut.o, len(want) // lanes, cycles)
    ends = np.cumsum([beats(size, lanes) for size in sizes]) - 1

    async def close(ctx):
        ctx.set(dut.closes, int(0 in ends))
        taken = 0
        async for *_, valid, ready in ctx.tick().sample(dut.o.valid, dut.o.ready):
            taken += valid & ready
            ctx.set(dut.closes, int(taken in ends))

    bench.sim.add_testbench(close, background=True)
    bench.run()
    return np.array([list(p) for p in seen]).ravel(), want, cycles


@pytest.mark.parametrize("idle", [0.0, 0.4])
@pytest.mark.parametrize(("port", "lanes"), [*SHAPES, (16, 1)])
def test_every_bias_comes_in_order(port, lanes, idle):
    got, want, cycles = from_memory((7, 1, 16, 2, 7), lanes, port, idle)
    assert got.tolist() == want.tolist()
    if not idle and port > 16:
        assert cycles == list(range(1, 1 + len(cycles)))


def test_a_flipped_bit_of_the_memory_is_seen():
    got, want, _ = from_memory((8, 8), 2, 128, flip=1)
    assert (got != want).nonzero()[0].tolist() == [4]


def test_a_vector_has_room_while_none_is_taken():
    dut = Biases(32, 2, 128)
    bench = Streams(dut)
    accepted = bench.source("i", dut.i, list(range(9)))
    with pytest.raises(AssertionError, match=r"still wait: \{'i': 1\}"):
        bench.run(50)
    assert accepted == list(range(8))


def test_beats_that_do_not_fit_are_refused():
    for lanes, port in ((8, 128), (2, 32), (2, 16)):
        refused(f"whole number of {lanes} biases", partial(Biases, 16, lanes, port))


# Plans ------------------------------------------------------------------------------------------

ROWS = [Options(), Options(scales="row"), Options(scales="row", cache_bits=8)]


@pytest.mark.parametrize("options", ROWS, ids=["matrix", "row", "row, cache of 8 bits"])
def test_every_bias_is_its_rounded_float(options):
    config = replace(CONFIGS["all biases"], n_kv_head=None)
    plan = quantize(random_llama(config), options)
    tensors = {"project": "attn_wo", "gate": "mlp_gate", "fc1": "mlp_fc1", "fc2": "mlp_fc2"}
    tensors |= {name: f"attn_w{name}" for name in "qkv"}
    source, seen = random_llama(config).tensors, 0
    for layer, stage_ in plan.stages():
        if not isinstance(stage_, Bias):
            continue
        exact = source[f"layer{layer}.{tensors[stage_.inputs[0]]}.bias"].astype(float)
        bound = 0.5
        if stage_.name == "q_bias" and options.scales is None:
            exact, bound = exact * np.log2(np.e) / np.sqrt(config.d_head), 8  # was made in float32
        error = np.ldexp(exact, stage_.format.fraction) - stage_.bias
        assert np.abs(error).max() <= bound, stage_.name
        assert np.abs(stage_.bias).max() < 1 << 28
        seen += 1
    assert seen == 7 * config.n_layer


def test_readers_get_blocks_and_the_stream_gets_its_own_format():
    plan = quantize(random_llama(CONFIGS["all biases"]), Options(scales="row", cache_bits=8))
    by_name = {s.name: s for s in plan.template}
    for name in ("q", "k", "v", "gate", "fc1"):
        made, after = by_name[f"{name}_bias"], by_name[f"block_{name}"]
        assert (made.source, made.format.width) == (Block(16), 32)
        assert isinstance(after, Convert)
        assert (after.inputs, after.source) == ((made.name,), made.format)
        assert after.format == Block(8 if name == "v" else 16)
    for name, branch in (("residual_attention", "project_bias"), ("residual_mlp", "fc2_bias")):
        added = by_name[name]
        assert isinstance(added, Residual)
        assert added.inputs[1] == branch
        assert added.branch == added.format == by_name[branch].format


def test_biases_need_blocks():
    config = replace(BASE, position="none", gated=False, activation="relu", biases=("attn_wo",))
    assert quantize(random_llama(config)).numbers == "block"
    with pytest.raises(OptionError, match=r"numbers is 'fixed', but .* biases .* need blocks"):
        quantize(random_llama(config), Options("fixed"))


def test_large_biases_do_not_saturate():
    # As the keys of published models have them: some hundred times what is added to them.
    checkpoint = random_checkpoint(replace(CONFIGS["all biases"], biases=LINEARS[:3]))
    large = {f"layer{i}.attn_wk.bias": np.full(12, 300, np.float32) for i in range(2)}
    checkpoint = replace(checkpoint, tensors=checkpoint.tensors | large)
    plan, saturated = quantize(checkpoint, Options(scales="row")), set()
    made = {s.name: s for s in plan.template}["k_bias"]
    assert np.ldexp(float(made.bias[3]), -made.format.fraction) == 300.0
    integer_logits(plan, [3, 1, 4, 1, 5, 9], saturated)
    assert not saturated
