"""Who worked when: the spans of every unit and the way of every token, read from a dump."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hdl.observe import STATES
from sim.waves.dump import UNDEFINED, Dump
from sim.waves.signals import TOKENS, Signals, UnitView


@dataclass(frozen=True)
class Span:
    """Cycles ``start`` to ``end`` (outside) in which a unit was in one state, for one job."""

    start: int
    end: int
    state: str
    job: int

    @property
    def cycles(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Row:
    """A unit with all its spans, which leave no cycle out except those without a defined state."""

    unit: UnitView
    spans: tuple[Span, ...]

    def cycles(self, state: str, job: int | None = None) -> int:
        """Cycles in a state, for one job or all."""
        chosen = (s for s in self.spans if s.state == state and job in (None, s.job))
        return sum(span.cycles for span in chosen)


@dataclass(frozen=True)
class Flight:
    """A token on its way through the core: from cycle ``start`` to ``end``.

    ``token``: what entered, None if it did so before the dump.  ``sampled``: what came of it, None
    for a token of a prompt or one that is still inside.  ``position``: None if tags carry none.
    """

    start: int
    end: int
    stream: int
    position: int | None
    token: int | None
    sampled: int | None

    @property
    def whole(self) -> bool:
        """Whether the dump shows all of it, and it ended in a sample."""
        return self.token is not None and self.sampled is not None


@dataclass(frozen=True)
class Timeline:
    """What units and tokens did from cycle ``first`` to ``end``."""

    first: int
    end: int
    rows: tuple[Row, ...]
    flights: tuple[Flight, ...]

    @property
    def cycles_per_token(self) -> float | None:
        """Mean from accepting a token to having sampled the next; None if no token is whole."""
        lengths = [flight.end - flight.start for flight in self.flights if flight.whole]
        return float(np.mean(lengths)) if lengths else None


def read_timeline(dump: Dump, signals: Signals) -> Timeline:
    """The timeline of all that a dump holds.

    Raises WeftError if it lacks signals.
    """
    dump.demand(signals.needed)
    rows = tuple(Row(unit, _spans(dump, unit)) for unit in signals.units)
    return Timeline(dump.first, dump.end, rows, tuple(_flights(dump)))


def _spans(dump: Dump, unit: UnitView) -> tuple[Span, ...]:
    state = dump.values(unit.state)
    job = dump.values(unit.job) if unit.job else np.zeros_like(state)
    job = np.where(state == STATES.index("starved"), 0, job)  # nobody's
    changes = np.flatnonzero(np.diff(state) | np.diff(job)) + 1
    edges = [0, *changes.tolist(), len(state)]
    return tuple(
        Span(dump.first + a, dump.first + b, STATES[state[a]], int(job[a]))
        for a, b in pairwise(edges)
        if state[a] != UNDEFINED
    )


def _flights(dump: Dump) -> list[Flight]:
    """Pair what was accepted with what was sampled, stream by stream."""
    entered, sampled = (_transfers(dump, stream) for stream in TOKENS)
    flights = []
    for stream in sorted({t["stream"] for t in (*entered, *sampled)}):
        mine = [t for t in entered if t["stream"] == stream]
        answers = [t for t in sampled if t["stream"] == stream]
        starts = [t["cycle"] for t in mine] + [dump.end]
        early = [t for t in answers if t["cycle"] <= starts[0]]
        if early:
            flights.append(_flight(dump.first, early[0]["cycle"], early[0], None, early[0]))
        for token, after in zip(mine, starts[1:], strict=True):
            # the answer comes after the token, and before or with the next of its stream
            answer = next((t for t in answers if token["cycle"] < t["cycle"] <= after), None)
            end = after if answer is None else answer["cycle"]
            flights.append(_flight(token["cycle"], end, token, token, answer))
    return flights


def _flight(start: int, end: int, tag: dict, token: dict | None, answer: dict | None) -> Flight:
    text = (None if t is None else t["token"] for t in (token, answer))
    return Flight(start, end, tag["stream"], tag["position"], *text)


def _transfers(dump: Dump, stream: str) -> Sequence[dict]:
    """Cycle, token, position and stream of every token that passes a stream."""
    passes = (dump.values(f"core.{stream}_valid") == 1) & (dump.values(f"core.{stream}_ready") == 1)
    at = np.flatnonzero(passes)
    tokens = dump.values(f"core.{stream}_token")[at]
    columns = {"cycle": (at + dump.first).tolist(), "token": tokens.tolist()}
    for field, default in (("position", None), ("stream", 0)):
        name = f"core.{stream}_{field}"
        there = dump.has(name)
        columns[field] = dump.values(name)[at].tolist() if there else [default] * len(at)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
