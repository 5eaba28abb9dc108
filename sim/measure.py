"""Cycles a token as a simulated chip counts them, asked for through its UART."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from golden.errors import WeftError
from golden.generate import Request, sampled_steps
from sim import chip
from sim.build import CACHE, Design
from sim.engines import cache
from sim.host import Link, Token
from sim.mismatch import Mismatch
from sim.report import cycles_per_token
from sim.workload import Sampling, make_requests

NAMES = 20
"""Of the workload: that of `make sim` without options."""

FILE = "cycles.json"


def measure(design: Design, folder: Path = CACHE, quick: bool = False) -> dict:
    """``first``, ``mean`` and ``max`` of a design, for the workload of `make sim`; kept.

    Raises
    ------
    Mismatch
        If the chip samples another token than the integer model.
    WeftError
        If its counters contradict its tokens, or it cannot be simulated.
    """
    simulation = chip.build(design, folder, quick)
    program = simulation.program(None).parent.name
    name = cache.digest(program, design.plan.digest(), cache.sources_digest())

    def make(target: Path) -> None:
        with chip.running(design, simulation) as link:
            requests = make_requests(design.checkpoint, Sampling(), NAMES)
            counted = cycles_per_token(list(cycles(link, design, requests)))
        (target / FILE).write_text(json.dumps(counted))

    made = cache.cached(folder / "cycles" / name, make, "counting the cycles of the simulated chip")
    return json.loads((made / FILE).read_text())


def cycles(link: Link, design: Design, requests: Sequence[Request]) -> Iterator[int]:
    """Cycles of every token of the requests, compared with the integer model as they come."""
    before, seen = link.counters()["tokens"], []
    for request in requests:
        expected = sampled_steps(design.plan, request)
        for token, step in zip(link.generate(request), expected, strict=True):
            _compare(request, token, step.sampled)
            seen.append(token.cycles)
            yield token.cycles
    _check(link.counters(), before, seen)


def _compare(request: Request, token: Token, expected: int) -> None:
    if token.token != expected:
        raise Mismatch(
            f"sequence {request.sequence}, position {token.position}: the integer model samples "
            f"token {expected}, the chip {token.token}"
        )


def _check(counters: dict[str, int], before: int, seen: Sequence[int]) -> None:
    """The device's own totals must be those of its tokens."""
    told = {"tokens": before + len(seen)}
    if not before:
        totals = {"token_cycles": sum, "fewest_cycles": min, "most_cycles": max}
        told |= {name: total(seen) for name, total in totals.items()}
    for name, value in told.items():
        if counters[name] != value:
            raise WeftError(
                f"the chip's counter of {name} is {counters[name]:,}, and its tokens say {value:,}"
            )
