"""Which values need a queue; that a core without the others never hangs is in test_core_shapes."""

from dataclasses import replace

import pytest

from golden.balancer import make_schedule
from golden.config import LINEARS
from golden.errors import WeftError
from golden.plan import Section
from golden.quantize import Options, quantize
from golden.schedule import sections
from hdl.waits import Waits, arrived
from sim import session
from sim.build import Target, build, make_design
from sim.workload import Sampling, make_requests
from tests.llama import BASE, random_llama


def waiting(plan, schedule):
    waits = Waits(plan, schedule)
    return {
        (name, stage.name, value)
        for name, section in sections(plan, schedule.instances)
        for stage in section
        for value in stage.inputs
        if waits.must_wait(name, stage, value)
    }


FORKED = {("layer0", stage, "norm_attention") for stage in "qkv"}
SKIPPED = {
    ("layer0", "residual_attention", "x"),
    ("layer0", "residual_mlp", "residual_attention"),
}


@pytest.mark.parametrize(
    ("model", "numbers"), [("microgpt", "fixed"), ("microgpt", "block"), ("ailang", "fixed")]
)
def test_one_sequence_waits_where_values_meet(model, numbers):
    design = make_design(Target(model, numbers=numbers))
    assert waiting(design.plan, design.schedule) == FORKED | SKIPPED
    alone = make_schedule(design.plan, "pipelined", 64)
    assert waiting(design.plan, alone) == SKIPPED


@pytest.mark.parametrize(("scales", "name"), [("matrix", "folded"), ("row", "external")])
def test_biases_come_in_turn(scales, name):
    # They and the conversions behind them need no queue that a model without them has not.
    def of(config):
        plan = quantize(random_llama(config), Options(scales=scales))
        return {place[1] for place in waiting(plan, make_schedule(plan, name))}

    assert of(replace(BASE, biases=LINEARS)) == of(BASE)


def test_sequences_meet_everywhere():
    design = make_design(Target(streams=2))
    found = waiting(design.plan, design.schedule)
    assert found > FORKED | SKIPPED
    assert ("layer0", "project", "attention") in found
    assert ("layer0", "attention", "q") in found
    assert ("epilogue", "sample", "logits") not in found  # one job, one input


def test_only_a_stage_that_collects_says_what_has_arrived():
    layer = make_design(Target()).plan.template
    assert arrived(layer, "norm_mlp") >= {"x", "q", "project", "residual_attention"}
    behind = arrived(layer, "residual_mlp")
    assert behind >= {"norm_mlp", "fc1", "activation"}
    assert behind.isdisjoint({"fc2", "residual_mlp"})
    alone = Section(tuple(s for s in layer if s.name == "residual_attention"), "x", "y")
    assert arrived(alone, "residual_attention") == set()


def test_a_core_without_them_hangs(monkeypatch, tmp_path):
    monkeypatch.setattr(Waits, "must_wait", lambda *_: False)
    monkeypatch.setattr(session, "WATCHDOG", 200)
    design = make_design(Target(multipliers=2))
    simulation = build(design, "amaranth")
    requests = make_requests(design.checkpoint, Sampling(), 1)
    with pytest.raises(WeftError, match="hung at cycle"):
        session.run(design, simulation, requests, tmp_path)
