"""A difference between hardware and integer model, and the sentences that tell where it is.

A difference is (cycle, Mismatch): of several the earliest is told.  A key is (sequence, position,
layer) of the vector that differs.
"""

from __future__ import annotations

import numpy as np

from golden.errors import WeftError

Key = tuple[int, int, int]


class Mismatch(WeftError):
    """Hardware and integer model differ: exit status 1.

    Members
    -------
    count: values that differ; 1 where vectors differ in more than values.
    place: stage, layer, sequence, position, element, cycle, integer_model, hardware: what is known.
    outcome: what the run gave until then (sim.session.Outcome); None outside of a run.
    """

    exit_status = 1

    def __init__(self, sentence: str, count: int = 1, **place):
        super().__init__(sentence)
        self.count, self.place, self.outcome = count, place, None


Difference = tuple[int, Mismatch]


def first_difference(golden: np.ndarray, hardware: np.ndarray, exponents=()) -> tuple | None:
    """(element, golden, hardware, count) of the first difference, and how many there are.

    The exponent counts as element -1.

    exponents: a pair (golden, hardware) where the format has exponents, else nothing.
    """
    for mine, other in exponents:
        if mine != other:
            return -1, mine, other, 1
    if golden.shape != hardware.shape:
        return -1, golden.size, hardware.size, 1
    differ = golden != hardware
    if not differ.any():
        return None
    bad = int(differ.argmax())
    return bad, int(golden[bad]), int(hardware[bad]), int(differ.sum())


def differs(
    name: str, key: Key, cycle: int, element: int, golden: int, hardware: int, count: int = 1
) -> Difference:
    """Two values at the tap ``name`` that should be one, the first of ``count``."""
    what = "exponent" if element < 0 else f"element {element}"
    values = {"element": element, "cycle": cycle, "integer_model": golden, "hardware": hardware}
    return cycle, Mismatch(
        f"{_told(name, key)}, {what}, "
        f"cycle {cycle}: the integer model has {golden}, the hardware {hardware}",
        count,
        **_place(name, key),
        **values,
    )


def broken(name: str, key: Key, cycle: int, what: str) -> Difference:
    """Beats that do not make a vector; ``what`` tells why."""
    sentence = f"{_told(name, key)}, cycle {cycle}: {what}"
    return cycle, Mismatch(sentence, **_place(name, key), cycle=cycle)


def unexpected(name: str, key: Key, cycle: int, again: bool) -> Difference:
    """A vector that should not be there, or not ``again``."""
    why = "for the second time" if again else "where the integer model has nothing"
    return broken(name, key, cycle, f"the hardware answered {why}")


def never_answered(name: str, key: Key) -> Mismatch:
    """A vector that should be there."""
    return Mismatch(f"{_told(name, key)}: the hardware never answered", **_place(name, key))


def ended_early(sequence: int, missing: int) -> Mismatch:
    """A sequence without its last ``missing`` tokens."""
    return Mismatch(
        f"the hardware ended sequence {sequence} early: "
        f"the integer model goes on for {missing} tokens",
        sequence=sequence,
    )


def _told(name: str, key: Key) -> str:
    sequence, position, layer = key
    return f"stage {name} (layer {layer}), sequence {sequence}, position {position}"


def _place(name: str, key: Key) -> dict[str, str | int]:
    return {"stage": name} | dict(zip(("sequence", "position", "layer"), key, strict=True))
