"""Streamed weights: what a core asks an external memory for, and where the words come in."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.plan import Plan
from golden.schedule import Schedule
from hdl.build import unit_jobs, vector_orders
from hdl.units.matrices import Geometry
from hdl.weights import request_layout


@dataclass(frozen=True)
class WeightPort:
    """Two streams of a core: requests (base, count) for words of a memory, and the words, in order.

    Parameters
    ----------
    unit: name of the unit that needs them.  width: bits of a word.
    depth: words of the memory.  most: words of a request.
    """

    unit: str
    width: int
    depth: int
    most: int

    @property
    def memory(self) -> str:
        """Name of its words in the memory image."""
        return f"{self.unit}.weights"

    def members(self) -> dict:
        """The members of a core."""
        request = request_layout(self.depth, self.most)
        return {
            f"weight_requests_{self.unit}": Out(stream.Signature(request)),
            f"weights_{self.unit}": In(stream.Signature(self.width)),
        }

    def streams(self, core) -> tuple:
        """(requests, words) of a core."""
        return getattr(core, f"weight_requests_{self.unit}"), getattr(core, f"weights_{self.unit}")

    def join(self, m: Module, core, unit) -> None:
        """Connect the unit of a core to the core's streams, from inside."""
        requests, words = self.streams(core)
        wiring.connect(m, unit.requests, wiring.flipped(requests))
        wiring.connect(m, wiring.flipped(words), unit.weights)


def weight_ports(plan: Plan, schedule: Schedule) -> Sequence[WeightPort]:
    """One port for every linear unit when weights are streamed, else none."""
    if schedule.weights != "stream":
        return []
    ports = []
    for unit in schedule.units:
        if unit.kind == "linear":
            jobs = unit_jobs(plan, schedule, unit)
            stages, layers = [job.template for job in jobs], [len(job.stages) for job in jobs]
            orders = vector_orders(plan, schedule, jobs)
            geometry = Geometry(stages, layers, unit.lanes, unit.rows, orders)
            width = unit.lanes * unit.rows * stages[0].weight_bits
            ports.append(WeightPort(unit.name, width, geometry.depth, geometry.most))
    return ports
