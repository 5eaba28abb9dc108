"""``python -m boards gatesim``: a board's netlist, simulated at its pins."""

from __future__ import annotations

from typing import Annotated

from boards import build, fit
from boards import gatesim as netlists
from boards.board import Board
from boards.catalogue import BOARDS, find_board
from boards.commands.bitstream import (
    CACHE,
    Clock,
    Multipliers,
    Schedule,
    clock_of,
    write_json,
)
from boards.order import design_of, order_of
from golden import checked
from golden.commands import options
from golden.errors import WeftError, check_writable
from golden.plan import Plan
from golden.tokenizer import tokenizer_for
from sim.build import BUILD, Target
from sim.commands.options import SAMPLING, Lanes, Names, Prompt, Temperature, Tokens
from sim.show import Voice
from sim.workload import Sampling, make_requests

NAMES = 2


def gatesim(
    board: Annotated[str, checked.choice(of=BOARDS, help="Whose netlist.")] = "arty",
    model: options.Model = options.MODEL,
    checkpoint: options.CheckpointFile = None,
    numbers: options.Numbers = None,
    multipliers: Multipliers = None,
    schedule: Schedule = None,
    lanes: Lanes = None,
    clock: Clock = None,
    names: Names = NAMES,
    tokens: Tokens = None,
    temperature: Temperature = SAMPLING.temperature,
    seed: options.Seed = SAMPLING.seed,
    prompt: Prompt = "",
) -> None:
    """Simulate the netlist for a board at its pins; compare its tokens, cycles and replies."""
    chosen = find_board(board)
    folder = BUILD / "gatesim" / chosen.name / model
    check_writable(folder / "report.json")
    mhz = clock_of(chosen, clock)
    target = Target(model, checkpoint, numbers, schedule, lanes=lanes)
    way, design = design_of(chosen, target, multipliers, fastest)
    requests = make_requests(design.checkpoint, Sampling(temperature, seed), names, prompt, tokens)
    order = order_of(chosen, design, mhz, seed)
    print(f"{model} ({way}) for {chosen.title}, {order.made_mhz:g} MHz", flush=True)
    netlist = netlists.netlist_of(build.synthesise(order, CACHE))
    folder.mkdir(parents=True, exist_ok=True)
    cycles = netlists.core_cycles(design, requests, folder)
    checker = netlists.checker_for(order, design, cycles)
    with Voice(tokenizer_for(design.checkpoint), requests, streams=1) as voice:
        result = netlists.simulate(order, netlist, checker, requests, folder, CACHE, voice.say)
    report = netlists.make_report(order, design, result)
    write_json(folder / "report.json", report)
    show(report)
    print(folder / "report.json")


def fastest(
    board: Board, plan: Plan, schedule: str | None, multipliers: int | None
) -> fit.Configuration:
    """The fastest configuration that fits; the smallest that there is if none does."""
    try:
        return fit.choose(board, plan, schedule, multipliers)
    except WeftError:
        return fit.configurations(board, plan, schedule, multipliers)[-1]


def show(report: dict) -> None:
    """The figures for people."""
    print(f"  {report['tokens']} tokens, {report['compared']:,} values compared, no mismatch")
    print(
        f"  {sum(report['cells'].values()):,} cells, {report['simulated_cycles']:,} cycles "
        f"in {report['wall_seconds']:.1f} s"
    )
