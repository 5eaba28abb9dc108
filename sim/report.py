"""The account of a run: one JSON file with stable keys, and the table that people read."""

from __future__ import annotations

import resource
import statistics
import tomllib
from collections.abc import Sequence

import numpy as np

from golden.accuracy import measure
from golden.generate import Request
from golden.schedule import Unit
from golden.stage import stage_macs
from golden.tokenizer import shown_ids, tokenizer_for
from hdl.build import unit_jobs
from hdl.weight_ports import weight_ports
from sim import external_report, tools
from sim.build import Design, Target
from sim.mismatch import Mismatch
from sim.session import Outcome
from sim.setup.paths import ROOT
from sim.spans import mean_cycles, positions, stage_of, throughput_cycles
from sim.workload import Sampling

VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
"""Of Weft."""

ACCURACY_TOKENS = 512
"""Tokens of the run on which float accuracy is measured, at the most."""


def make_report(
    target: Target, design: Design, engine: str, sampling: Sampling, requests, outcome: Outcome
) -> dict:
    """The report of a run; keys as in the README."""
    cycles = [token["cycles"] for _, token in outcome.tokens]
    throughput = throughput_cycles(outcome)
    bound = bounds(design, outcome)
    taken = statistics.fmean(cycles) if design.schedule.port else throughput
    return _identity(target, design, engine, sampling, requests, outcome) | {
        "cycles_per_token": cycles_per_token(cycles),
        "throughput_cycles_per_token": throughput,
        "bound": bound,
        "utilisation": bound[f"{bound['binding']}_cycles"] / taken,
        **_of_memory(design, outcome),
        "stages": stage_rows(design, outcome),
        **_of_simulation(outcome),
        "accuracy": float_accuracy(design, requests, outcome),
    }


def interrupted_report(
    target: Target, design: Design, engine: str, sampling: Sampling, requests, outcome: Outcome
) -> dict:
    """The report of a run that Ctrl-C ended: what it was of, and what was measured until then."""
    told = _identity(target, design, engine, sampling, requests, outcome) | {"interrupted": True}
    if outcome.tokens:
        told["cycles_per_token"] = cycles_per_token([t["cycles"] for _, t in outcome.tokens])
    return told | _of_memory(design, outcome) | _of_simulation(outcome)


def _of_memory(design: Design, outcome: Outcome) -> dict:
    """What only a core with an external memory has to tell."""
    return external_report.figures(design, outcome) if design.schedule.port else {}


def _of_simulation(outcome: Outcome) -> dict:
    """What the simulation itself came to, comparison included."""
    return {
        "simulated_cycles": outcome.simulated_cycles,
        "simulated_cycles_per_second": outcome.simulated_cycles / outcome.wall_seconds,
        "wall_seconds": outcome.wall_seconds,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def mismatch_report(
    target: Target, design: Design, engine: str, sampling: Sampling, requests, found: Mismatch
) -> dict:
    """The report of a run that a mismatch ended: what it was of, what it gave, and the place."""
    identity = _identity(target, design, engine, sampling, requests, found.outcome)
    return identity | {"mismatch": {"sentence": str(found), **found.place}}


def _identity(
    target: Target, design: Design, engine: str, sampling: Sampling, requests, outcome: Outcome
) -> dict:
    """What a report says of every run, whether or not it came to its end."""
    tokenizer = tokenizer_for(design.checkpoint)
    return {
        "version": VERSION,
        "model": design.plan.name,
        "plan_digest": design.plan.digest(),
        "checkpoint_digest": design.checkpoint.digest,
        "seed": sampling.seed,
        "temperature": sampling.temperature,
        "tools": tools.versions(),
        "parameters": design.checkpoint.config.parameters,
        "engine": engine,
        "options": {
            "multipliers": design.schedule.multipliers,
            "streams": design.schedule.streams,
            "schedule": design.schedule.name,
            "weights": design.schedule.weights,
            "numbers": design.plan.numbers,
            "scales": design.plan.scales,
            "cache_bits": design.plan.cache_bits,
            "context": design.checkpoint.config.n_ctx,
            "window": design.checkpoint.config.window,
            "lanes": target.lanes,
            "port": design.schedule.port,
            "memory": design.external.memory if design.schedule.port else None,
            "controller": design.external.controller if design.schedule.port else None,
            "start": requests[0].start,
            "prompt": tokenizer.decode(shown_ids(tokenizer, requests[0].prompt)),
            "names": len(requests),
            "tokens": requests[0].count,
        },
        "text": spoken(design, requests, outcome),
        "tokens": outcome.checker.tokens,
        "sampled": len(outcome.tokens),
        "compared": outcome.checker.compared,
        "mismatches": outcome.checker.mismatches,
        "saturated": sorted(design.plan.place(*key) for key in outcome.checker.saturated),
    }


def cycles_per_token(cycles: Sequence[int]) -> dict:
    """What is reported of the cycles that the hardware counted for each sampled token."""
    return {"first": cycles[0], "mean": statistics.fmean(cycles), "max": max(cycles)}


def spoken(design: Design, requests: Sequence[Request], outcome: Outcome) -> list[str]:
    """The text of every sequence, prompt included."""
    tokenizer = tokenizer_for(design.checkpoint)
    tokens = {r.sequence: list(shown_ids(tokenizer, r.prompt)) for r in requests}
    for _, token in outcome.tokens:
        tokens[token["sequence"]].append(token["token"])
    return [tokenizer.decode(ids) for ids in tokens.values()]


def multipliers(design: Design) -> int:
    """Multipliers of all arrays."""
    arrays = design.schedule.arrays().values()
    return sum(max(unit.multipliers for unit in users) for users in arrays)


def bounds(design: Design, outcome: Outcome) -> dict:
    """Cycles a token that no machine with these multipliers and memories can go below.

    Products of weights and attention only, every multiplier busy in every cycle; the mean over the
    positions of the run.  Weights on chip cost no memory cycles; streamed weights are read once a
    token, without what fills their words, each port at its whole width in every cycle; the port
    that takes longest counts, and ``memory_bytes_per_cycle`` is its width.  With an external memory
    only tokens count after which one was sampled: the others do not read the head.
    """
    external = bool(design.schedule.port)
    seen = external_report.sampled_positions(outcome) if external else positions(outcome)
    macs = statistics.fmean(design.plan.macs(position) for position in seen)
    products = macs / design.schedule.multipliers
    memory, width = max(_port_cycles(design), default=(0, 0))
    if external:
        memory = design.external.bound(design.plan, seen)
        width = design.external.bytes_per_cycle
    return {
        "multiplier_cycles": products,
        "memory_cycles": memory,
        "memory_bytes_per_cycle": width,
        "binding": "memory" if memory > products else "multiplier",
    }


def _port_cycles(design: Design) -> list[tuple[float, float]]:
    """(cycles a token, bytes a cycle) of every port of streamed weights."""
    plan, schedule = design.plan, design.schedule
    ports = []
    for port in weight_ports(plan, schedule):
        unit = next(unit for unit in schedule.units if unit.name == port.unit)
        stages = [stage for job in unit_jobs(plan, schedule, unit) for stage in job.stages]
        bits = sum(stage.weights.size * stage.weight_bits for stage in stages)
        ports.append((bits / port.width, port.width / 8))
    return ports


def stage_rows(design: Design, outcome: Outcome) -> list[dict]:
    """A row a stage: cycles a token adds there, what its unit did, and its bound.

    ``cycles``: from the last of its inputs to the last beat of its answer, mean over tokens;
    ``busy`` and ``blocked``: cycles a token in which its unit held its work, and could not pass it
    on or had no multipliers; ``starved``: all other cycles.
    """
    schedule, count = design.schedule, outcome.checker.tokens
    total = throughput_cycles(outcome)
    spans = mean_cycles(design, outcome)
    seen = positions(outcome)
    rows = []
    for (section, name), unit_name in schedule.binding:
        unit = schedule.unit(section, name)
        job = schedule.jobs(unit).index((section, name))
        busy, blocked = (x / count for x in outcome.counters.get((unit_name, job), (0, 0)))
        stage = stage_of(design.plan, section, name)
        passes = len(design.plan.layers) // schedule.instances if section.startswith("layer") else 1
        macs = passes * statistics.fmean(stage_macs(stage, position) for position in seen)
        rows.append(
            {
                "name": f"{section}.{name}",
                "unit": unit_name,
                "cycles": spans.get((section, name), 0.0),
                "busy": busy,
                "starved": total - busy - blocked,
                "blocked": blocked,
                "macs": macs,
                "multipliers": _unit_multipliers(unit),
                "bound": unit.bound(macs),
            }
        )
    return rows


def _unit_multipliers(unit: Unit) -> int:
    return unit.multipliers if unit.array else 0


def float_accuracy(design: Design, requests: Sequence[Request], outcome: Outcome) -> dict:
    """The integer model beside the float model, on the texts of this run."""
    texts = {request.sequence: list(request.prompt) for request in requests}
    for _, token in outcome.tokens:
        texts[token["sequence"]].append(token["token"])
    chosen, left = [], ACCURACY_TOKENS
    for tokens in texts.values():
        if left > 0 and len(tokens) > 1:
            chosen.append(np.array(tokens[: left + 1]))
            left -= len(chosen[-1]) - 1
    return measure(design.checkpoint, design.plan, chosen).to_dict()
