"""``python -m boards chat``: talk to a board, or to a simulated chip."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from boards import gateware
from boards.catalogue import BOARDS, find_board
from boards.host.chat import Chat, typed_lines
from boards.host.ports import find_port
from golden import checked
from golden.commands import options
from golden.errors import OptionError
from golden.schedule import SCHEDULES
from sim import chip
from sim.build import Design, Target, make_design, quantised
from sim.commands import options as simulation
from sim.host import Link
from sim.memory.models import MEMORIES
from sim.serial_port import SerialPort
from sim.workload import Sampling

TOKEN_TIMEOUT = 5.0
"""Seconds for a token of a board: a thousand times what one takes."""

DEFAULT = Target()


def chat(
    board: Annotated[
        str | None, checked.choice(of=BOARDS, help="Which is attached; a simulated chip if none.")
    ] = None,
    port: Annotated[
        Path | None, checked.file(help="Serial port of the board; it is searched for if none.")
    ] = None,
    model: options.Model = options.MODEL,
    checkpoint: options.CheckpointFile = None,
    numbers: options.Numbers = DEFAULT.numbers,
    scales: options.Scales = DEFAULT.scales,
    cache_bits: options.CacheBits = DEFAULT.cache_bits,
    context: options.Context = DEFAULT.context,
    window: options.Window = DEFAULT.window,
    multipliers: Annotated[
        int | None,
        checked.whole(least=1, most=options.MOST_MULTIPLIERS, help="Of a simulated chip."),
    ] = None,
    lanes: simulation.Lanes = None,
    schedule: Annotated[
        str | None, checked.choice(of=SCHEDULES, help="Of a simulated chip.")
    ] = None,
    memory: Annotated[
        str | None, checked.choice(of=MEMORIES, help="External memory of a simulated chip.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="What to say to the model; without it, lines are read.")
    ] = None,
    names: simulation.Names = 1,
    tokens: simulation.Tokens = None,
    temperature: simulation.Temperature = simulation.SAMPLING.temperature,
    seed: simulation.Seed = simulation.SAMPLING.seed,
) -> None:
    """Talk to a board over its serial port, or to a simulated chip through its UART."""
    settings = {"sampling": Sampling(temperature, seed), "names": names, "tokens": tokens}
    own = {"multipliers": multipliers, "lanes": lanes, "schedule": schedule, "memory": memory}
    own = {name: value for name, value in own.items() if value is not None}
    target = Target(
        model, checkpoint, numbers, scales=scales, cache_bits=cache_bits, context=context,
        window=window, **own,
    )  # fmt: skip
    if board is None and port is None:
        device = simulated(target)
    else:
        if own:
            raise OptionError(next(iter(own)), "is for a simulated chip; leave it out for a board")
        device = attached(board, port, target)
    with device as (link, known):
        talk(Chat(link, **known, **settings), prompt)


@contextmanager
def simulated(target: Target) -> Iterator[tuple]:
    """Link of a simulated chip, and what a Chat must know of it."""
    design = make_design(target)
    known = {"checkpoint": design.checkpoint, "plan": design.plan, "simulated": True}
    if design.schedule.port:
        known["bound"] = partial(prompt_bound, design)
    with chip.running(design, chip.build(design)) as link:
        yield link, known


def prompt_bound(design: Design, tokens: int) -> float:
    """Cycles from a prompt to the first sampled token, at least: what the memory takes."""
    bound = partial(design.external.bound, design.plan)
    before = (bound([position], sampled=False) for position in range(tokens - 1))
    return sum(before) + bound([tokens - 1])


@contextmanager
def attached(board: str | None, port: Path | None, target: Target) -> Iterator[tuple]:
    """Link of a real device, and what a Chat must know of it."""
    named = None if board is None else find_board(board)
    known = dict(zip(("checkpoint", "plan"), quantised(target), strict=True))

    def find() -> str:
        return find_port(named) if port is None else str(port)

    with closing(SerialPort(find, gateware.BAUD)) as opened:
        yield Link(opened, token_timeout=TOKEN_TIMEOUT), known


def talk(chat: Chat, prompt: str | None) -> None:
    """Answer the prompt if there is one, else all lines of stdin; a person is told how."""
    device = chat.meet()
    person = prompt is None and sys.stdin.isatty()
    if person:
        what = "simulated chip" if chat.simulated else "device"
        print(
            f"{chat.plan.name} on a {what} at {device.clock_hz / 1e6:g} MHz, plan "
            f"{device.digest}\n{chat.help}",
            file=sys.stderr,
        )
    lines = typed_lines() if person else sys.stdin if prompt is None else [prompt]
    chat.converse(lines, patient=person)
