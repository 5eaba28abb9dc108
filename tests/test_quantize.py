from dataclasses import replace

import numpy as np
import pytest

from golden import calibrate, zoo
from golden.accuracy import integer_logits
from golden.balancer import make_schedule
from golden.errors import WeftError
from golden.graph import lower
from golden.model import Checkpoint
from golden.numbers import Block, Fixed
from golden.quantize import NUMBERS, Options, norm_format, quantize
from golden.reference import sequence_logits
from golden.stage import Activation, Attention, Bias, Convert, Embed, Linear, Norm, Residual
from golden.stages.sample import LOGIT_FRACTION
from hdl.build import memory_image
from tests.random_models import BASE, CONFIGS, LLAMA, random_checkpoint, random_tokens

ALL = CONFIGS | LLAMA
CASES = [
    (name, numbers)
    for name, config in CONFIGS.items()
    for numbers in NUMBERS
    if (config.activation, numbers) != ("gelu", "block")
] + [(name, "block") for name in LLAMA]


def plan_of(name, numbers="fixed", weight_bits=8, seed=0):
    return quantize(random_checkpoint(ALL[name], seed), Options(numbers, weight_bits))


def relative_error(checkpoint, plan, saturated=None):
    """Root mean square of the logits' error, beside that of the logits."""
    saturated = set() if saturated is None else saturated
    tokens = random_tokens(checkpoint.config, 3)
    expected = sequence_logits(checkpoint, tokens)
    integer = np.stack([integer_logits(plan, text, saturated) for text in tokens])
    return np.sqrt(np.mean((integer - expected) ** 2) / np.mean(expected**2))


@pytest.mark.parametrize(("name", "numbers"), CASES)
@pytest.mark.parametrize(("weight_bits", "bound"), [(8, 0.05), (16, 0.005)])
def test_the_integer_model_is_close_to_the_float_model(name, numbers, weight_bits, bound):
    checkpoint, saturated = random_checkpoint(ALL[name]), set()
    plan = quantize(checkpoint, Options(numbers, weight_bits))
    assert relative_error(checkpoint, plan, saturated) < bound
    assert not saturated


def test_a_wrong_weight_is_not_close():
    checkpoint = random_checkpoint(BASE)
    other = dict(checkpoint.tensors) | {"lm_head": -checkpoint.tensors["lm_head"]}
    assert relative_error(replace(checkpoint, tensors=other), quantize(checkpoint)) > 1


@pytest.mark.parametrize(("name", "numbers"), CASES)
def test_formats_of_values_meet(name, numbers):
    plan = plan_of(name, numbers)
    for layer, section in plan.sections():
        made = {} if layer == 0 and section is plan.prologue else {"x": stream_of(plan)}
        for stage in section:
            reads = {
                Linear: ("source",), Norm: ("source",), Convert: ("source",),
                Attention: ("query", "key", "value"), Residual: ("format", "branch"),
                Activation: ("format",), Bias: ("source",),
            }.get(type(stage), ())  # fmt: skip
            for value, field in zip(stage.inputs, reads, strict=False):
                assert made[value] == getattr(stage, field), (stage.name, field)
            made[stage.output] = getattr(stage, "format", None)


def stream_of(plan):
    (form,) = {s.format for section in plan.layers for s in section if isinstance(s, Residual)}
    return form


@pytest.mark.parametrize("name", [n for n, numbers in CASES if numbers == "fixed"])
@pytest.mark.parametrize("weight_bits", [2, 8, 16])
def test_fixed_branches_have_the_exponent_of_the_stream_and_shifts_go_right(name, weight_bits):
    plan = plan_of(name, weight_bits=weight_bits)
    assert plan.prologue.stages[-1].format == stream_of(plan)
    for _, stage in plan.stages():
        if isinstance(stage, Residual):
            assert stage.branch == stage.format
        if isinstance(stage, Linear):
            assert stage.source.fraction - int(stage.weight_exponent) >= stage.format.fraction
        if isinstance(stage, Attention):
            assert stage.format == stage.value
        if isinstance(stage, Norm):
            assert stage.format.fraction <= norm_format(stage.size).fraction


def test_a_tiny_value_does_not_shift_left():
    # v cancels to nothing, so its calibrated format is finer than its exact products.
    old = random_checkpoint(BASE).tensors
    v = np.zeros((16, 16), np.float32)
    v[:, 0], v[:, 1] = 1, -1
    wte, wpe = (np.repeat(old[n][:, :1], 16, axis=1) for n in ("wte", "wpe"))
    small = {"layer0.mlp_fc2": old["layer0.mlp_fc2"] / 64, "wte": wte, "wpe": wpe}
    large = {"layer0.attn_wv": v, "layer0.attn_wo": old["layer0.attn_wo"] * 8}
    checkpoint = replace(random_checkpoint(BASE), tensors=dict(old) | small | large)
    plan = quantize(checkpoint, Options(weight_bits=2))
    for _, stage in plan.stages():
        if isinstance(stage, Linear):
            assert stage.source.fraction - int(stage.weight_exponent) >= stage.format.fraction


def test_block_keeps_the_stream_in_32_static_bits():
    plan = plan_of("two layers", "block")
    assert stream_of(plan).width == 32
    for _, stage in plan.stages():
        if isinstance(stage, Residual):
            assert stage.branch == Block(16)
        elif isinstance(stage, Linear | Norm | Attention | Activation):
            assert stage.format == Block(16)
    assert isinstance(plan.epilogue.stages[-1].source, Fixed)


@pytest.mark.parametrize(("name", "numbers"), CASES)
def test_weights_use_their_bits_and_no_more(name, numbers):
    for bits in (4, 8, 16):
        for _, stage in plan_of(name, numbers, bits).stages():
            if isinstance(stage, Linear):
                assert stage.weight_bits == bits
                assert 2 ** (bits - 2) <= np.abs(stage.weights).max() <= 2 ** (bits - 1)
                assert stage.weights.max() < 2 ** (bits - 1)


def test_weights_are_the_rounded_floats():
    checkpoint = random_checkpoint(BASE)
    nodes = {n.name: n for n in lower(checkpoint).layers[0]}
    for stage in quantize(checkpoint).layers[0]:
        if isinstance(stage, Linear):
            exact = np.ldexp(nodes[stage.name].weights["w"].astype(float), -stage.weight_exponent)
            assert np.abs(stage.weights - exact).max() <= 1  # 1 only at the positive limit
            assert np.abs(stage.weights - exact)[stage.weights < 127].max() <= 0.5


@pytest.mark.parametrize("numbers", NUMBERS)
def test_signatures_tell_shapes_and_digests_tell_values(numbers):
    one, again, other = (plan_of("two layers", numbers, seed=seed) for seed in (0, 0, 9))
    assert one.signature() == again.signature() == other.signature()
    assert one.digest() == again.digest() != other.digest()
    louder = quantize(random_checkpoint(CONFIGS["two layers"], scale=8.0), Options(numbers))
    assert louder.signature() == one.signature()
    assert plan_of("microgpt", numbers).signature() != one.signature()
    assert plan_of("two layers", numbers, 7).signature() != one.signature()


def test_saturation_is_flagged(monkeypatch):
    checkpoint, saturated = random_checkpoint(BASE, scale=8), set()
    monkeypatch.setattr(calibrate, "HEADROOM", 1 / 8)
    plan = quantize(checkpoint)
    relative_error(checkpoint, plan, saturated)
    names = {name for _, name in saturated}
    assert {"q", "k", "v", "fc1", "logits"} <= names
    assert names & {"residual_attention", "residual_mlp", "project", "fc2"}


def test_zero_weights_are_no_trouble():
    config = CONFIGS["two layers"]
    tensors = {name: np.zeros(shape, np.float32) for name, shape in config.shapes.items()}
    checkpoint = Checkpoint(config, tensors, tuple(map(str, range(27))), "zero")
    for numbers in NUMBERS:
        assert not integer_logits(quantize(checkpoint, Options(numbers)), [1, 2], set()).any()


def scaled(exponent, *names):
    """The preset with some of its matrices, or all, times a power of two."""
    source = zoo.load("microgpt")
    tensors = {
        name: np.ldexp(w, exponent) if not names or name in names else w
        for name, w in source.tensors.items()
    }
    return replace(source, tensors=tensors)


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize(
    ("exponent", "names"),
    [(-16, ["lm_head"]), (60, ["lm_head"]), (-10, []), (-60, []), (8, ["layer0.attn_wq"])],
)
def test_weights_of_any_size_become_words(exponent, names, numbers):
    plan = quantize(scaled(exponent, *names), Options(numbers))
    assert memory_image(plan, make_schedule(plan))
    logits = plan.epilogue.stages[-1].source
    assert logits.fraction <= LOGIT_FRACTION


@pytest.mark.parametrize(("exponent", "names"), [(6, []), (12, ["layer0.attn_wk"])])
def test_scores_beyond_reason_are_refused(exponent, names):
    with pytest.raises(WeftError, match=r"^layer0\.attn_wq and attn_wk: queries reach [\d.e+]+ "):
        quantize(scaled(exponent, *names))
    assert quantize(scaled(exponent, *names), Options("block"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"numbers": "float"}, "numbers is 'float'; expected one of fixed, block"),
        ({"weight_bits": 1}, "weight_bits is 1; expected 2 to 16"),
        ({"weight_bits": 17}, "weight_bits is 17; expected 2 to 16"),
        ({"weight_bits": 8.5}, "weight_bits is 8.5; expected 2 to 16"),
        ({"scales": "column"}, "scales is 'column'; expected one of matrix, row, group"),
        ({"cache_bits": 12}, "cache_bits is 12; expected 8 or 16"),
    ],
)
def test_options_refused(options, sentence):
    with pytest.raises(WeftError, match=sentence):
        Options(**options)


def test_gelu_needs_static_formats():
    with pytest.raises(WeftError, match="numbers is 'block', but GELU needs static formats"):
        plan_of("gelu", "block")


def test_the_kind_of_number_that_a_model_needs():
    assert quantize(random_checkpoint(BASE)).numbers == "fixed"
    assert quantize(random_checkpoint(LLAMA["gains"])).numbers == "fixed"
    assert quantize(random_checkpoint(LLAMA["gated"])).numbers == "block"


@pytest.mark.parametrize("name", ["rotary positions", "gated", "llama"])
def test_rotary_positions_and_gates_need_blocks(name):
    with pytest.raises(WeftError, match="numbers is 'fixed', but rotary positions, gated MLPs"):
        plan_of(name, "fixed")


def test_presets_become_plans():
    plan = quantize(zoo.load("ailang"))
    assert (plan.n_ctx, plan.n_vocab, plan.template.stages[4].slots) == (None, 1000, 4)
    embed = quantize(zoo.load("microgpt")).prologue.stages[0]
    assert isinstance(embed, Embed)
    assert embed.positions.shape == (16, 16)
