"""sim/chip.py and sim/measure.py: a whole chip behind its UART, and what it counts."""

import os
import random
import subprocess
import time
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.generate import Request
from hdl.memory import verilog_name
from sim import chip
from sim.build import Target
from sim.commands.run import NAMES
from sim.engines.process import started
from sim.measure import cycles, measure
from sim.mismatch import Mismatch
from sim.report import cycles_per_token, make_report
from sim.workload import Sampling, make_requests
from tests.mangled import mangled
from tests.models import CACHE, design, microgpt, simulate
from tests.random_models import BASE

MADE = microgpt()


@pytest.fixture(scope="module")
def built():
    return chip.build(MADE, CACHE, quick=True)


@pytest.fixture
def link(built):
    with chip.running(MADE, built) as link:
        yield link


def simulator(link):
    return link._port._simulator


def test_a_chip_counts_what_make_sim_reports(tmp_path):
    """Exactly, though the chip's tokens wait for the UART ten times as long as they take."""
    requests = make_requests(MADE.checkpoint, Sampling(), NAMES)
    outcome = simulate(MADE, requests, tmp_path, quick=False)
    report = make_report(Target(), MADE, "verilator", Sampling(), requests, outcome)
    assert measure(MADE, CACHE, quick=True) == report["cycles_per_token"]
    other = [replace(request, seed=request.seed + 1) for request in requests]
    outcome = simulate(MADE, other, tmp_path, quick=False)
    assert measure(MADE, CACHE, quick=True) != cycles_per_token(
        [token["cycles"] for _, token in outcome.tokens]
    )


def test_what_a_chip_says_of_itself(link):
    device = link.hello()
    assert MADE.plan.digest().startswith(device.digest)
    assert (device.n_vocab, device.n_ctx, device.clock_hz) == (27, 16, chip.CLOCK_HZ)


def test_a_chip_with_other_weights_is_seen(built):
    """One program serves all weights of a shape, and what they sample is compared."""
    other = design(BASE, multipliers=64)
    with chip.running(other, built) as link:
        assert other.plan.digest().startswith(link.hello().digest)
        requests = make_requests(MADE.checkpoint, Sampling(), 2)
        with pytest.raises(Mismatch, match="sequence 0, position 0: the integer model samples tok"):
            list(cycles(link, MADE, requests))


def test_abort_and_go_on(link):
    request = Request((26,), 15, noise_scale=9000)
    tokens = link.generate(request)
    first = [next(tokens), next(tokens)]
    link.abort()
    rest = list(tokens)
    assert rest[-1].last
    again = list(link.generate(request))
    assert again[:2] == first
    assert len(again) > len(first)


@pytest.fixture(scope="module")
def lasting(built):
    """A chip that serves many examples."""
    with chip.running(MADE, built) as link:
        link._timeout = 1.0
        yield link


@given(st.integers(0, 1 << 32))
@settings(max_examples=20, deadline=None)
def test_a_good_request_after_anything(lasting, seed):
    """Over the wire: cut, changed, long, nested and senseless frames never wedge it."""
    rng = random.Random(seed)
    port = lasting._port
    lasting._number = 128  # numbers that no mangled frame has
    lasting.hello()
    port.write(b"".join(mangled(rng, room=100) for _ in range(3)))
    while port.read(0.02):
        pass
    assert MADE.plan.digest().startswith(lasting.hello().digest)
    lasting.abort()
    request = make_requests(MADE.checkpoint, Sampling(seed=seed % (1 << 32)), 1)[0]
    assert len(list(cycles(lasting, MADE, [request]))) > 0


def test_a_chip_that_dies_is_told_in_one_sentence(link):
    link.hello()
    simulator(link).kill()
    simulator(link).wait()
    with pytest.raises(chip.Died, match=r"^the simulated chip died \(signal SIGKILL\): it said "):
        link.hello()


@pytest.mark.parametrize("how", [None, KeyboardInterrupt, ValueError])
def test_nothing_is_left_behind(built, how):
    with suppress(*filter(None, [how])), chip.running(MADE, built) as link:
        link.hello()
        process = simulator(link)
        assert process.poll() is None
        if how:
            raise how
    assert process.poll() is not None


def test_a_chip_whose_host_was_killed_ends(built, tmp_path):
    for name in MADE.image:
        (tmp_path / f"{verilog_name(name)}.hex").write_text("")
    chip_end, host_end = os.openpty()
    command = [built.program(None).resolve(), 8]
    with started(command, tmp_path, subprocess.DEVNULL, subprocess.DEVNULL, chip_end) as process:
        time.sleep(0.5)
        assert process.poll() is None
        os.close(host_end)
        assert process.wait(10) == 0
    os.close(chip_end)


def test_a_chip_that_is_asked_nothing_rests(link):
    """Its time stands still, and the machine has nothing to do."""
    link.hello()
    time.sleep(0.3)
    first = link.counters()["cycles"]
    time.sleep(1.0)
    assert link.counters()["cycles"] - first < 200_000
