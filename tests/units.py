"""Helpers of the unit tests: a unit on its multiplier array, with a rival that takes cycles."""

from __future__ import annotations

import gc
import random
import warnings
from collections.abc import Callable

import pytest
from amaranth.hdl import Elaboratable, Module, UnusedElaboratable
from amaranth.lib import wiring

from golden.numbers import Vector
from hdl.mac import MultiplierArray
from hdl.stream import Tags, beats
from tests.bench import Streams, collected, vector_beats

TAGS = Tags(stream=1, position=4, layer=2, job=1)


class OnArray(Elaboratable):
    """``unit`` with a multiplier array that it shares with a rival of higher priority."""

    def __init__(self, unit):
        self.unit = unit
        self.array = MultiplierArray([unit.mul.signature.lanes] * 2)

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit, m.submodules.array = self.unit, self.array
        wiring.connect(m, self.unit.mul, self.array.user1)
        return m


def rival(bench: Streams, array: MultiplierArray, greed: float, seed: int) -> None:
    """A background process that takes the array in ``greed`` of the cycles."""
    rng = random.Random(seed)
    user = array.user0

    async def run(ctx):
        for lane in range(len(user.a)):
            ctx.set(user.a[lane], 12345 + lane)
            ctx.set(user.b[lane], -777)
        while True:
            ctx.set(user.valid, int(rng.random() < greed))
            await ctx.tick()

    bench.sim.add_testbench(run, background=True)


def watch(bench: Streams, unit) -> dict:
    """Check ``busy`` and ``job`` against the beats at ``o``; note whether anything saturated."""
    seen = {"saturated": False, "busy_at_end": None}

    async def run(ctx):
        async for *_, busy, job, saturated, valid, payload in ctx.tick().sample(
            unit.busy, unit.job, unit.saturated, unit.o.valid, unit.o.p
        ):
            seen["busy_at_end"] = busy
            seen["saturated"] |= bool(saturated)
            if valid:
                assert busy, "not busy with a beat at the output"
                assert job == payload.tag.job

    bench.sim.add_testbench(run, background=True)
    return seen


def drive(unit, inputs: dict[str, list[Vector]], tags: list[dict], lanes, size, form, **options):
    """Send vectors through ``unit``: (vectors, beats, accepted by port, cycles at ``o``, notes).

    Options: idle, seed, greed (share of the array's cycles that a rival takes), payloads (of ports
    that take no vectors, by port).
    """
    greed, seed = options.get("greed", 0.0), options.get("seed", 1)
    dut = OnArray(unit) if hasattr(unit, "mul") else unit
    bench = Streams(dut, idle=options.get("idle", 0.0), seed=seed)
    if hasattr(unit, "mul") and greed:
        rival(bench, dut.array, greed, seed)
    notes = watch(bench, unit)
    accepted = {}
    for port, vectors in inputs.items():
        payloads = []
        for vector, tag in zip(vectors, tags, strict=True):
            payloads += vector_beats(vector, lanes, tag)
        accepted[port] = bench.source(port, getattr(unit, port), payloads)
    for port, payloads in options.get("payloads", {}).items():
        accepted[port] = bench.source(port, getattr(unit, port), payloads)
    cycles: list[int] = []
    seen = bench.sink("o", unit.o, len(tags) * beats(size, lanes), cycles)
    bench.run()
    return collected(seen, size, form), seen, accepted, cycles, notes


def check(got: list[Vector], want: list[Vector], seen, tags: list[dict]) -> None:
    """Equal vectors and exponents, and the tags in order."""
    for n, (a, b) in enumerate(zip(got, want, strict=True)):
        assert a.mantissa.tolist() == b.mantissa.tolist(), f"vector {n}"
        assert a.exponent == b.exponent, f"vector {n}"
    for payload, tag in zip([p for p in seen if p.last], tags, strict=True):
        assert {key: int(getattr(payload.tag, key)) for key in tag} == tag


def refused(match: str, build: Callable) -> None:
    """``build`` raises a ValueError; what it left half made is collected without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        with pytest.raises(ValueError, match=match):
            build()
        gc.collect()
