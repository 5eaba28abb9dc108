import re
from io import BytesIO
from xml.etree import ElementTree

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from golden.balancer import make_schedule
from golden.cards import Work, bound_cycles, cards, facts, mermaid, named_sections
from golden.diagram import CARD, columns, make_diagram
from golden.draw import draw, paint
from golden.quantize import Options, quantize
from golden.schedule import SCHEDULES
from tests.random_models import CONFIGS, LLAMA, random_checkpoint

MODELS = {
    "fixed": quantize(random_checkpoint(CONFIGS["microgpt"])),
    "block": quantize(random_checkpoint(CONFIGS["two layers"]), Options("block")),
    "window": quantize(random_checkpoint(CONFIGS["window"])),
    "llama": quantize(random_checkpoint(LLAMA["llama"])),
    "head": quantize(random_checkpoint(CONFIGS["head norm only"])),
    "rows": quantize(random_checkpoint(LLAMA["llama"]), Options(scales="row")),
    "biases": quantize(random_checkpoint(LLAMA["biases of attention"])),
    "biased rows": quantize(random_checkpoint(LLAMA["all biases"]), Options(scales="row")),
}
# Scales of rows are for an external memory, and that for such scales.
CASES = [
    (model, schedule)
    for model in MODELS
    for schedule in SCHEDULES
    if (schedule == "external") == model.endswith("rows")
]
CASES.remove(("block", "serial"))  # which knows static formats only
CASES.remove(("llama", "serial"))
CASES.remove(("biases", "serial"))
pictures = pytest.mark.parametrize(("model", "schedule"), CASES)


def picture(model, schedule="folded", **busy):
    plan = MODELS[model]
    seen = {name: Work(cycles, 0, 0) for name, cycles in busy.items()}
    return plan, make_diagram(plan, make_schedule(plan, schedule, 64), seen)


def stages_of(plan):
    """Key and inputs of every stage that is drawn."""
    schedule = make_schedule(plan, "folded" if plan.scales == "matrix" else "external")
    return {
        f"{section}.{stage.name}": stage
        for section, _, stages in named_sections(plan, schedule)
        for stage in stages
    }


@pictures
def test_the_svg_has_every_stage_and_every_value(model, schedule):
    plan, diagram = picture(model, schedule)
    file = BytesIO()
    draw(file, diagram, "svg")
    root = ElementTree.fromstring(file.getvalue())
    ids = {element.get("id") for element in root.iter()}
    texts = {"".join(e.itertext()).strip() for e in root.iter("{http://www.w3.org/2000/svg}text")}
    for key, stage in stages_of(plan).items():
        assert key in ids
        assert stage.name in texts
        for value in stage.inputs:
            assert any(str(i).startswith(f"wire:{value}:") and str(i).endswith(key) for i in ids)
            assert value in texts
    assert plan.name in texts


@pictures
def test_wires_join_their_cards(model, schedule):
    plan, diagram = picture(model, schedule)
    boxes = {card.key: card for card in diagram.cards}
    inputs = sum(len(stage.inputs) for stage in stages_of(plan).values())
    assert len(diagram.wires) == inputs + 1

    def on_edge(key, point):
        if key == "host":
            return True
        box, (x, y) = boxes[key], point
        inside = box.x <= x <= box.x + CARD[0] and box.y <= y <= box.y + CARD[1]
        return inside and (x in (box.x, box.x + CARD[0]) or y in (box.y, box.y + CARD[1]))

    for wire in diagram.wires:
        assert on_edge(wire.target, wire.points[-1])
        for (x0, y0), (x1, y1) in zip(wire.points, wire.points[1:], strict=False):
            assert x0 == x1 or y0 == y1
            for box in diagram.cards:  # no wire runs through a card
                left, right = sorted((x0, x1))
                top, bottom = sorted((y0, y1))
                apart = (
                    right <= box.x or left >= box.x + CARD[0]
                    or bottom <= box.y or top >= box.y + CARD[1]
                )  # fmt: skip
                assert apart, (wire, box.key)


@pictures
def test_nothing_overlaps(model, schedule):
    _, diagram = picture(model, schedule, **{"layer0.q": 12345, "layer0.fc1": 999})
    figure = paint(diagram)
    renderer = FigureCanvasAgg(figure).get_renderer()
    (axes,) = figure.axes
    boxes = {patch.get_gid(): patch.get_window_extent(renderer) for patch in axes.patches}
    texts = [(text.get_gid(), text.get_window_extent(renderer)) for text in axes.texts
             if text.get_text()]  # fmt: skip
    for gid, extent in texts:
        if gid is not None:
            box = boxes[gid.removeprefix("text:")]
            assert box.x0 < extent.x0 < extent.x1 < box.x1
            assert box.y0 < extent.y0 < extent.y1 < box.y1
        assert extent.x1 < diagram.width
    for i, (gid, one) in enumerate(texts):
        for other_gid, other in texts[i + 1 :]:
            width = min(one.x1, other.x1) - max(one.x0, other.x0)
            height = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert width <= 0 or height <= 4, (gid, other_gid)
    keys = [card.key for card in diagram.cards]
    for i, key in enumerate(keys):
        assert not any(boxes[key].overlaps(boxes[other]) for other in keys[i + 1 :])


@pictures
def test_mermaid(model, schedule):
    plan = MODELS[model]
    lines = mermaid(plan, make_schedule(plan, schedule, 64)).splitlines()
    assert lines[0] == "flowchart TB"
    assert sum(line.startswith("  subgraph ") for line in lines) == 3
    assert lines.count("  end") == 3
    nodes = {
        m[1] for line in lines if (m := re.fullmatch(r' +(\w+)[\[(]{1,2}".+"[\])]{1,2}', line))
    }
    links = [
        m.groups() for line in lines if (m := re.fullmatch(r"  (\w+) -->\|(\w+)\| (\w+)", line))
    ]
    known = stages_of(plan)
    assert nodes == {key.replace(".", "_") for key in known} | {"host"}
    assert {a for a, _, _ in links} | {b for _, _, b in links} == nodes
    assert len(links) == 1 + sum(len(stage.inputs) for stage in known.values())
    assert len(lines) == 2 + 6 + len(known) + len(links)


def test_a_card_tells_the_facts():
    plan = MODELS["fixed"]
    schedule = make_schedule(plan, "folded", 64)
    seen = {"layer0.fc1": Work(40, 1024, 16), "layer0.residual_mlp": Work(9, 0, 0)}
    told = cards(plan, schedule, seen)
    card = told["layer0.fc1"]
    assert (card.shape, card.unit, card.multipliers) == ("64 × 16", "linear", 64)
    assert (card.macs, card.bound, card.busy) == (1024, 16, 40)
    assert told["layer0.residual_mlp"].busy == 9
    assert told["layer0.k"].busy is None
    assert list(facts(card))[-1] == ("≥ 16 cycles", "40 busy")
    attention = told["layer0.attention"]
    assert (attention.macs, attention.multipliers) == (2 * 16 * 16, 10)
    assert list(facts(attention))[-1] == ("≥ 51.2, cache full", "")
    stage = plan.template.stages[5]
    assert bound_cycles(stage, schedule.unit("layer0", stage.name)) == 4


def test_a_card_takes_busy_and_bound_from_the_same_positions():
    plan = MODELS["fixed"]
    seen = {"layer0.attention": Work(49.25, 180, 18)}
    card = cards(plan, make_schedule(plan, "folded", 64), seen)["layer0.attention"]
    assert next(facts(card))[1] == "180 MACs"
    assert list(facts(card))[-1] == ("≥ 18 cycles", "49.2 busy")


@pictures
def test_bounds_are_those_of_a_report(model, schedule):
    plan = MODELS[model]
    told = cards(plan, make_schedule(plan, schedule, 64), {})
    products = [card for card in told.values() if card.macs]
    assert len(products) > 5
    for card in products:
        assert card.bound == card.macs / card.multipliers


@pytest.mark.parametrize(("schedule", "of_a_layer"), [("folded", 20), ("pipelined", 40)])
def test_a_card_tells_of_one_layer(schedule, of_a_layer):
    plan = MODELS["block"]
    seen = {"layer0.q": Work(40, 640, 10), "epilogue.sample": Work(8, 0, 0)}
    told = cards(plan, make_schedule(plan, schedule), seen)
    assert told["layer0.q"].busy == of_a_layer
    assert told["layer0.q"].bound == of_a_layer / 4
    assert told["epilogue.sample"].busy == 8


def test_layers_are_cut_behind_residuals():
    names = [[s.name for s in part] for part in columns(MODELS["fixed"].template)]
    assert [part[-1] for part in names] == ["residual_attention", "residual_mlp"]
    assert names[1][0] == "norm_mlp"


def test_the_same_picture_has_the_same_bytes():
    files = [BytesIO(), BytesIO()]
    for file in files:
        draw(file, picture("fixed")[1], "svg")
    assert files[0].getvalue() == files[1].getvalue()
