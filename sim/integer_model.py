"""The integer model at the side of a simulation: its steps as the comparison asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from golden.generate import Request, Step, generate
from golden.plan import Plan
from golden.sequence import cache_before

REMEMBERED = 4
"""Steps of a sequence that are kept after a comparison: the last may still be on its way."""


@dataclass
class IntegerModel:
    """The integer model's steps, made as they are asked for and forgotten when told to.

    lengths: steps made so far, by sequence.
    """

    plan: Plan
    requests: Sequence[Request]
    steps: dict[tuple[int, int], Step] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    _running: dict[int, Iterator[Step]] = field(default_factory=dict)
    _before: dict[int, dict] = field(default_factory=dict)

    def step(self, sequence: int, position: int) -> Step | None:
        """The step of a token, or None where the model has already stopped, or never started."""
        if not 0 <= sequence < len(self.requests):
            return None
        while (sequence, position) not in self.steps:
            step = next(self._run(sequence), None)
            if step is None:
                return None
            self.steps[sequence, step.position] = step
            self.lengths[sequence] = step.position + 1
        return self.steps[sequence, position]

    def forget(self) -> None:
        """Drop all but the last steps of every sequence: memory must not grow with a run."""
        newest: dict[int, int] = {}
        for sequence, position in self.steps:
            newest[sequence] = max(position, newest.get(sequence, 0))
        self.steps = {
            (sequence, position): step
            for (sequence, position), step in self.steps.items()
            if position > newest[sequence] - REMEMBERED
        }

    def cache_before(self, sequence: int) -> dict:
        """Keys and values of a sequence at its start; its first step goes on from them."""
        if sequence not in self._before:
            self._before[sequence] = cache_before(self.plan, self.requests[sequence])
        return self._before[sequence]

    def remaining(self, sequence: int) -> int:
        """Steps of a sequence that nobody has asked for."""
        return sum(1 for _ in self._run(sequence))

    def _run(self, sequence: int) -> Iterator[Step]:
        """The steps of a sequence that are still to be made."""
        if sequence not in self._running:
            request, cache = self.requests[sequence], self.cache_before(sequence)
            self._running[sequence] = generate(self.plan, request, cache)
        return self._running[sequence]
