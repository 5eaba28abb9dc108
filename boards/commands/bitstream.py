"""``python -m boards bitstream``: a model's gateware as a bitstream for a board."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from boards import build, fit, vivado
from boards.board import Board
from boards.catalogue import BOARDS, find_board
from boards.dram.files import check_clock
from boards.order import design_of, order_of
from boards.report import make_report, project_report, with_bitstream
from boards.resources import NAMES, fits, used
from golden import checked
from golden.commands import options
from golden.errors import OptionError, WeftError, check_writable, write_whole
from golden.numbers import MANTISSA_BITS
from sim.build import BUILD, Target
from sim.commands.options import Lanes
from sim.measure import measure

CACHE = BUILD / "cache" / "boards"
FASTEST = 1000
FREQUENCIES = f"a frequency from 1 to {FASTEST} MHz"
TOOLCHAINS = ("open", "vivado")

Multipliers = Annotated[
    int | None,
    checked.whole(least=1, most=options.MOST_MULTIPLIERS, help="As many as fit if none."),
]
Clock = Annotated[
    float | None, checked.number(expected=FREQUENCIES, help="In MHz; the board's if none.")
]
Schedule = Annotated[
    str | None, checked.choice(of=fit.SCHEDULES, help="The fastest that fits if none.")
]


def bitstream(
    board: Annotated[str, checked.choice(of=BOARDS, help="Where it goes.")] = "arty",
    model: options.Model = options.MODEL,
    checkpoint: options.CheckpointFile = None,
    numbers: options.Numbers = None,
    scales: options.Scales = None,
    cache_bits: options.CacheBits = MANTISSA_BITS,
    context: options.Context = None,
    window: options.Window = None,
    multipliers: Multipliers = None,
    lanes: Lanes = None,
    schedule: Schedule = None,
    clock: Clock = None,
    seed: options.Seed = build.SEED,
    toolchain: Annotated[str, checked.choice(of=TOOLCHAINS, help="Which makes it.")] = "open",
) -> None:
    """Make a bitstream, and report what it uses and how fast it is."""
    chosen = find_board(board)
    folder = BUILD / "boards" / chosen.name / model
    for name in ("report.json", "timing.json"):
        check_writable(folder / name)
    mhz = clock_of(chosen, clock)
    target = Target(
        model, checkpoint, numbers, schedule, lanes=lanes, scales=scales, cache_bits=cache_bits,
        context=context, window=window,
    )  # fmt: skip
    way, design = design_of(chosen, target, multipliers, fit.choose)
    order = order_of(chosen, design, mhz, seed)
    made = order.made_mhz
    print(f"{model} ({way}) on {chosen.title}, {made:g} MHz", flush=True)
    if design.schedule.port:
        check_clock(mhz)
    if toolchain == "vivado":
        with_vivado(order, folder, partial(project_report, order, design, way))
        return
    if design.schedule.port:
        raise WeftError(
            f"the open tools leave out the reference voltage of the memory's pins on "
            f"{chosen.title}, and its PLL may not lock: use TOOLCHAIN=vivado"
        )
    netlist = build.synthesise(order, CACHE)
    needs = used(chosen.family, netlist)
    if not fits(chosen, needs):
        raise WeftError(fit.refusal(chosen, design.plan, needs))
    placed = build.close(order, netlist, CACHE)
    report = make_report(order, model, way, placed, needs)
    write_json(folder / "timing.json", report)  # of a failure too; the report is of what is there
    product = build.pack(order, placed, CACHE)
    measured = measure(design)
    output = folder / product.name
    write_whole(output, product.read_bytes())
    report = with_bitstream(report, output, measured)
    write_json(folder / "report.json", report)
    show(chosen, report)
    print(folder / "report.json")
    print(output)


def clock_of(board: Board, asked: float | None) -> float:
    """The clock that is wanted, in MHz."""
    if asked is not None and not 1 <= asked <= FASTEST:
        raise OptionError("clock", f"is {asked:g}; expected {FREQUENCIES}")
    return board.clock_mhz if asked is None else asked


def with_vivado(order: build.Order, folder: Path, report: Callable[[], dict] = dict) -> None:
    """The same with Vivado's tools: a bitstream if timing closes.

    ``report`` is written beside the project, which is all that there is without Vivado.
    """
    project = folder / "vivado"
    script = vivado.write_project(order, project)
    write_json(project / "report.json", report())
    product = vivado.run(script)
    reached = vivado.fmax(project, order.made_mhz)
    if reached < order.made_mhz:
        raise WeftError(
            f"timing does not close on {order.board.title}: Vivado's layout reaches "
            f"{reached:.1f} MHz of {order.made_mhz:g} MHz; give a lower CLOCK or fewer MULTIPLIERS"
        )
    output = folder / product.name
    write_whole(output, product.read_bytes())
    print(f"{reached:.1f} MHz of {order.made_mhz:g} MHz: {output}")


def write_json(path: Path, content: dict) -> None:
    """Write a report."""
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())


def show(board: Board, report: dict) -> None:
    """The figures for people."""
    for name, number in report["used"].items():
        there = board.available[name]
        typer.echo(f"  {NAMES[name]:16} {number:7,} of {there:7,} ({number / there:.0%})")
    typer.echo(f"  {'clock':16} {report['clock_mhz']:g} MHz; up to {report['fmax_mhz']:g} MHz")
    cycles, rate = report["cycles_per_token"], report["tokens_per_second"]
    typer.echo(
        f"  {'cycles a token':16} {cycles['first']} first, {cycles['mean']:.1f} mean, "
        f"{cycles['max']} max, as this gateware counts them when simulated"
    )
    typer.echo(f"  {'tokens/s':16} {rate:,.0f} at {report['clock_mhz']:g} MHz (post-route)")
    for arcs in report["untimed"]:
        typer.echo(f"  not timed by this tool: {arcs}")
