"""From a checkpoint to the plan: integer weights, and a format for every value.

Scales of weights: a power of two a ``matrix`` (golden.quantizer), with every pass of the graph; or
one a ``row`` for 8-bit weights, or a ``group`` for 4-bit ones (golden.scaled), with the graph as it
is.
"""

from __future__ import annotations

from dataclasses import replace

from golden.errors import OptionError
from golden.graph import from_checkpoint, lower
from golden.model import Checkpoint
from golden.plan import Plan
from golden.quantizer import (
    CACHE_BITS,
    NUMBERS,
    SCALES,
    WEIGHT_BITS,
    Options,
    Quantizer,
    norm_format,
    turns,
)
from golden.scaled import ScaledQuantizer

__all__ = [
    "CACHE_BITS",
    "NUMBERS",
    "SCALES",
    "WEIGHT_BITS",
    "Options",
    "norm_format",
    "quantize",
    "turns",
]


def quantize(checkpoint: Checkpoint, options: Options | None = None) -> Plan:
    """The plan of a checkpoint: deterministic in checkpoint and options."""
    options, c = options or Options(), checkpoint.config
    needs_blocks = c.position == "rotary" or c.gated or options.scales != "matrix"
    if options.numbers == "fixed" and needs_blocks:
        problem = (
            "is 'fixed', but rotary positions, gated MLPs and scales of rows or groups need "
            "blocks; expected 'block'"
        )
        raise OptionError("numbers", problem)
    options = replace(options, numbers=options.numbers or ("block" if needs_blocks else "fixed"))
    if options.scales == "matrix":
        return Quantizer(lower(checkpoint), options).plan()
    return ScaledQuantizer(from_checkpoint(checkpoint), options, checkpoint.blocks).plan()
