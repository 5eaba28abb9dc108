"""How NumPy integers execute each stage: one file a stage, ``execute(stage, context, *inputs)``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from golden.numbers import Vector, limits, overflows, requantise, saturate
from golden.stage import Stage


@dataclass
class Context:
    """What a stage may read beside its inputs, for one token of one sequence.
    ``cache`` maps (layer, stage name) to the key/value cache of this sequence; ``taps`` collects
    every value by (layer, name); ``saturated`` collects the (layer, name) that overflowed.
    """

    token: int
    position: int
    sequence: int = 0
    seed: int = 0
    noise_scale: int = 0
    layer: int = 0
    cache: dict = field(default_factory=dict)
    taps: dict[tuple[int, str], Vector] = field(default_factory=dict)
    saturated: set[tuple[int, str]] = field(default_factory=set)

    def tap(self, name: str, value: Vector) -> None:
        """Keep ``value`` under the layer at work and ``name``."""
        self.taps[self.layer, name] = value

    def saturates(self, stage: Stage) -> None:
        """Remember that an element of the stage's answer was held to the range of its format."""
        self.saturated.add((self.layer, stage.name))

    def hold(self, stage: Stage, total: np.ndarray) -> Vector:
        """A sum in units of the stage's format, held to its range; remembers whether it was."""
        held = saturate(total, stage.format.width)
        if (held != total).any():
            self.saturates(stage)
        return Vector(held, stage.format.exponent)

    def requantise(self, stage: Stage, wide: np.ndarray, exponent: int | np.ndarray) -> Vector:
        """``wide * 2**exponent`` in the stage's format; remembers whether it saturated."""
        answer = requantise(wide, exponent, stage.format)
        # Only a vector with an element at a limit can have been held there.
        low, high = limits(stage.format.width)
        at_limit = answer.mantissa.min() == low or answer.mantissa.max() == high
        if at_limit and overflows(wide, exponent, stage.format):
            self.saturates(stage)
        return answer


@dataclass
class Run(Context):
    """Of many tokens of a sequence at once: ``token`` and ``position`` are arrays [tokens].

    ``record(layer, name, value)`` is called with every value, a row a token, instead of taps.
    """

    token: np.ndarray
    position: np.ndarray
    record: Callable[[int, str, Vector], None] | None = None

    def tap(self, name: str, value: Vector) -> None:
        if self.record is not None:
            self.record(self.layer, name, value)
