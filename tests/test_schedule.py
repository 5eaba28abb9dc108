"""golden/schedule.py: what is bound to what, and in which order values lie."""

import re

import numpy as np
import pytest

from golden.balancer import make_schedule
from golden.schedule import input_size, sections, value_order, value_size
from tests.plans import PLANS, budgets, everywhere, least, schedules

AROUND_ATTENTION = re.compile(r"(rotate_|block_)?[qkv](_bias)?|attention")


@everywhere
@schedules
def test_every_stage_is_bound_once_to_a_unit_of_its_kind(plan, name):
    for multipliers in budgets(plan, name):
        schedule = make_schedule(plan, name, multipliers)
        physical = list(sections(plan, schedule.instances))
        expected = [(section, stage.name) for section, stages in physical for stage in stages]
        assert [key for key, _ in schedule.binding] == expected
        assert {unit for _, unit in schedule.binding} == {u.name for u in schedule.units}
        for section, stages in physical:
            for stage in stages:
                unit = schedule.unit(section, stage.name)
                assert unit.kind == stage.kind
                assert schedule.jobs(unit).count((section, stage.name)) == 1
        assert sum(len(schedule.jobs(unit)) for unit in schedule.units) == len(expected)


def test_formats_keep_converters_apart():
    schedule = make_schedule(PLANS["two layers", "block"], "folded", 64)
    converters = {u.name for u in schedule.units if u.kind == "convert"}
    assert converters == {
        "convert_fixed16_block16", "convert_block16_fixed32", "convert_fixed32_block16",
        "convert_block16_fixed16",
    }  # fmt: skip


@everywhere
@schedules
@pytest.mark.parametrize("multipliers", [0, 40, 200])
def test_the_order_of_values(plan, name, multipliers):
    schedule = make_schedule(plan, name, least(plan, name) + multipliers)
    for section, stages in sections(plan, schedule.instances):
        for stage in stages:
            for value in (*stage.inputs, stage.output):
                order = value_order(stages, section, schedule, value)
                size = value_size(stages, value)
                np.testing.assert_array_equal(order[order >= 0], np.arange(size))
                around_attention = AROUND_ATTENTION.fullmatch(value)
                assert len(order) == size or around_attention
                if around_attention:
                    assert len(order) % schedule.unit(section, "attention").lanes == 0


def test_heads_are_padded():
    plan = PLANS["three layers", "fixed"]  # four heads of 12
    schedule = make_schedule(plan, "folded", 64, lanes=16)
    order = value_order(plan.template, "layer0", schedule, "q")
    assert schedule.unit("layer0", "attention").lanes == 16
    assert len(order) == 64
    np.testing.assert_array_equal(order.reshape(4, 16)[:, 12:], -1)


def test_sizes_of_inputs():
    plan = PLANS["microgpt", "fixed"]
    assert value_size(plan.prologue, "token") == 1
    assert value_size(plan.epilogue, "x") == 16  # a linear layer reads it
    assert value_size(plan.template, "activation") == input_size(plan.template.stages[-2]) == 64
    assert value_size(plan.epilogue, "logits") == 27
    with pytest.raises(KeyError):
        value_size(plan.template, "nothing")


@schedules
def test_signatures(name):
    plan = PLANS["two layers", "fixed"]
    one, again = (make_schedule(plan, name, 128).signature() for _ in range(2))
    assert one == again
    for other in ({"multipliers": 64}, {"streams": 2}, {"weights": "stream"}):
        assert make_schedule(plan, name, **{"multipliers": 128} | other).signature() != one
