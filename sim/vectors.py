"""From recorded lines to whole vectors, each with its sequence, position and layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from golden.plan import Plan
from golden.schedule import Schedule, sections, value_order
from sim import taps
from sim.mismatch import Key
from sim.recorder import Design
from sim.taps import Recording

ACCEPT, EMBED, SAMPLE = "accept", "prologue.embed", "epilogue.sample"
PARTS = ("stream", "position", "layer")
"""Fields of a tag that say what a beat belongs to."""


@dataclass
class Vectors:
    """Whole vectors that passed a tap, one a row.

    keys: int [n, 3], (sequence, position, layer) of the token.
    first, last: cycles of its first and last beat.
    data: int64 [n, elements], in logical order.  exponent: [n], zeros for a static format.
    """

    keys: np.ndarray
    first: np.ndarray
    last: np.ndarray
    data: np.ndarray
    exponent: np.ndarray


class Assembler:
    """Takes in recorded lines and gives back the beats of whole vectors, batch by batch.

    Parameters
    ----------
    plan, schedule: what was simulated; requests start in order, from sequence number 0.
    design: of the simulation.  starts: the position at which each request begins.

    Members
    -------
    names: of the taps.  tokens: tokens taken in so far.
    left: recorded beats of vectors that have not ended.
    """

    def __init__(self, plan: Plan, schedule: Schedule, design: Design, starts: Sequence[int]):
        self.schedule = schedule
        self.names = [name for name, _ in design.taps]
        self.tokens = 0
        self._design = design
        self._begins = starts
        self._sections = dict(sections(plan, schedule.instances))
        self._pending: dict[str, list[str]] = {f"@{k:03x}": [] for k in range(len(design.taps))}
        self._starts: dict[int, tuple[list[int], list[int]]] = {}  # by slot: cycles, sequences
        self._begun = 0
        self._at: dict[int, int] = {}  # by slot: the position that was taken in last
        self._embedded: list[int] = []  # first cycles of embeddings whose token is not yet taken in

    @property
    def left(self) -> int:
        return sum(map(len, self._pending.values()))

    def feed(self, line: str) -> None:
        """Take in a tap's line."""
        self._pending[line[:4]].append(line)

    def take(self, everything: bool) -> dict[str, Recording]:
        """The beats of the vectors that have ended, by tap; the others stay pending.

        Of the newest cycle more lines may follow: it waits, unless this is ``everything``.
        """
        pending = self._pending
        newest = max((part[-1][taps.CYCLE] for part in pending.values() if part), default="")
        held = {
            tap: [part.pop()]
            for tap, part in pending.items()
            if part and part[-1][taps.CYCLE] == newest and not everything
        }
        lines = [line for part in pending.values() for line in part]
        recordings = taps.decode(self._design, lines)
        for (tap, lines), name in zip(pending.items(), self.names, strict=True):
            whole = self._whole(name, recordings[name])
            if name == ACCEPT and not everything:  # those tokens whose embedding is complete
                embedded = recordings[EMBED]
                whole = min(whole, len(self._embedded) + int(embedded.last.sum()))
            pending[tap] = lines[whole:] + held.get(tap, [])
            recordings[name] = part_of(recordings[name], slice(whole))
        self._begin(recordings[ACCEPT], recordings[EMBED])
        return recordings

    def stage(self, name: str):
        """The stage that a tap belongs to."""
        section, stage = name.split(".")[:2]
        return next(s for s in self._sections[section] if s.name == stage)

    def keys(self, name: str, recording: Recording) -> np.ndarray:
        """(sequence, position, layer) of every beat [n, 3]; sequence -1 where none has started."""
        layer = recording.tag("layer") * self.schedule.instances + section_of(name)[1]
        return np.stack([self._sequences(recording), recording.tag("position"), layer], axis=1)

    def order(self, name: str) -> np.ndarray:
        """Physical position -> logical index of the vectors at a tap; -1 where zeros are."""
        section = section_of(name)[0]
        stages = self._sections[section]
        return value_order(stages, section, self.schedule, self.stage(name).output)

    def vectors(self, name: str, recording: Recording) -> Vectors:
        """The vectors of beats in which :func:`flaw` finds nothing."""
        starts, ends = np.flatnonzero(recording.first), np.flatnonzero(recording.last)
        filled = np.flatnonzero(self.order(name) >= 0)
        return Vectors(
            # Not of the first beat: an embedding may begin to leave before its token is taken.
            self.keys(name, recording)[ends],
            recording.cycles[starts],
            recording.cycles[ends],
            recording.data.reshape(len(starts), -1)[:, filled],
            recording.exponent[starts],
        )

    def _whole(self, name: str, recording: Recording) -> int:
        """How many of the beats belong to vectors that have ended."""
        if "last" in recording.fields:
            ends = np.flatnonzero(recording.last)
            return int(ends[-1]) + 1 if len(ends) else 0
        if "slot" not in recording.fields or not len(recording):
            return len(recording)
        tags = np.stack([recording.tag(part) for part in PARTS], axis=1)
        others = np.flatnonzero((tags != tags[-1]).any(axis=1))
        begins = int(others[-1]) + 1 if len(others) else 0
        attention = self.stage(name)
        groups = -(-attention.n_head // recording.data.shape[1])
        beats = groups * attention.attended(int(recording.tag("position")[-1]))
        return len(recording) if len(recording) - begins >= beats else begins

    def _begin(self, accepted: Recording, embedded: Recording) -> None:
        """Note which sequence each slot holds from which cycle on; requests start in order.

        An embedding may accept its token after it has answered the first beats.
        """
        self._embedded += embedded.cycles[embedded.first].tolist()
        self._embedded += accepted.cycles[len(self._embedded) :].tolist()  # where beats are missing
        first = np.minimum(accepted.cycles, self._embedded[: len(accepted)])
        del self._embedded[: len(accepted)]
        for cycle, stream, position in zip(
            first, accepted.tag("stream"), accepted.tag("position"), strict=True
        ):
            cycles, sequences = self._starts.setdefault(int(stream), ([], []))
            before, self._at[int(stream)] = self._at.get(int(stream)), int(position)
            if position == self._start() and position - 1 != before:
                cycles.append(int(cycle))
                sequences.append(self._begun)
                self._begun += 1
        self.tokens += len(accepted)

    def _start(self) -> int:
        """The position at which the next sequence begins."""
        return self._begins[self._begun] if self._begun < len(self._begins) else 0

    def _sequences(self, recording: Recording) -> np.ndarray:
        """The sequence of each beat: the one that started last in its slot."""
        sequence = np.full(len(recording), -1)
        for stream, (cycles, sequences) in self._starts.items():
            here = recording.tag("stream") == stream
            index = np.searchsorted(cycles, recording.cycles[here], side="right") - 1
            sequence[here] = np.where(index < 0, -1, np.asarray(sequences)[index])
        return sequence


def flaw(recording: Recording, beats: int) -> tuple[int, str] | None:
    """The first beat of the first vector that has not its ``beats`` under one tag, and why."""
    ends = np.flatnonzero(recording.last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    wrong = np.flatnonzero(ends - starts + 1 != beats)
    if len(wrong):
        at = int(starts[wrong[0]])
        return at, f"a vector of {ends[wrong[0]] - at + 1} beats; expected {beats}"
    for values in [recording.exponent, *(recording.tag(part) for part in PARTS)]:
        rows = values.reshape(-1, beats)
        wrong = np.flatnonzero((rows != rows[:, :1]).any(axis=1))
        if len(wrong):
            return int(wrong[0]) * beats, "a vector whose tag or exponent changes on its way"
    wrong = np.flatnonzero(recording.first != (np.arange(len(recording)) % beats == 0))
    if len(wrong):
        return int(wrong[0]) // beats * beats, "a vector with a wrong flag for its first beat"
    return None


def section_of(name: str) -> tuple[str, int]:
    """(section, instance) of a tap's name."""
    section = name.split(".", 1)[0]
    return section, int(section.removeprefix("layer")) if section.startswith("layer") else 0


def part_of(recording: Recording, rows: slice) -> Recording:
    """The beats ``rows`` of a recording."""
    fields = {path: values[rows] for path, values in recording.fields.items()}
    return Recording(recording.name, recording.cycles[rows], fields)


def grouped(keys: np.ndarray) -> Iterator[tuple[Key, np.ndarray]]:
    """Rows of equal keys, in the order in which the keys first appear."""
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    rows = np.argsort(inverse, kind="stable")
    parts = np.split(rows, np.cumsum(np.bincount(inverse))[:-1])
    for k in np.argsort(first):
        yield tuple(int(x) for x in keys[first[k]]), parts[k]
