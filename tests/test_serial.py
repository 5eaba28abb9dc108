"""The serial core: cycles of its stages, and what it refuses; its values are in test_core*.py."""

from dataclasses import replace

import pytest

from golden.errors import OptionError
from golden.generate import Request
from golden.model import ModelConfig
from golden.stage import Activation, Embed, Linear, Residual
from hdl.serial import shape
from hdl.serial.shape import Shape
from hdl.serial.vectors import linear_cycles, relu_cycles, sum_cycles
from tests.models import design, microgpt, simulate

CONFIG = ModelConfig(n_layer=2, n_head=4, d_model=24, d_ff=50, n_vocab=65, n_ctx=6)
ROWS = 8


def cycles(stage) -> int | None:
    """Of a stage whose cycles depend on its shape only."""
    if isinstance(stage, Linear):
        return linear_cycles(stage.input_size, stage.output_size, ROWS)
    if isinstance(stage, Activation):
        return relu_cycles(stage.size)
    return sum_cycles(stage.output_size) if isinstance(stage, Embed | Residual) else None


def test_cycles_of_the_stages(tmp_path):
    made = design(CONFIG, "serial", ROWS)
    requests = [Request((3, 5, 7), 3), Request((1,), 4, noise_scale=900)]
    outcome = simulate(made, requests, tmp_path)
    stages = Shape(made.plan, ROWS).stages
    known = [(job, cycles(stage)) for job, stage in enumerate(stages) if cycles(stage)]
    assert len(known) == 11
    for job, expected in known:
        section, _ = made.schedule.jobs(made.schedule.units[0])[job]
        times = {"prologue": 9, "layer0": 2 * 9, "epilogue": 7}[
            section
        ]  # 7 of 9 tokens are sampled
        busy, blocked = outcome.counters["serial", job]
        assert (busy, blocked) == (times * expected, 0), stages[job].name


def test_values_lie_apart():
    made = Shape(microgpt("serial", 8).plan, 8)
    rows = [(name, layer, s) for name, layer, s in made.program if s.kind != "sample"]
    spans = {}
    for section, layer, stage in rows:
        start = made.place(section, stage.output, layer)
        size = made.cache_size if made.in_cache(section, stage.output) else stage.output_size
        spans[section, layer, stage.output] = set(range(start, start + size))
    stream = made.plan.prologue.output, made.plan.template.output
    apart = [span for (*_, value), span in spans.items() if value not in stream]
    assert len(set().union(*apart)) == sum(map(len, apart))
    assert max(max(span) for span in spans.values()) < made.depth


@pytest.mark.parametrize(
    ("config", "options", "problem"),
    [
        (replace(CONFIG, activation="gelu"), {}, "serial', which knows no gelu"),
        (CONFIG, {"numbers": "block"}, "serial', which knows no block numbers"),
        (CONFIG, {"streams": 2}, "is 2; the serial schedule has one"),
        (CONFIG, {"lanes": 4}, "is 4; the serial schedule has beats of one element"),
        (CONFIG, {"weights": "stream"}, "the serial schedule keeps them on the chip"),
    ],
)
def test_what_it_cannot_do(config, options, problem):
    with pytest.raises(OptionError, match=problem):
        design(config, "serial", ROWS, **options)


def test_a_plan_that_no_serial_core_can_execute():
    plan = design(CONFIG, numbers="block").plan
    with pytest.raises(ValueError, match=r"embed|block_attention|convert"):
        shape.check(plan)
