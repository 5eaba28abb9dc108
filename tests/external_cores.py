"""Cores with an external memory, for tests: small models of the llama family, and their runs."""

from dataclasses import dataclass, replace
from pathlib import Path

from golden.balancer import make_schedule
from golden.config import LINEARS
from golden.model import Checkpoint, ModelConfig
from golden.quantize import Options, quantize
from hdl.build import memory_image
from sim import session
from sim.build import Design
from sim.engines import Simulation
from sim.engines.icarus import Icarus
from sim.engines.verilator import Verilator
from sim.external import External
from sim.external_report import prefill_cycles
from tests.llama import BASE, random_llama
from tests.models import CACHE

ROWS = replace(BASE, n_head=6, d_model=36, d_ff=50, n_vocab=37, n_ctx=24)
"""Heads of 6 elements, three of which share keys; a memory of rows; two layers; tied."""

GROUPS = replace(
    BASE, n_layer=1, d_model=64, d_ff=96, n_vocab=19, n_ctx=None, window=5, tied_head=False
)
"""A window that slides; a memory of groups."""


@dataclass(frozen=True)
class Case:
    """A model, how it is quantised, and the memory.

    ``played``: the memory is part of the bench; otherwise it is the fast model of ``memory``'s.
    """

    config: ModelConfig
    scales: str
    port: int
    cache_bits: int = 16
    played: bool = False
    memory: str = "arty"
    engine: str = "verilator"

    def design(self, source: Checkpoint | None = None, seed: int = 0) -> Design:
        """The design of a checkpoint, or of random weights."""
        source = source or random_llama(self.config, seed)
        plan = quantize(source, Options(scales=self.scales, cache_bits=self.cache_bits))
        schedule = make_schedule(plan, "external", port=self.port)
        outside = External(self.memory, "fast", self.port)
        return Design(source, plan, schedule, memory_image(plan, schedule), outside)

    def built(self, made: Design) -> Simulation:
        """The design's simulation, compiled for few cycles."""
        if self.engine == "icarus":
            return Icarus().build(made.bench, made.key(), CACHE)
        if self.played:
            return Verilator(quick=True).build(made.bench, made.key(), CACHE)
        return Verilator(quick=True).build(made.open_bench, f"{made.key()} open", CACHE)

    def run(self, made: Design, requests, folder: Path, **settings) -> session.Outcome:
        """Run requests; every tap is compared."""
        return session.run(made, self.built(made), requests, folder, **settings)


OPEN = Case(ROWS, "row", 128)
PLAYED = Case(replace(GROUPS, biases=LINEARS), "group", 64, cache_bits=8, played=True)


def token_cycles(outcome: session.Outcome, sequence: int = 0) -> dict[int, int]:
    """Cycles of every sampled token, by position, as the hardware counted them."""
    said = [token for _, token in outcome.tokens]
    return {t["position"]: t["cycles"] for t in said if t["sequence"] == sequence}


def prefill(outcome: session.Outcome, sequence: int = 0) -> dict[int, int]:
    """Cycles of every token of a prompt after which none was sampled, by position."""
    found = prefill_cycles(outcome).items()
    return {position: cycles for (of, position), cycles in found if of == sequence}
