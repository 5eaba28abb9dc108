"""golden/balancer.py: budgets are kept, and used where they help."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from golden.balancer import make_schedule
from golden.errors import WeftError
from golden.schedule import sections
from golden.schedules.shapes import MAX_LANES, linear_shape
from golden.stage import Attention, Linear
from tests.plans import PLANS, budgets, everywhere, least, schedules


@everywhere
@schedules
def test_multipliers_stay_within_the_budget(plan, name):
    for multipliers in budgets(plan, name):
        schedule = make_schedule(plan, name, multipliers)
        used = sum(max(u.multipliers for u in users) for users in schedule.arrays().values())
        assert 0 < used <= multipliers
        assert 2 * used > multipliers or name == "pipelined"


@everywhere
@schedules
def test_the_least_that_works_works_and_one_less_does_not(plan, name):
    smallest = least(plan, name)
    assert make_schedule(plan, name, smallest).multipliers == smallest
    for multipliers in (smallest - 1, -3):
        with pytest.raises(WeftError, match=f", expected at least {smallest}$"):
            make_schedule(plan, name, multipliers)


@everywhere
@schedules
def test_lanes_are_powers_of_two(plan, name):
    for multipliers in budgets(plan, name):
        for unit in make_schedule(plan, name, multipliers).units:
            assert unit.lanes & (unit.lanes - 1) == unit.rows & (unit.rows - 1) == 0
            assert unit.lanes >= 1
            assert unit.rows == unit.lanes or unit.kind == "linear"
            assert (unit.heads > 0) == (unit.kind in ("attention", "rope"))
            if unit.kind in ("linear", "attention", "norm"):
                assert unit.lanes <= MAX_LANES


@schedules
def test_rotary_positions_need_two_lanes(name):
    with pytest.raises(WeftError, match="lanes is 1; rotary positions turn pairs"):
        make_schedule(PLANS["llama", "block"], name, 64, lanes=1)


@everywhere
def test_more_multipliers_are_never_slower(plan):
    def slowest(multipliers):
        schedule, cycles = make_schedule(plan, "pipelined", multipliers), []
        for section, stages in sections(plan, schedule.instances):
            for s in stages:
                unit = schedule.unit(section, s.name)
                if isinstance(s, Linear):
                    cycles.append(s.macs / (unit.lanes * unit.rows))
                if isinstance(s, Attention):
                    cycles.append(2 * s.slots * s.output_size / unit.lanes)
        return max(cycles)

    times = [slowest(m) for m in (least(plan, "pipelined"), 64, 128, 256, 512)]
    assert times == sorted(times, reverse=True)
    assert times[0] > times[-1]


@pytest.mark.parametrize("multipliers", [1, 2, 7, 16, 64, 100, 512])
@pytest.mark.parametrize("shapes", [[(16, 16)], [(27, 16), (64, 16), (16, 64)], [(1000, 32)],
                                    [(33, 48), (40, 48), (48, 40)], [(3, 5)]])  # fmt: skip
def test_the_shape_of_a_linear_unit_is_optimal(multipliers, shapes):
    stages = [SimpleNamespace(weights=np.zeros(shape)) for shape in shapes]

    def cycles(lanes, rows):
        return sum(math.ceil(m / rows) * math.ceil(n / lanes) for m, n in shapes)

    lanes, rows = linear_shape(stages, multipliers)
    powers = [1 << k for k in range(10)]
    possible = [
        (cycles(a, b), -a, b)
        for a, b in itertools.product(powers, powers)
        if a <= MAX_LANES and a * b <= multipliers and 2 * a * b > multipliers
    ]
    assert (cycles(lanes, rows), -lanes, rows) == min(possible)


def test_folded_shares_and_pipelined_does_not():
    plan = PLANS["three layers", "fixed"]
    folded, pipelined = (make_schedule(plan, name, 128) for name in ("folded", "pipelined"))
    assert (folded.instances, pipelined.instances) == (1, 3)
    assert list(folded.arrays()) == ["multipliers"]
    assert [u.kind for u in folded.arrays()["multipliers"]] == [
        "linear", "attention", "norm", "sample",
    ]  # fmt: skip
    linear = next(u for u in folded.units if u.kind == "linear")
    names = ["q", "k", "v", "project", "fc1", "fc2"]
    assert folded.jobs(linear) == [*(("layer0", n) for n in names), ("epilogue", "logits")]
    assert all(pipelined.jobs(u) == [key] for u, (key, _) in zip(
        pipelined.units, pipelined.binding, strict=True))  # fmt: skip
    assert all(len(users) == 1 for users in pipelined.arrays().values())


@pytest.mark.parametrize("multipliers", [1, 2, 13, 64, 10_000])
@pytest.mark.parametrize("key", [k for k in PLANS if k[1] == "fixed" and k[0] != "gelu"])
def test_serial_is_one_unit(key, multipliers):
    plan = PLANS[key]
    schedule = make_schedule(plan, "serial", multipliers)
    (unit,) = schedule.units
    assert schedule.instances == unit.lanes == 1
    assert [job for job, name in schedule.binding if name == unit.name] == [
        (section, stage.name) for section, stages in sections(plan, 1) for stage in stages
    ]
    longest = max(stage.output_size for _, stage in plan.stages())
    assert schedule.multipliers == unit.multipliers == unit.rows
    assert unit.rows & (unit.rows - 1) == 0
    assert unit.rows <= multipliers
    assert 2 * unit.rows > min(multipliers, longest)


@pytest.mark.parametrize("key", [("gelu", "fixed"), ("two layers", "block")])
def test_serial_knows_neither_gelu_nor_blocks(key):
    with pytest.raises(
        WeftError, match=r"schedule is 'serial', which knows no (gelu|block numbers)"
    ):
        make_schedule(PLANS[key], "serial", 8)


@schedules
@pytest.mark.parametrize(("model", "expected"), [("microgpt", False), ("gelu", True)])
def test_only_gelu_among_activations_takes_multipliers(name, model, expected):
    unit = make_schedule(PLANS[model, "fixed"], name, 64).unit("layer0", "activation")
    assert (unit.array is not None) == (unit.multipliers > 0) == expected


@pytest.mark.parametrize(("lanes", "expected"), [(None, 16), (4, 4)])
def test_pipelined_gelu_grows_with_its_producer(lanes, expected):
    plan, widths = PLANS["gelu", "fixed"], []
    for multipliers in (25, 64, 200, 500, 1000, 8000):
        schedule = make_schedule(plan, "pipelined", multipliers, lanes=lanes)
        producer, unit = (schedule.unit("layer1", name) for name in ("fc1", "activation"))
        assert unit.lanes == unit.multipliers <= producer.rows
        widths.append(unit.lanes)
    assert widths == sorted(widths)
    assert (widths[0], widths[-1]) == (1, expected)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "wide"}, "schedule is 'wide'; expected one of folded, pipelined, serial"),
        ({"weights": "disk"}, "weights is 'disk'; expected one of rom, wires, stream"),
        ({"streams": 0}, "streams is 0; expected at least 1"),
    ],
)
def test_options_refused(options, sentence):
    with pytest.raises(WeftError, match=sentence):
        make_schedule(PLANS["microgpt", "fixed"], **options)
