"""Every tap of every token, hardware against the integer model, with zero tolerance."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from golden.schedule import Schedule
from sim import mismatch
from sim.integer_model import IntegerModel
from sim.mismatch import Difference, Key, Mismatch, first_difference
from sim.recorder import Design
from sim.taps import Recording
from sim.vectors import ACCEPT, SAMPLE, Assembler, flaw, grouped, part_of, section_of


class Checker:
    """Compares recorded lines with the integer model, batch by batch.

    Parameters
    ----------
    plan, schedule, requests: what was simulated; request k has sequence number k.
    design: of the simulation.
    keep: keep golden and hardware taps side by side (``kept``), for TAPS=.

    Members
    -------
    compared: elements compared and found equal so far.  tokens: tokens taken in so far.
    mismatches: values that differed, of the first vector in which one did.
    spans: (tap, sequence, position, layer) -> (first, last) cycle.
    saturated: (layer, stage) whose elements were held to their range in the integer model.
    kept: None, or (layer, stage) -> list of ((sequence, position), golden, hardware).
    """

    def __init__(self, plan, schedule: Schedule, requests, design: Design, keep: bool = False):
        self.plan, self.schedule, self.design = plan, schedule, design
        self.golden = IntegerModel(plan, requests)
        self.compared = self.mismatches = 0
        self.spans: dict[tuple[str, int, int, int], tuple[int, int]] = {}
        self.saturated: set[tuple[int, str]] = set()
        self.kept: dict[tuple[int, str], list] | None = {} if keep else None
        self._assembler = Assembler(plan, schedule, design, [r.start for r in requests])

    @property
    def tokens(self) -> int:
        return self._assembler.tokens

    def feed(self, line: str) -> None:
        """Take in a tap's line."""
        self._assembler.feed(line)

    def check(self, everything: bool = False) -> None:
        """Compare all vectors that are complete.

        Of the newest cycle more lines may follow: it waits, unless this is ``everything``.

        Raises
        ------
        Mismatch
            For the earliest difference: stage, token, element, cycle and both values.
        """
        recordings = self._assembler.take(everything)
        found = [m for name, part in recordings.items() if (m := self._check(name, part))]
        if found:
            self._fail(min(found, key=lambda item: item[0])[1])
        self.golden.forget()

    def finish(self) -> None:
        """Compare what is left, and make sure that nothing is missing or left over."""
        self.check(everything=True)
        if left := self._assembler.left:
            self._fail(Mismatch(f"{left} recorded beats belong to vectors that never ended"))
        for sequence in range(len(self.golden.requests)):
            missing = self.golden.remaining(sequence)
            if missing:
                self._fail(mismatch.ended_early(sequence, missing))
        for name in self._assembler.names:
            self._check_missing(name)

    def _check_missing(self, name: str) -> None:
        """A tap must have answered for every token (and layer) that passes it."""
        section, instance = section_of(name)
        layers = range(instance, len(self.plan.layers), self.schedule.instances)
        for sequence, length in sorted(self.golden.lengths.items()):
            request = self.golden.requests[sequence]
            sampled = len(request.prompt) - 1
            first = sampled if section == "epilogue" else request.start
            for position in range(first, length):
                for layer in layers if section.startswith("layer") else (0,):
                    key = sequence, position, layer
                    if (name, *key) not in self.spans:
                        self._fail(mismatch.never_answered(name, key))

    def _fail(self, found: Mismatch) -> NoReturn:
        self.mismatches += found.count
        raise found

    def _check(self, name: str, recording: Recording) -> Difference | None:
        """The earliest difference at one tap, with its cycle."""
        if not len(recording):
            return None
        if name in (ACCEPT, SAMPLE):
            return self._check_tokens(name, recording)
        if name.count(".") == 2:
            return self._check_inner(name, recording)
        return self._check_vectors(name, recording)

    def _check_tokens(self, name: str, recording: Recording) -> Difference | None:
        """Tokens that are taken in, or sampled."""
        keys = self._assembler.keys(name, recording)
        for k, cycle in enumerate(recording.cycles.tolist()):
            key = int(keys[k, 0]), int(keys[k, 1]), 0
            step = self.golden.step(*key[:2])
            if step is None or (name, *key) in self.spans:
                return mismatch.unexpected(name, key, cycle, step is not None)
            self.saturated |= step.saturated
            self.spans[name, *key] = cycle, cycle
            golden, hardware = step.token if name == ACCEPT else step.sampled, recording["token"][k]
            if golden != hardware:
                return mismatch.differs(name, key, cycle, 0, golden, int(hardware))
            self.compared += 1
        return None

    def _check_vectors(self, name: str, recording: Recording) -> Difference | None:
        """What a stage answers: a vector in a known number of beats."""
        stage = self._assembler.stage(name)
        bad = flaw(recording, -(-len(self._assembler.order(name)) // recording.data.shape[1]))
        if bad:
            before = part_of(recording, slice(bad[0]))
            return self._check(name, before) or self._broken(name, recording, *bad)
        vectors = self._assembler.vectors(name, recording)
        static = not any(f.path == "exponent" and f.width for f in dict(self.design.taps)[name])
        for k, key in enumerate(map(tuple, vectors.keys.tolist())):
            span = int(vectors.first[k]), int(vectors.last[k])
            golden = self._tap(key, stage.name)
            if golden is None or (name, *key) in self.spans:
                return mismatch.unexpected(name, key, span[0], golden is not None)
            exponents = () if static else ((golden.exponent, int(vectors.exponent[k])),)
            pair = golden.mantissa, vectors.data[k]
            if bad := self._compare(name, stage.name, key, span, *pair, exponents):
                return bad
        return None

    def _check_inner(self, name: str, recording: Recording) -> Difference | None:
        """Scores and weights: a beat holds the heads of one group for one cached slot."""
        stage, heads = name.split(".", 1)[1], recording.data.shape[1]
        for key, rows in grouped(self._assembler.keys(name, recording)):
            span = int(recording.cycles[rows[0]]), int(recording.cycles[rows[-1]])
            golden = self._tap(key, stage)
            if golden is None or (name, *key) in self.spans:
                return mismatch.unexpected(name, key, span[0], golden is not None)
            count, all_heads = golden.mantissa.shape
            groups = -(-all_heads // heads)
            places = recording["slot"][rows], recording["group"][rows]
            if sorted(zip(*places, strict=True)) != list(np.ndindex(count, groups)):
                what = f"{len(rows)} beats of slots and heads that are not those {count * groups}"
                return self._broken(name, recording, int(rows[0]), f"{what} that are expected")
            hardware = np.zeros((count, groups, heads), dtype=np.int64)
            hardware[places] = recording.data[rows]
            hardware = hardware.reshape(count, -1)[:, :all_heads]
            pair = golden.mantissa.ravel(), hardware.ravel()
            if bad := self._compare(name, stage, key, span, *pair):
                return bad
        return None

    def _compare(
        self, name: str, stage: str, key: Key, span: tuple[int, int],
        golden: np.ndarray, hardware: np.ndarray, exponents=(),
    ) -> Difference | None:  # fmt: skip
        """Compare one vector and take note of it."""
        self.spans[name, *key] = span
        bad = first_difference(golden, hardware, exponents)
        if bad:
            return mismatch.differs(name, key, span[1], *bad)
        self.compared += len(golden)
        if self.kept is not None:
            self.kept.setdefault((key[2], stage), []).append((key[:2], golden, hardware))
        return None

    def _broken(self, name: str, recording: Recording, at: int, what: str) -> Difference:
        """What is wrong with the beats of a vector, the first of which is number ``at``."""
        key = self._assembler.keys(name, part_of(recording, slice(at, at + 1)))[0].tolist()
        return mismatch.broken(name, tuple(key), int(recording.cycles[at]), what)

    def _tap(self, key: Key, stage: str):
        """What the integer model has at a tap, or None."""
        step = self.golden.step(*key[:2])
        return None if step is None else step.taps.get((key[2], stage))
