"""hdl/noise_size.py: the generator that the core chooses."""

import pytest

from golden.balancer import make_schedule
from golden.quantize import Options, quantize
from golden.zoo import load
from hdl.gumbel import Bank
from hdl.noise import Size
from hdl.noise_size import noise_size, token_cycles


def chosen(model, multipliers, streams=1, name="folded"):
    plan = quantize(load(model), Options("fixed"))
    schedule = make_schedule(plan, name, multipliers, streams)
    sampler = next(unit for unit in schedule.units if unit.kind == "sample")
    return plan, noise_size(plan, schedule, sampler), token_cycles(plan, schedule, sampler.array)


@pytest.mark.parametrize(
    ("model", "multipliers", "size"),
    [
        ("microgpt", 64, Size(Bank(2, 2, 2), 2, 2)),
        ("microgpt", 8, Size(Bank(2, 2, 2), 2, 1)),
        ("microgpt", 2, Size(Bank(1, 2, 2), 2, 1)),
        ("ailang", 64, Size(Bank(2, 8, 16), 2, 10)),
        ("ailang", 8, Size(Bank(2, 8, 8), 2, 1)),
    ],
)
def test_the_smallest_that_keeps_up(model, multipliers, size):
    plan, found, (token, _) = chosen(model, multipliers)
    assert found == size
    assert found.cycles(plan.n_vocab) <= token
    if size.stages > 1:
        before = {2: 1, 10: 5}[size.stages]
        assert Size(found.bank, found.rounds, before).cycles(plan.n_vocab) > token


def test_many_streams_leave_no_idle_cycles():
    _, found, (token, idle) = chosen("microgpt", 64, streams=4)
    assert idle == 0
    assert found.cycles(27) <= token
    assert found.bank.width > 2


def test_a_sampler_with_an_array_of_its_own():
    assert chosen("microgpt", 64, name="pipelined")[1] == Size(Bank(1, 1, 1))
