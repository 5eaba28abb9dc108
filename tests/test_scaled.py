from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from golden import calibrate
from golden import quantize as module
from golden.accuracy import integer_logits
from golden.balancer import make_schedule
from golden.errors import OptionError, WeftError
from golden.formats import as_they_are
from golden.numbers import Block, Fixed
from golden.quantize import Options, quantize
from golden.reference import sequence_logits
from golden.stage import Attention, Embed, Linear, Norm, Residual, Rope
from golden.zoo.gguf import load
from tests.gguf_files import GROUPED, write
from tests.llama import BASE, CONFIGS, random_llama
from tests.random_models import CONFIGS as OTHERS
from tests.random_models import LLAMA, random_checkpoint

SHAPES = [
    "llama", "one kv head", "as many kv heads", "separate head", "odd sizes", "some biases",
    "all biases",
]  # fmt: skip
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small model from a file of each type."""
    folder, made = tmp_path_factory.mktemp("files"), {}
    for kind in ("F32", "Q8_0", "Q4_0", "Q4_1"):
        path = write(folder / f"{kind}.gguf", random_llama(GROUPED), kind)
        made[kind] = load(path)
    return made


def relative_error(checkpoint, plan, saturated=None):
    """Root mean square of the logits' error, beside that of the logits."""
    saturated = set() if saturated is None else saturated
    expected = sequence_logits(checkpoint, TOKENS)
    integer = integer_logits(plan, TOKENS, saturated)
    return np.sqrt(np.mean((integer - expected) ** 2) / np.mean(expected**2))


def linears(plan):
    return {
        (layer, stage.name): stage for layer, stage in plan.stages() if isinstance(stage, Linear)
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("cache_bits", "bound"), [(16, 0.02), (8, 0.05)])
def test_rows_are_close_to_the_float_model(shape, cache_bits, bound):
    checkpoint, saturated = random_llama(CONFIGS[shape]), set()
    plan = quantize(checkpoint, Options(scales="row", cache_bits=cache_bits))
    assert relative_error(checkpoint, plan, saturated) < bound
    assert not saturated


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1"])
def test_groups_of_a_file_are_close_to_its_float_model(files, kind):
    # Only activations and the head are rounded: its 8-bit rows are most of the difference.
    plan, saturated = quantize(files[kind], Options(scales="group")), set()
    assert relative_error(files[kind], plan, saturated) < 0.01
    assert not saturated
    again = quantize(files["F32"], Options(scales="group"))
    assert 0.05 < relative_error(files["F32"], again) < 0.5  # four bits are few


def test_a_wrong_weight_is_not_close(files):
    plan = quantize(files["Q4_1"], Options(scales="group"))
    tensors = dict(files["Q4_1"].tensors)
    tensors["layer1.mlp_fc2"] = -tensors["layer1.mlp_fc2"]
    assert relative_error(replace(files["Q4_1"], tensors=tensors), plan) > 0.3


@pytest.mark.parametrize("name", ["attn_wq", "attn_wv", "attn_wo", "mlp_gate", "mlp_fc2"])
def test_a_wrong_bias_is_not_close(name):
    checkpoint = random_llama(CONFIGS["all biases"])
    tensor = f"layer0.{name}.bias"
    tensors = checkpoint.tensors | {tensor: -checkpoint.tensors[tensor]}
    plan = quantize(checkpoint, Options(scales="row"))
    assert relative_error(replace(checkpoint, tensors=tensors), plan) > 0.03


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1"])
def test_codes_of_a_file_reach_the_plan(files, kind):
    checkpoint = files[kind]
    found = linears(quantize(checkpoint, Options(scales="group")))
    names = {"q": "attn_wq", "k": "attn_wk", "v": "attn_wv", "project": "attn_wo",
             "gate": "mlp_gate", "fc1": "mlp_fc1", "fc2": "mlp_fc2"}  # fmt: skip
    assert len(found) == 2 * len(names) + 1
    for layer in range(2):
        for stage, tensor in names.items():
            wanted = as_they_are(checkpoint.blocks[f"layer{layer}.{tensor}"])
            linear = found[layer, stage]
            assert (linear.weight_bits, linear.weight_exponent) == (4, 0)
            for field, array in (("weights", wanted.codes), ("scales", wanted.scales),
                                 ("minima", wanted.minima)):  # fmt: skip
                np.testing.assert_array_equal(getattr(linear, field), array)
    assert found[0, "logits"].weight_bits == 8
    assert found[0, "logits"].scales.shape == (GROUPED.n_vocab,)


def test_a_tied_head_is_one_matrix_and_another_is_not():
    for shape, same in (("llama", True), ("separate head", False)):
        plan = quantize(random_llama(CONFIGS[shape]), Options(scales="row"))
        embed, head = plan.prologue.stages[0], plan.epilogue.stages[-2]
        assert (embed.tokens is head.weights) == same
        assert (embed.scales is head.scales) == same
        assert embed.positions is None


@pytest.mark.parametrize("cache_bits", [8, 16])
@pytest.mark.parametrize("scales", ["row", "group"])
def test_formats_and_shapes(files, scales, cache_bits):
    plan = quantize(files["Q4_1"], Options(scales=scales, cache_bits=cache_bits))
    assert (plan.scales, plan.cache_bits, plan.numbers) == (scales, cache_bits, "block")
    by_name = {stage.name: stage for stage in plan.template}
    assert by_name["v"].format == by_name["rotate_k"].format == Block(cache_bits)
    assert by_name["q"].format == by_name["rotate_q"].format == by_name["k"].format == Block(16)
    attention = by_name["attention"]
    assert (attention.key, attention.value) == (Block(cache_bits), Block(cache_bits))
    assert (attention.n_kv_head, attention.scaled, attention.format) == (2, True, Block(16))
    assert by_name["k"].output_size == by_name["rotate_k"].output_size == 32
    for _, stage in plan.stages():
        if isinstance(stage, Norm):
            assert np.abs(stage.gain).max() in range(1 << 14, 1 << 15)
        if isinstance(stage, Residual):
            assert (stage.branch, stage.format) == (Block(16), plan.prologue.stages[0].format)
        if isinstance(stage, Rope):
            assert stage.n_head == {"rotate_q": 6, "rotate_k": 2}[stage.name]
    assert isinstance(plan.prologue.stages[0], Embed)
    assert isinstance(plan.epilogue.stages[-1].source, Fixed)


def test_gains_are_the_rounded_floats():
    checkpoint = random_llama(BASE)
    plan = quantize(checkpoint, Options(scales="row"))
    for layer, stage in plan.stages():
        if isinstance(stage, Norm):
            tensor = stage.name if stage.name == "norm_head" else f"layer{layer}.{stage.name}"
            exact = np.ldexp(checkpoint.tensors[tensor].astype(float), -int(stage.gain_exponent))
            assert np.abs(stage.gain - exact).max() <= 0.5


def test_a_model_without_gains_has_ones():
    config = replace(BASE, norm_gain=False)
    plan = quantize(random_llama(config), Options(scales="row"))
    for _, stage in plan.stages():
        if isinstance(stage, Norm):
            assert {Fraction(int(g)) * Fraction(2) ** int(stage.gain_exponent)
                    for g in stage.gain} == {1}  # fmt: skip


def test_scales_are_in_the_digest_and_not_in_the_signature(files):
    plan = quantize(files["Q4_1"], Options(scales="group"))
    seen = {plan.digest()}
    for field in ("scales", "minima", "weights"):
        stages = list(plan.layers[1].stages)
        at = next(n for n, stage in enumerate(stages) if stage.name == "fc1")
        changed = getattr(stages[at], field).copy()
        changed[-1, -1] ^= 1
        stages[at] = replace(stages[at], **{field: changed})
        layer = replace(plan.layers[1], stages=tuple(stages))
        other = replace(plan, layers=(plan.layers[0], layer))
        assert other.signature() == plan.signature()
        seen.add(other.digest())
    assert len(seen) == 4
    assert quantize(files["Q4_1"], Options(scales="group")).digest() in seen
    kinds = [Options(scales="group"), Options(scales="row"), Options(scales="row", cache_bits=8)]
    signatures = [quantize(files["Q4_1"], options).signature() for options in kinds]
    assert signatures[0] != signatures[1] != signatures[2] != signatures[0]
    other = quantize(files["Q4_0"], Options(scales="group")).signature()
    assert other == signatures[0]


# What a model needs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "scales"), [("F32", "row"), ("Q8_0", "row"), ("Q4_0", "group"), ("Q4_1", "group")]
)
def test_large_models_have_the_scales_of_their_files(files, kind, scales, monkeypatch):
    assert quantize(files[kind]).scales == "matrix"
    monkeypatch.setattr(module, "LARGE", files[kind].config.parameters)
    plan = quantize(files[kind])
    assert (plan.scales, plan.cache_bits) == (scales, 16)
    assert quantize(files[kind], Options(scales="matrix")).scales == "matrix"


def test_one_matrix_that_has_no_groups_makes_rows(files, monkeypatch):
    monkeypatch.setattr(module, "LARGE", 0)
    blocks = dict(files["Q4_1"].blocks)
    assert quantize(replace(files["Q4_1"], blocks=blocks)).scales == "group"
    del blocks["layer1.attn_wo"]
    assert quantize(replace(files["Q4_1"], blocks=blocks)).scales == "row"


def test_models_outside_the_family_have_matrices(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 0)
    for config in (OTHERS["microgpt"], LLAMA["rotary positions"], LLAMA["gains"]):
        plan = quantize(random_checkpoint(config))
        assert (plan.scales, plan.cache_bits) == ("matrix", 16)


# What is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["microgpt", "two layers", "gelu", "rotary positions", "gains", "window"]
)
@pytest.mark.parametrize("scales", ["row", "group"])
def test_other_families_are_refused(name, scales):
    checkpoint = random_checkpoint((OTHERS | LLAMA)[name])
    with pytest.raises(OptionError, match=f"^scales is '{scales}', which is for .* llama family"):
        quantize(checkpoint, Options(scales=scales))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scales": "row", "numbers": "fixed"}, "numbers is 'fixed', but rotary positions, gated"),
        ({"scales": "matrix", "cache_bits": 8}, "cache_bits is 8; with scales of matrices "),
        ({"cache_bits": 8}, "cache_bits is 8; with scales of matrices expected 16"),
        ({"scales": "row", "weight_bits": 4}, "weight_bits is 4, but rows have 8-bit weights "),
        ({"scales": "group", "weight_bits": 4}, "weight_bits is 4, but rows have 8-bit weights "),
    ],
)
def test_options_that_contradict_each_other(options, sentence):
    with pytest.raises(OptionError, match=f"^{sentence}"):
        quantize(random_llama(BASE), Options(**options))


def test_rows_that_are_no_whole_groups():
    with pytest.raises(WeftError, match=r"^the rows of layer0\.attn_wq have 24 weights; 4-bit"):
        quantize(random_llama(BASE), Options(scales="group"))
    config = replace(GROUPED, d_ff=144)
    with pytest.raises(WeftError, match=r"^the rows of layer0\.mlp_fc2 have 144 weights; 4-bit"):
        quantize(random_llama(config), Options(scales="group"))
    assert quantize(random_llama(config), Options(scales="row"))


@pytest.mark.parametrize("scales", ["row", "group"])
@pytest.mark.parametrize("schedule", ["folded", "pipelined", "serial"])
def test_schedules_that_know_no_scales(files, schedule, scales):
    plan = quantize(files["Q4_1"], Options(scales=scales))
    with pytest.raises(OptionError) as error:
        make_schedule(plan, schedule, 64)
    assert str(error.value) == (
        f"schedule is '{schedule}', which knows scales of matrices, and here every {scales} of "
        "weights has one; expected the schedule 'external' or scales of matrices"
    )


# The residual stream ----------------------------------------------------------------------------


def test_a_stream_that_is_too_narrow_is_reported(monkeypatch):
    monkeypatch.setattr(calibrate, "HEADROOM", 2.0**-6)
    checkpoint, saturated = random_llama(BASE), set()
    relative_error(checkpoint, quantize(checkpoint, Options(scales="row")), saturated)
    assert {name for _, name in saturated} & {"residual_attention", "residual_mlp", "embed"}


def test_attention_of_every_layer_keeps_its_window():
    config = replace(BASE, window=4)
    plan = quantize(random_llama(config), Options(scales="row"))
    slots = {stage.slots for _, stage in plan.stages() if isinstance(stage, Attention)}
    assert slots == {4}
    assert relative_error(random_llama(config), plan) < 0.03
