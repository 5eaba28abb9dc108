"""``python -m boards count``: what synthesis makes of the bare core, part by part."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table

from boards.families import FAMILIES, RESOURCES, Family, find_family
from boards.synthesis import FABRIC, Part, synthesise
from golden import checked
from golden.errors import check_writable, write_whole
from golden.schedule import Schedule
from golden.words import counted
from hdl.memory import Memories
from sim.build import BUILD, Design, Target, make_design
from sim.commands import options

VERSION = 1
TABLE_WIDTH = 110


@options.with_target
def count(
    target: Target,
    family: Annotated[str, checked.choice(of=FAMILIES, help="Of chips.")] = "xc7",
    processes: Annotated[
        int | None, checked.whole(least=1, help="Parts synthesised at once; all cores if none.")
    ] = None,
    output: Annotated[
        Path | None,
        checked.file(
            ends=(".json",), help="Report; build/boards/<family>/<model>/count.json if none."
        ),
    ] = None,
) -> None:
    """Count DSP blocks, look-up tables, registers and memories, and list products in logic."""
    output = output or BUILD / "boards" / family / target.model / "count.json"
    check_writable(output)
    design = make_design(target)
    chosen = find_family(family)
    found = count_design(design, chosen, processes or os.cpu_count() or 1)
    report = make_report(target, design, chosen, found)
    write_whole(output, (json.dumps(report, indent=2) + "\n").encode())
    show(report, output)


def count_design(design: Design, family: Family, processes: int = 1) -> list[Part]:
    """The bare core, its weights included, part by part: units, generator, noise, arrays, rest."""
    core = design.core(Memories(design.image), observe=False)
    names = part_names(design.schedule)
    return synthesise(core, family, names, processes)


def part_names(schedule: Schedule) -> list[str]:
    """Submodules of a core that are counted apart."""
    units = [unit.name for unit in schedule.units]
    users = schedule.arrays()
    arrays = [f"{name}_array" for name in users]
    noise = ["noise"] if any(unit.kind == "sample" for unit in schedule.units) else []
    return [*arrays, *units, *noise, "generator"]


def make_report(target: Target, design: Design, family: Family, parts: list[Part]) -> dict:
    """What was counted, with stable keys."""
    counts = {part.name: part.counts(family) for part in parts}
    total = {name: sum(each[name] for each in counts.values()) for name in RESOURCES}
    asked = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(target).items()}
    packages = ("amaranth", "pyosys")
    return {
        "version": VERSION,
        "model": target.model,
        "family": family.name,
        "plan_digest": design.plan.digest(),
        "tools": {name: importlib.metadata.version(name) for name in packages},
        "options": asked,
        "multipliers": array_multipliers(design.schedule),
        "total": total,
        "unregistered_dsp": sum(part.unregistered for part in parts),
        "parts": {
            part.name: {
                **counts[part.name],
                "cells": dict(sorted(part.cells.items())),
                "products": len(part.products),
                "products_in_logic": [asdict(product) for product in part.soft],
                "memories": [asdict(memory) for memory in part.memories],
            }
            for part in parts
        },
    }


def array_multipliers(schedule: Schedule) -> int:
    """Multipliers that the arrays of a schedule hold."""
    return sum(max(u.multipliers for u in users) for users in schedule.arrays().values())


def show(report: dict, path: Path) -> None:
    """The table of parts, and what deserves a look."""
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
    table = Table(title=f"{report['model']} on {report['family']}")
    table.add_column("part")
    for name in RESOURCES:
        table.add_column(name, justify="right")
    rows = sorted(report["parts"].items(), key=lambda item: -item[1]["lut"])
    for name, part in rows:
        table.add_row(name, *(f"{part[r]:,}" for r in RESOURCES))
    table.add_section()
    table.add_row("total", *(f"{report['total'][r]:,}" for r in RESOURCES))
    console.print(table)
    print(f"Scheduled: {counted(report['multipliers'], 'multiplier')}.", end=" ")
    print(f"DSP blocks without all their registers: {report['unregistered_dsp']}.")
    for name, part in rows:
        for p in part["products_in_logic"]:
            by = " by a constant" if p["constant"] else ""
            print(f"{name}: a product of {p['a']} x {p['b']} bits{by} in logic: {p['line']}")
    if not any(part["products_in_logic"] for _, part in rows):
        print("No product is formed in look-up tables.")
    if report["parts"][FABRIC]["lutram"]:
        print(f"{FABRIC}: queues and width converters between units.")
    print(path)
