"""How the matrices of a linear unit become the words of its memories."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import unsigned

from golden.numbers import Block, Fixed
from golden.stage import Linear as Stage
from hdl.units.unit import SHIFT, pack_row, pack_rows
from hdl.weights import Order, weight_words


class Geometry:
    """How the matrices of a unit lie in its weight memory; a function of shapes only.

    Parameters
    ----------
    jobs: one stage a job.  layers: how many layers every job has.  orders: of every job, or None.
    """

    def __init__(self, jobs: Sequence[Stage], layers: Sequence[int], lanes, rows, orders=None):
        orders = orders or [None] * len(jobs)
        self.orders = [
            order or Order.natural(job.weights.shape)
            for order, job in zip(orders, jobs, strict=True)
        ]
        sizes = [order.words(lanes, rows) for order in self.orders]
        self.groups, self.beats = ([size[k] for size in sizes] for k in range(2))
        self.counts = [groups * count for groups, count in sizes]
        ends = np.cumsum([c for c, n in zip(self.counts, layers, strict=True) for _ in range(n)])
        self.depth = int(ends[-1])

    @property
    def most(self) -> int:
        """Words of the largest matrix."""
        return max(self.counts)

    @property
    def fields(self) -> list:
        """Shapes of the parameters: base address and number of the words, and the scale."""
        address, count = (self.depth - 1).bit_length(), max(self.counts).bit_length()
        return [unsigned(address), unsigned(count), SHIFT]


def scale(stage: Stage) -> int:
    """What the scale of a wide beat is before the exponent of the beat is counted (see Requantise).

    Raises
    ------
    ValueError
        If a static format is so fine that the sums would have to be shifted left.
    """
    static = stage.source.exponent if isinstance(stage.source, Fixed) else 0
    exponent = static + int(stage.weight_exponent)
    if isinstance(stage.format, Block):
        return exponent
    shift = stage.format.exponent - exponent
    if isinstance(stage.source, Fixed) and shift < 0:
        raise ValueError(f"{stage.name}: {stage.format} is finer than its sums")
    return shift


def image(
    name: str, jobs: Sequence[Sequence[Stage]], lanes: int, rows: int, orders=None
) -> dict[str, list[int]]:
    """Words of the memories of the unit ``name`` from its stages [job][layer].

    With the weight source ``stream`` the words of ``<name>.weights`` are those of the memory that
    answers its requests.
    """
    templates = [stages[0] for stages in jobs]
    geometry = Geometry(templates, [len(stages) for stages in jobs], lanes, rows, orders)
    words, places = [], {}
    for stages, order in zip(jobs, geometry.orders, strict=True):
        for stage in stages:
            block = weight_words(stage.weights, stage.weight_bits, lanes, rows, order)
            places[id(stage)] = len(words), len(block)
            words += block

    def row(stage: Stage) -> int:
        values = [*places[id(stage)], scale(stage)]
        return pack_row(zip(values, geometry.fields, strict=True))

    return {f"{name}.weights": words, f"{name}.parameters": pack_rows(jobs, row)}
