"""Helpers of the unit tests: drive and check streams with seeded idle and back-pressure."""

from __future__ import annotations

import random

import numpy as np
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from golden.numbers import Format, Vector
from hdl.stream import beats

TIMEOUT = 20_000


def padded(x: np.ndarray, lanes: int) -> np.ndarray:
    """``x`` with zeros behind it, to whole beats."""
    return np.pad(np.asarray(x, dtype=np.int64), (0, -len(x) % lanes))


def vector_beats(vector: Vector, lanes: int, tag: dict | None = None) -> list[dict]:
    """The beats of a vector as dictionaries; zeros fill the last."""
    count, filled = beats(len(vector.mantissa), lanes), padded(vector.mantissa, lanes)
    return [
        {
            "data": [int(x) for x in filled[k * lanes : (k + 1) * lanes]],
            "exponent": vector.exponent,
            "tag": tag or {},
            "first": int(k == 0),
            "last": int(k == count - 1),
        }
        for k in range(count)
    ]


def assign(ctx, payload, fields) -> None:
    """Set a payload: a struct from nested dictionaries and lists, whose absent fields become zero,
    and any other from its value.
    """
    if not isinstance(fields, dict):
        ctx.set(payload, fields)
        return
    layout = payload.shape()
    value = {}
    for name, field in layout.members.items():
        given = fields.get(name, 0)
        if name == "data":
            value[name] = given
        elif name == "tag":
            value[name] = {key: given.get(key, 0) for key in field.members} if given else {}
        elif len(payload[name].as_value() if hasattr(payload[name], "as_value") else payload[name]):
            value[name] = given
    ctx.set(payload, value)


class Streams:
    """A testbench around one component: sources, sinks, and a timeout that names who is stuck.

    ``idle`` is the chance (0..1) that a source or a sink pauses for a cycle; ``seed`` fixes it.
    """

    def __init__(self, dut: Elaboratable, idle: float = 0.0, seed: int = 0):
        self.dut, self.idle, self.seed = dut, idle, seed
        self.sim = Simulator(dut)
        self.sim.add_clock(1e-6)
        self._left: dict[str, int] = {}

    def source(self, name: str, port, payloads: list, start: int = 0) -> list[int]:
        """Feed ``payloads`` into ``port``, from the cycle ``start`` on; answers the cycles in which
        they were accepted.
        """
        rng, accepted = random.Random(f"{self.seed}{name}"), []

        async def run(ctx):
            self._left[name] = len(payloads)
            cycle = start
            for _ in range(start):
                await ctx.tick()
            for payload in payloads:
                while rng.random() < self.idle:
                    await ctx.tick()
                    cycle += 1
                assign(ctx, port.p, payload)
                ctx.set(port.valid, 1)
                while True:
                    *_, ready = await ctx.tick().sample(port.ready)
                    cycle += 1
                    if ready:
                        break
                ctx.set(port.valid, 0)
                accepted.append(cycle - 1)
                self._left[name] -= 1

        self.sim.add_testbench(run)
        return accepted

    def sink(self, name: str, port, count: int, cycles: list[int] | None = None) -> list:
        """Collect ``count`` payloads (amaranth data constants) from ``port``."""
        rng, seen = random.Random(f"{self.seed}{name}"), []

        async def run(ctx):
            self._left[name] = count
            cycle = 0
            while len(seen) < count:
                pause = rng.random() < self.idle
                ctx.set(port.ready, not pause)
                *_, valid, payload = await ctx.tick().sample(port.valid, port.p)
                if valid and not pause:
                    seen.append(payload)
                    if cycles is not None:
                        cycles.append(cycle)
                    self._left[name] -= 1
                cycle += 1
            ctx.set(port.ready, 0)

        self.sim.add_testbench(run)
        return seen

    def run(self, timeout: int = TIMEOUT) -> None:
        """Run until sources are empty and sinks full; a hang names the ports with work left."""

        async def watch(ctx):
            for _ in range(timeout):
                await ctx.tick()
                if not any(self._left.values()):
                    return
            stuck = {name: left for name, left in self._left.items() if left}
            raise AssertionError(f"after {timeout} cycles these ports still wait: {stuck}")

        self.sim.add_testbench(watch)
        self.sim.run()


def collected(payloads: list, size: int, form: Format) -> list[Vector]:
    """Reassemble vectors of ``size`` elements from collected beats."""
    vectors, mantissa = [], []
    for p in payloads:
        if p.first:
            mantissa = []
        mantissa += [int(x) for x in p.data]
        if p.last:
            exponent = getattr(form, "exponent", None)
            exponent = int(p.exponent) if exponent is None else exponent
            vectors.append(Vector(np.array(mantissa[:size]), exponent))
    return vectors
