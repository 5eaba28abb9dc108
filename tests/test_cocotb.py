"""cocotb regressions: a toy core and the real one, on Verilator and on Icarus."""

import os

import pytest

from golden.errors import WeftError
from golden.generate import generate_all
from sim import cocotb_runner, taps
from sim.bench import Probe
from sim.build import Target, make_design
from sim.compare import Checker
from sim.engines import engine
from sim.workload import Sampling, make_requests, request_rows
from tests.test_bench import CACHE, TOY, WANTED, run
from tests.toy_core import expected_tokens, image

LEAST_RATE = 20_000
"""Cycles a second, comparison included: Python that acts in every cycle would reach a tenth."""

simulators = pytest.mark.parametrize("name", cocotb_runner.SIMULATORS)

STALLS = [
    {},
    {"idle": 200, "seed": 1},
    {"pressure": 200, "seed": 2},
    {"idle": 120, "pressure": 120, "seed": 3},
]


def regression(name, folder, wanted=WANTED, toy=TOY, **chosen):
    return cocotb_runner.run(name, toy.probe, toy.key, CACHE, image(toy), wanted, folder, **chosen)


@simulators
@pytest.mark.parametrize("stalls", STALLS)
def test_toy(name, stalls, tmp_path):
    outcome = regression(name, tmp_path, WANTED * 8, **stalls)
    assert [token["sum"] for token in outcome.tokens] == expected_tokens(TOY, WANTED * 8)
    assert [token["sequence"] for token in outcome.tokens] == list(range(24))
    found = taps.decode(outcome.design, outcome.lines)
    assert len(found["sums"]) == 15 * 8


def test_simulators_agree_with_each_other_and_with_the_engines(tmp_path):
    verilator, icarus = (
        regression(name, tmp_path / name, **STALLS[3]) for name in cocotb_runner.SIMULATORS
    )
    assert verilator.lines == icarus.lines
    assert verilator.cycles == icarus.cycles
    simulation = engine("amaranth").build(TOY.factory, TOY.key, CACHE)
    ours = taps.decode(simulation.design, run(simulation, tmp_path))["sums"]
    theirs = taps.decode(verilator.design, verilator.lines)["sums"]
    assert (ours.data == theirs.data).all()


@simulators
def test_tokens_are_compared(name, tmp_path):
    right = [{"sum": s, "sequence": k} for k, s in enumerate(expected_tokens(TOY, WANTED))]
    regression(name, tmp_path, tokens=right)
    wrong = [*right[:-1], {"sum": 1, "sequence": 2}]
    with pytest.raises(WeftError, match=r"(?s)regression failed.*tokens differ"):
        regression(name, tmp_path, tokens=wrong)


@simulators
def test_a_hang_fails(name, tmp_path):
    with pytest.raises(WeftError, match=r"(?s)regression failed.*[Tt]imeout"):
        regression(name, tmp_path, [{"hang": 1}], limit=200)


def test_recording_can_be_switched_off(tmp_path):
    outcome = regression("verilator", tmp_path, record=False)
    assert b"@" not in outcome.lines
    assert outcome.lines.count(b"t ") == 3


def test_unknown_simulator(tmp_path):
    with pytest.raises(WeftError, match="it runs verilator, icarus"):
        regression("amaranth", tmp_path)


def test_only_ports_of_the_top_are_public():
    source = "\nmodule top(clk, a);\n  input clk;\n  output [3:0] a;\n  wire b;\nendmodule\n"
    source += "\nmodule inner(c);\n  input c;\nendmodule\n"
    control = cocotb_runner.public_ports(source)
    assert [line.split()[-1] for line in control.splitlines()[1:]] == ['"clk"', '"a"']


@pytest.mark.parametrize(
    ("simulator", "names", "stalls"),
    [("verilator", 400, STALLS[0]), ("verilator", 3, STALLS[3]), ("icarus", 1, STALLS[3])],
)
def test_microgpt(simulator, names, stalls, tmp_path):
    """The real core: every tap equals the integer model, whatever the stalls."""
    design = make_design(Target())
    wanted = make_requests(design.checkpoint, Sampling(), names)

    def probe(memories):
        return Probe(design.core(memories, observe=True), memories)

    rows = list(request_rows(wanted))
    arguments = (probe, design.key(), CACHE, design.loaded(), rows, tmp_path)
    cocotb_runner.build(simulator, probe, design.key(), CACHE)
    started = used_seconds()
    outcome = cocotb_runner.run(simulator, *arguments, **stalls)
    checker = Checker(design.plan, design.schedule, wanted, outcome.design)
    for line in outcome.lines.decode().splitlines():
        if line[0] == "@":
            checker.feed(line)
    checker.finish()
    seconds = used_seconds() - started
    steps = [step for step in generate_all(design.plan, wanted) if step.sampled is not None]
    assert [token["token"] for token in outcome.tokens] == [step.sampled for step in steps]
    rate = outcome.cycles / seconds
    print(
        f"{simulator}: {outcome.cycles} cycles simulated and {checker.compared} values compared "
        f"in {seconds:.2f} s of processor time: {rate:,.0f} cycles/s"
    )
    if (simulator, stalls) == ("verilator", {}):
        assert rate > LEAST_RATE


def used_seconds() -> float:
    """Processor time of this process and its children: other load on the machine hardly counts."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
