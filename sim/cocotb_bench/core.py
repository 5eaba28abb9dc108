"""The core as cocotb sees it: requests go in, tokens come out, at seeded moments.

Python wakes up a few times a request and a token, never once a cycle; beats at taps are recorded by
the simulator. Everything is driven and looked at half a cycle after the clock's rising edge, when
all signals have settled, so nothing depends on the order of events at an edge.
"""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer, with_timeout

from sim.clock import PERIOD_NS, RESET_CYCLES

JOB = "WEFT_COCOTB_JOB"
"""Environment variable with the file that says what to do; the answer is written beside it."""

QUIET = 4
"""Cycles for which the core must be idle before the run is over."""


async def cycles(count: int) -> None:
    """Let time pass."""
    if count:
        await Timer(count * PERIOD_NS, "ns")


async def high(signal) -> None:
    """Wait, if need be, for a signal to rise, and go on in the middle of that cycle."""
    if signal.value != 1:
        await RisingEdge(signal)
        await Timer(PERIOD_NS // 2, "ns")


class Stalls:
    """Seeded waiting: in each cycle, the chance to wait one more is ``chance`` in 256."""

    def __init__(self, name: str, seed: int, chance: int):
        self._random, self._chance = random.Random(f"{seed}{name}"), chance

    def next(self) -> int:
        count = 0
        while self._chance and self._random.randrange(256) < self._chance:
            count += 1
        return count


async def send(dut, payloads: list[int], stalls: Stalls) -> None:
    """Offer the payloads on ``requests``, one after the other."""
    for bits in payloads:
        await cycles(stalls.next())
        dut.requests__payload.value = bits
        dut.requests__valid.value = 1
        # What was set becomes visible at the end of this time step.
        await Timer(1, "ns")
        if dut.requests__ready.value != 1:
            await RisingEdge(dut.requests__ready)
            await Timer(PERIOD_NS // 2 + 1, "ns")
        await Timer(PERIOD_NS - 1, "ns")
        dut.requests__valid.value = 0


async def receive(dut, stalls: Stalls, found: list[int]) -> None:
    """Take tokens for ever."""
    while True:
        await high(dut.tokens__valid)
        await cycles(stalls.next())
        found.append(int(dut.tokens__payload.value))
        dut.tokens__ready.value = 1
        await cycles(1)
        dut.tokens__ready.value = 0


async def settled(dut) -> None:
    """Wait until the core has been idle, with no token left, for a while."""
    quiet = 0
    while quiet < QUIET:
        await high(dut.idle)
        await cycles(1)
        quiet = quiet + 1 if dut.idle.value == 1 and dut.tokens__valid.value == 0 else 0


@cocotb.test()
async def run(dut) -> None:
    """Play the job's requests, collect tokens, and compare them if the job says what they are."""
    path = Path(os.environ[JOB])
    job = json.loads(path.read_text())
    found: list[int] = []
    dut.record.value = job["record"]
    dut.requests__valid.value = 0
    dut.tokens__ready.value = 0
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, "ns", impl="gpi").start()
    await Timer(RESET_CYCLES * PERIOD_NS - PERIOD_NS // 2, "ns")
    dut.rst.value = 0
    await cycles(2)
    stalls = Stalls("tokens", job["seed"], job["pressure"])
    receiver = cocotb.start_soon(receive(dut, stalls, found))

    async def play() -> None:
        await send(dut, job["requests"], Stalls("requests", job["seed"], job["idle"]))
        await settled(dut)

    await with_timeout(play(), job["limit"] * PERIOD_NS, "ns")
    receiver.cancel()
    simulated = int(dut.cycle.value)
    path.with_name("result.json").write_text(json.dumps({"tokens": found, "cycles": simulated}))
    if job["tokens"] is not None:
        assert found == job["tokens"], f"tokens differ: {found} instead of {job['tokens']}"
