from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

from golden.numbers import Block, Fixed
from golden.plan import Plan
from golden.quantize import Options, quantize
from golden.stage import Attention, Embed, Exponent, Linear, Norm, Sample, stage_macs
from tests.random_models import CONFIGS, random_checkpoint


@pytest.fixture(scope="module")
def plan():
    return quantize(random_checkpoint(CONFIGS["two layers"]))


def linear(rows=3, columns=5, exponent=-4, **options):
    weights = np.arange(rows * columns).reshape(rows, columns)
    formats = {"source": Fixed(16, 12), "format": Fixed(16, 10)} | options
    return Linear("fc", ("x",), "fc", weights, 8, Exponent(exponent), **formats)


def test_sections_in_the_order_of_execution(plan):
    assert [layer for layer, _ in plan.sections()] == [0, 0, 1, 0]
    names = [stage.name for _, stage in plan.stages()]
    assert names[:3] == ["embed", "norm_embedding", "norm_attention"]
    assert names[-3:] == ["residual_mlp", "logits", "sample"]
    assert plan.template is plan.layers[0]


def test_every_value_is_made_before_it_is_read():
    for name, numbers in (("two layers", "fixed"), ("head norm only", "block")):
        plan = quantize(random_checkpoint(CONFIGS[name]), Options(numbers))
        for _, section in plan.sections():
            made = {section.input}
            for stage in section:
                assert made.issuperset(stage.inputs)
                assert stage.output not in made
                made.add(stage.output)
            assert section.output in made


def test_names_of_taps_are_unique():
    plan = quantize(random_checkpoint(CONFIGS["head norm only"]), Options("block"))
    keys = [(layer, stage.name) for layer, stage in plan.stages()]
    assert len(keys) == len(set(keys))


def test_a_signature_has_shapes_and_kinds_only():
    assert linear().signature() == {
        "kind": "linear", "name": "fc", "inputs": ["x"], "output": "fc", "weights": [3, 5],
        "weight_bits": 8, "weight_exponent": "exponent", "source": "fixed16", "format": "fixed16",
        "scales": None, "minima": None,
    }  # fmt: skip
    same = replace(linear(exponent=9, format=Fixed(16, 3)), weights=np.zeros((3, 5), int))
    assert same.signature() == linear().signature()
    scaled = linear(scales=np.array([1, 2, 3]))
    assert scaled.signature() == linear(scales=np.array([7, 8, 9])).signature()
    for other in (linear(4), linear(format=Block(16)), linear(format=Fixed(32, 10)), scaled):
        assert other.signature() != linear().signature()


def test_every_integer_is_in_the_digest(plan):
    seen = {plan.digest()}
    for k, stage in enumerate(plan.prologue.stages):
        for field in fields(stage):
            value = getattr(stage, field.name)
            if isinstance(value, np.ndarray):
                changed = value.copy()
                changed[-1, -1] ^= 1
            elif isinstance(value, Exponent):
                changed = Exponent(value + 1)
            elif isinstance(value, Fixed):
                changed = replace(value, fraction=value.fraction + 1)
            else:
                continue
            stages = list(plan.prologue.stages)
            stages[k] = replace(stage, **{field.name: changed})
            prologue = replace(plan.prologue, stages=tuple(stages))
            other = replace(plan, prologue=prologue)
            assert other.signature() == plan.signature()
            assert other.digest() not in seen
            seen.add(other.digest())
    # Itself; two tables, an exponent and a format; three exponents and two formats.
    assert len(seen) == 10


def test_layers_have_one_signature(plan):
    shorter = replace(plan.layers[1], stages=plan.layers[1].stages[:-1])
    with pytest.raises(ValueError, match="one signature"):
        replace(plan, layers=(plan.layers[0], shorter))
    with pytest.raises(ValueError, match="one signature"):
        Plan("none", plan.prologue, (), plan.epilogue, 27, 16)


def test_nothing_can_be_changed(plan):
    with pytest.raises(FrozenInstanceError):
        plan.name = "other"
    with pytest.raises(FrozenInstanceError):
        plan.template.stages[1].weights = None


def test_multiply_accumulates(plan):
    weights = 2 * (4 * 24 * 24 + 2 * 24 * 96) + 27 * 24
    for position, attended in ((0, 1), (3, 4), (15, 16), (99, 16)):
        assert plan.macs(position) == weights + 2 * (2 * 24 * attended)


def test_attention_sees_a_window():
    form = Fixed(16, 12)
    stage = Attention("a", ("q", "k", "v"), "a", 2, 3, 4, form, form, form, form)
    assert [stage.attended(p) for p in (0, 2, 3, 4, 1000)] == [1, 3, 4, 4, 4]
    assert stage_macs(stage, 1) == 2 * 6 * 2
    assert stage.output_size == 6


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 16), (2, 17), (4, 576)])
@pytest.mark.parametrize("bits", [2, 8, 16])
def test_no_accumulator_is_wider_than_told(shape, bits):
    weights = np.full(shape, -(2 ** (bits - 1)))
    form = Fixed(16, 0)
    stage = Linear("l", ("x",), "l", weights, bits, Exponent(0), form, form)
    largest = int((weights @ np.full(shape[1], -(2**15)))[0])
    assert largest < 2 ** (stage.accumulator_bits - 1)
    assert stage.macs == shape[0] * shape[1]


@pytest.mark.parametrize("size", [1, 16, 17, 576])
def test_no_sum_of_squares_is_wider_than_told(size):
    form = Fixed(16, 0)
    stage = Norm("n", ("x",), "n", size, Exponent(1), Exponent(0), form, form)
    assert size * 2**30 < 2**stage.square_bits


def test_sizes():
    tokens = np.zeros((27, 6), int)
    assert Embed("e", ("token",), "e", tokens, None, Fixed(16, 0)).output_size == 6
    assert Sample("s", ("x",), "next", 27, Fixed(16, 0)).output_size == 1
