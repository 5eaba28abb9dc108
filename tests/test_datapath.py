"""The picture of a core: its units, memories, values and arrays are those of the schedule."""

from io import BytesIO
from xml.etree import ElementTree

import pytest

from golden.balancer import make_schedule
from golden.datapath import GENERATOR, make_datapath
from golden.draw_datapath import draw_datapath
from tests.test_draw import CASES, MODELS

pictures = pytest.mark.parametrize(("model", "schedule"), CASES)


def made(model, name="folded", **options):
    schedule = make_schedule(MODELS[model], name, 64, **options)
    return schedule, make_datapath(MODELS[model], schedule)


@pictures
def test_every_unit_of_a_layer_and_every_value_is_there(model, schedule):
    chosen, datapath = made(model, schedule)
    blocks = {block.name: block for block in datapath.blocks}
    drawn = {name for (section, _), name in chosen.binding if section in
             ("prologue", "layer0", "epilogue")}  # fmt: skip
    assert set(blocks) == drawn | {GENERATOR}
    for (section, stage), unit in chosen.binding:
        if unit in drawn:
            assert stage in blocks[unit].stages, section
    for block in datapath.blocks:
        assert block.inputs, block.name
        for source, _ in block.inputs:
            assert source in datapath.tracks
    arrays = {block.array for block in datapath.blocks} - {None}
    assert set(datapath.arrays) == arrays
    for name, users in chosen.arrays().items():
        assert name not in arrays or datapath.arrays[name] == max(
            user.multipliers for user in users
        )


def test_the_folded_core():
    _, datapath = made("fixed")
    blocks = {block.name: block for block in datapath.blocks}
    assert list(datapath.arrays.values()) == [64]
    assert blocks["linear"].memories == ("3,504 weights, 8 bits",)
    assert blocks["attention"].memories == (
        "KV cache, 2 × 16 × 16", "softmax: 2 exp2 tables", "softmax: reciprocal table",
    )  # fmt: skip
    assert [source for source, queued in blocks["residual"].inputs if queued] == [
        "norm",
        "residual",
    ]
    assert dict(blocks["sample"].inputs) == {"linear": False, GENERATOR: False}
    assert dict(blocks[GENERATOR].inputs) == {"sample": False}
    assert datapath.tracks["linear"][0] == "q"


def test_several_streams_wait_where_units_are_shared():
    _, datapath = made("fixed", streams=2)
    blocks = {block.name: block for block in datapath.blocks}
    assert all(queued for name in ("norm", "linear") for _, queued in blocks[name].inputs)
    assert dict(blocks["embed"].inputs) == {GENERATOR: False}


def test_a_memory_beside_the_chip():
    """The whole model in it, every layer counted, and tables alone on the chip."""
    _, datapath = made("rows", "external")
    plan, blocks = MODELS["rows"], {block.name: block for block in datapath.blocks}
    stages = [stage for _, stage in plan.stages()]
    weights = sum(s.weights.size for s in stages if s.kind == "linear")
    gains = sum(s.size for s in stages if s.kind == "norm")
    attention = next(s for s in stages if s.kind == "attention")
    cache = f"{attention.slots} × {attention.kv_heads * attention.d_head}"
    assert datapath.port == 128
    assert {name: block.outside for name, block in blocks.items() if block.outside} == {
        "embed": (f"a row of {plan.prologue.stages[0].output_size}",),
        "norm": (f"{gains} gains",),
        "linear": (f"{weights:,} weights, 8 bits",),
        "attention": (f"KV cache, {2 * len(plan.layers)} × {cache}",),
    }
    assert blocks["linear"].memories == blocks["embed"].memories == ()
    assert blocks["attention"].memories == ("softmax: 1 exp2 table", "softmax: reciprocal table")


def test_biases_are_kept_or_outside():
    for model, schedule in (("biases", "folded"), ("biased rows", "external")):
        _, datapath = made(model, schedule)
        blocks = {block.name: block for block in datapath.blocks}
        stages = [s for _, s in MODELS[model].stages() if s.kind == "bias"]
        told = f"{sum(s.bias.size for s in stages)} biases"
        kept, outside = ((), (told,)) if schedule == "external" else ((told,), ())
        assert (blocks["bias"].memories, blocks["bias"].outside) == (kept, outside)


def test_layers_that_share_a_datapath_have_their_weights_in_it():
    _, datapath = made("block")
    weights = sum(s.weights.size for _, s in MODELS["block"].stages() if s.kind == "linear")
    linear = next(block for block in datapath.blocks if block.name == "linear")
    assert linear.memories == (f"{weights:,} weights, 8 bits",)


@pictures
def test_the_svg_has_them(model, schedule):
    _, datapath = made(model, schedule)
    files = BytesIO(), BytesIO()
    for file in files:
        draw_datapath(file, datapath, "svg")
    assert files[0].getvalue() == files[1].getvalue()
    root = ElementTree.fromstring(files[0].getvalue())
    names = {element.get("id") for element in root.iter() if element.get("id")}
    for block in datapath.blocks:
        assert f"unit:{block.name}" in names
        assert f"track:{block.name}" in names
    assert {f"array:{name}" for name in datapath.arrays} <= names
    assert ("memory" in names) == (schedule == "external")
