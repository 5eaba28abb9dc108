"""A difference between hardware and integer model, and the sentences that tell where it is.

A difference is (cycle, Mismatch): of several the earliest is told.  A key is (sequence, position,
layer) of the vector that differs.
"""

from __future__ import annotations

import numpy as np

from golden.errors import WeftError

Key = tuple[int, int, int]


class Mismatch(WeftError):
    """Hardware and integer model differ: exit status 1."""

    exit_status = 1


Difference = tuple[int, Mismatch]


def first_difference(golden: np.ndarray, hardware: np.ndarray, exponents=()) -> tuple | None:
    """(element, golden, hardware) of the first difference; the exponent counts as element -1.

    exponents: a pair (golden, hardware) where the format has exponents, else nothing.
    """
    for mine, other in exponents:
        if mine != other:
            return -1, mine, other
    if golden.shape != hardware.shape:
        return -1, golden.size, hardware.size
    differ = golden != hardware
    if not differ.any():
        return None
    bad = int(differ.argmax())
    return bad, int(golden[bad]), int(hardware[bad])


def differs(name: str, key: Key, cycle: int, element: int, golden, hardware) -> Difference:
    """Two values at the tap ``name`` that should be one."""
    what = "exponent" if element < 0 else f"element {element}"
    return cycle, Mismatch(
        f"{_place(name, key)}, {what}, "
        f"cycle {cycle}: the integer model has {golden}, the hardware {hardware}"
    )


def broken(name: str, key: Key, cycle: int, what: str) -> Difference:
    """Beats that do not make a vector; ``what`` tells why."""
    return cycle, Mismatch(f"{_place(name, key)}, cycle {cycle}: {what}")


def unexpected(name: str, key: Key, cycle: int, again: bool) -> Difference:
    """A vector that should not be there, or not ``again``."""
    why = "for the second time" if again else "where the integer model has nothing"
    return cycle, Mismatch(f"{_place(name, key)}, cycle {cycle}: the hardware answered {why}")


def never_answered(name: str, key: Key) -> Mismatch:
    """A vector that should be there."""
    return Mismatch(f"{_place(name, key)}: the hardware never answered")


def ended_early(sequence: int, missing: int) -> Mismatch:
    """A sequence without its last ``missing`` tokens."""
    return Mismatch(
        f"the hardware ended sequence {sequence} early: "
        f"the integer model goes on for {missing} tokens"
    )


def _place(name: str, key: Key) -> str:
    sequence, position, layer = key
    return f"stage {name} (layer {layer}), sequence {sequence}, position {position}"
