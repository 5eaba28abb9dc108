"""Cycles, bounds and memory of the gateware, and how fast each engine simulates it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from golden.generate import Request
from golden.numbers import EXPONENT_BITS, MANTISSA_BITS, Block
from golden.schedule import sections
from golden.stage import Attention, stage_macs
from sim import bench
from sim.build import BUILD, Design, Target, build, make_design, weight_bits
from sim.compare import ACCEPT
from sim.engines import Simulation
from sim.report import make_report, multipliers
from sim.session import WATCHDOG, Outcome, run
from sim.spans import intervals
from sim.workload import Sampling, make_requests, request_rows

FOLDER = BUILD / "results"
SAMPLING = Sampling()


@dataclass(frozen=True)
class Case:
    """A configuration that is measured."""

    name: str
    target: Target


CASES = (
    Case("microgpt, folded", Target()),
    Case("microgpt, folded, 8 multipliers", Target(multipliers=8)),
    Case("microgpt, pipelined", Target(schedule="pipelined")),
    Case("microgpt, folded, block numbers", Target(numbers="block")),
    Case("ailang, folded", Target(model="ailang")),
)

ENGINE_RUNS = {"verilator": (64, None), "icarus": (1, 4), "amaranth": (1, 2)}
"""Sequences, and tokens of each (None: a full context), that an engine simulates for its speed."""

WEIGHTS = ("weights", "biases", "tokens", "positions")
SMALL = ("parameters", "shift")


def full_contexts(design: Design, sequences: int, tokens: int | None = None) -> list[Request]:
    """Requests that no stop token ends: every position of the context is measured equally often."""
    requests = make_requests(design.checkpoint, SAMPLING, sequences, tokens=tokens)
    return [replace(request, stop=None) for request in requests]


def measure_cases(contexts: int, words: int, say: Callable[[str], None]) -> list[dict]:
    """A row for each of CASES: its report, its memory, and where the cycles of a token go."""
    rows = []
    for case in CASES:
        say(case.name)
        design = make_design(case.target)
        endless = design.plan.n_ctx is None
        requests = full_contexts(design, 1 if endless else contexts, words if endless else None)
        simulation = build(design, "verilator")
        outcome = run(design, simulation, requests, folder(case.name))
        report = make_report(case.target, design, "verilator", SAMPLING, requests, outcome)
        rows.append(
            {
                "name": case.name,
                "model": report["model"],
                "schedule": report["options"]["schedule"],
                "numbers": report["options"]["numbers"],
                "multipliers": multipliers(design),
                "streams": report["options"]["streams"],
                "plan_digest": report["plan_digest"],
                "parameters": report["parameters"],
                "tokens": report["tokens"],
                "sampled": report["sampled"],
                "compared": report["compared"],
                "mismatches": report["mismatches"],
                "saturated": report["saturated"],
                "cycles": report["cycles_per_token"],
                "throughput": report["throughput_cycles_per_token"],
                "bound": report["bound"]["multiplier_cycles"],
                "utilisation": report["utilisation"],
                "stages": report["stages"],
                "timeline": timeline(design, outcome),
                "memory": memory_bits(design, simulation),
            }
        )
    return rows


def folder(name: str) -> Path:
    """Where a run called ``name`` writes its files."""
    return FOLDER / name.replace(",", "").replace(" ", "-")


def timeline(design: Design, outcome: Outcome) -> dict:
    """When each stage of one token works: the token at the last position of the first sequence.

    Cycles count from the acceptance of the token.
    """
    spans = outcome.checker.spans
    token = max(key[1:3] for key in spans if key[0] == ACCEPT and key[1] == 0)
    accepted = spans[ACCEPT, *token, 0][0]
    parts = sections(design.plan, design.schedule.instances)
    known = {(section, stage.name): stage for section, part in parts for stage in part}
    stages = []
    for section, name, of, begin, end in intervals(design, outcome):
        if of == token:
            stage, unit = known[section, name], design.schedule.unit(section, name)
            macs = stage_macs(stage, token[1])
            stages.append(
                {
                    "name": name,
                    "kind": stage.kind,
                    "begin": begin - accepted,
                    "end": end - accepted,
                    "bound": unit.bound(macs),
                }
            )
    return {"position": token[1], "stages": sorted(stages, key=lambda row: row["end"])}


def memory_bits(design: Design, simulation: Simulation) -> dict[str, int]:
    """Bits of the memories: what the hardware holds, padding included, and what the model needs."""
    bits = dict.fromkeys(("weights", "tables", "parameters"), 0)
    for name, (width, depth) in simulation.design.memories.items():
        if name not in (bench.REQUESTS, bench.SETTINGS):
            what = name.rsplit(".", 1)[1]
            kind = "weights" if what in WEIGHTS else "parameters" if what in SMALL else "tables"
            bits[kind] += width * depth
    return bits | {
        "cache": cache_bits(design),
        "packed_weights": weight_bits(design.plan),
    }


def cache_bits(design: Design) -> int:
    """Bits of the keys and values that attention keeps, over all layers and streams."""
    total = 0
    for _, stage in design.plan.stages():
        if isinstance(stage, Attention):
            exponents = sum(isinstance(form, Block) for form in (stage.key, stage.value))
            slot = 2 * stage.output_size * MANTISSA_BITS + exponents * EXPONENT_BITS
            total += design.schedule.streams * stage.slots * slot
    return total


def engine_speeds() -> list[dict]:
    """Cycles a second that each engine simulates microgpt with, everything recorded and compared.

    The compiled one is also measured with nothing recorded.
    """
    design = make_design(Target())
    rows = []
    for engine, (sequences, tokens) in ENGINE_RUNS.items():
        requests = full_contexts(design, sequences, tokens)
        simulation = build(design, engine)
        where = folder(f"engine {engine}")
        outcome = run(design, simulation, requests, where)
        rows.append(
            {
                "engine": engine,
                "recorded": True,
                "tokens": outcome.checker.tokens,
                "compared": outcome.checker.compared,
                "mismatches": 0,  # a run with one ends at the first
                "cycles": outcome.simulated_cycles,
                "seconds": outcome.wall_seconds,
            }
        )
        if engine == "verilator":
            rows.append(silent_speed(design, simulation, requests, where) | {"engine": engine})
    return rows


def silent_speed(design: Design, simulation: Simulation, requests, where: Path) -> dict:
    """The same run with nothing recorded but tokens."""
    image = dict(design.loaded())
    image[bench.REQUESTS] = bench.requests(simulation.design, list(request_rows(requests)))
    image[bench.SETTINGS] = bench.settings(record=False, watchdog=WATCHDOG)
    started = time.perf_counter()
    *_, last = simulation.run(image, where)
    seconds = time.perf_counter() - started
    tokens = sum(request.count for request in requests)
    cycles = int(last.split()[1], 16)
    return {
        "recorded": False, "tokens": tokens, "compared": 0, "cycles": cycles, "seconds": seconds,
    }  # fmt: skip
