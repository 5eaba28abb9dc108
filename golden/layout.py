"""Where the elements of attention vectors lie in beats: every head starts at a place of its own.

A head of ``d_head`` elements is filled with zeros to ``padded_head`` elements, so that a beat of
``lanes`` holds whole heads, or a head takes whole beats. Queries, keys, values and the answer of an
attention share this order; the rows of the matrices around it follow it.
"""

import numpy as np


def padded_head(d_head: int, lanes: int) -> int:
    """Places that a head takes: a power of two below ``lanes``, else a multiple of ``lanes``.

    Raises
    ------
    ValueError
        If a head has no element, or ``lanes`` is no power of two.
    """
    if d_head < 1:
        raise ValueError(f"a head has {d_head} elements; expected at least 1")
    if lanes < 1 or lanes & (lanes - 1):
        raise ValueError(f"lanes is {lanes}; expected a power of two")
    power = 1 << (d_head - 1).bit_length()
    return power if power < lanes else -(-d_head // lanes) * lanes


def heads_per_beat(d_head: int, lanes: int) -> int:
    """Heads that a beat holds; 1 when a head takes one beat or more."""
    return max(1, lanes // padded_head(d_head, lanes))


def head_order(n_head: int, d_head: int, lanes: int) -> np.ndarray:
    """The logical element of every place of whole beats, or -1 where the place holds zero.

    The logical element of head ``h`` and element ``d`` is ``h * d_head + d``.
    """
    if n_head < 1:
        raise ValueError(f"there are {n_head} heads; expected at least 1")
    padded = padded_head(d_head, lanes)
    places = np.arange(-(-n_head * padded // lanes) * lanes)
    head, element = places // padded, places % padded
    used = (head < n_head) & (element < d_head)
    return np.where(used, head * d_head + element, -1)
