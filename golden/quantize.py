"""From a checkpoint to the plan: integer weights, and a format for every value.

Scales of weights: a power of two a ``matrix`` (golden.quantizer), with every pass of the graph; or
one a ``row`` for 8-bit weights, or a ``group`` for 4-bit ones (golden.scaled), with the graph as it
is.  Large models of the llama family need the latter: outliers make their rows differ far.
"""

from __future__ import annotations

from dataclasses import replace

from golden.blocks import Blocks
from golden.calibrate import LARGE
from golden.errors import OptionError, WeftError
from golden.graph import from_checkpoint, lower
from golden.model import Checkpoint
from golden.numbers import MANTISSA_BITS
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
from golden.scaled import LLAMA, ScaledQuantizer, is_llama

__all__ = [
    "CACHE_BITS",
    "NUMBERS",
    "SCALES",
    "WEIGHT_BITS",
    "Options",
    "has_groups",
    "norm_format",
    "outside_scales",
    "quantize",
    "turns",
    "usual_scales",
]


def quantize(checkpoint: Checkpoint, options: Options | None = None) -> Plan:
    """The plan of a checkpoint: deterministic in checkpoint and options.

    Raises
    ------
    WeftError
        If the model cannot be had with these options.
    """
    options = _resolved(checkpoint, options or Options())
    if options.scales == "matrix":
        return Quantizer(lower(checkpoint), options).plan()
    return ScaledQuantizer(from_checkpoint(checkpoint), options, checkpoint.blocks).plan()


def _resolved(checkpoint: Checkpoint, options: Options) -> Options:
    """The options with what the model needs in place of None."""
    options, c = (
        replace(options, scales=options.scales or usual_scales(checkpoint)),
        checkpoint.config,
    )
    needs_blocks = c.position == "rotary" or c.gated or bool(c.biases) or options.scales != "matrix"
    if options.numbers == "fixed" and needs_blocks:
        problem = (
            "is 'fixed', but rotary positions, gated MLPs, biases and scales of rows or groups "
            "need blocks; expected 'block'"
        )
        raise OptionError("numbers", problem)
    if options.scales == "matrix" and options.cache_bits != MANTISSA_BITS:
        problem = f"is {options.cache_bits}; with scales of matrices expected {MANTISSA_BITS}"
        raise OptionError("cache_bits", problem)
    if options.scales != "matrix" and options.weight_bits != WEIGHT_BITS:
        problem = (
            f"is {options.weight_bits}, but rows have {WEIGHT_BITS}-bit weights and groups 4-bit "
            f"ones; expected {WEIGHT_BITS}, or scales of matrices"
        )
        raise OptionError("weight_bits", problem)
    return replace(options, numbers=options.numbers or ("block" if needs_blocks else "fixed"))


def usual_scales(checkpoint: Checkpoint) -> str:
    """Which weights share a scale, if nobody says: groups where the file has them everywhere."""
    if checkpoint.config.parameters < LARGE or not is_llama(checkpoint.config):
        return "matrix"
    return outside_scales(checkpoint)


def outside_scales(checkpoint: Checkpoint) -> str:
    """The same for an external memory, whatever the size of the model.

    Raises
    ------
    WeftError
        If the model cannot be kept in one.
    """
    if not is_llama(checkpoint.config):
        raise WeftError(
            f"an external memory is for models of {LLAMA}, and {checkpoint.name} is none; choose "
            "one of these"
        )
    return "group" if has_groups(checkpoint) else "row"


def has_groups(checkpoint: Checkpoint) -> bool:
    """Whether every matrix of the layers comes in groups of 4-bit codes."""
    shapes = checkpoint.config.shapes.items()
    layers = (name for name, shape in shapes if name.startswith("layer") and shape[1:])
    kept = (checkpoint.blocks.get(name) for name in layers)
    return all(isinstance(blocks, Blocks) and blocks.has_groups for blocks in kept)
