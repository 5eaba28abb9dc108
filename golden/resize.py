"""A model with another context, or with a window that slides."""

from __future__ import annotations

from dataclasses import replace

from golden.errors import OptionError
from golden.model import Checkpoint

LONGEST = 2048
"""Positions of a model of which more would fit: what is kept of them on the chip stays small."""


def resized(checkpoint: Checkpoint, context: int | None, window: int | None) -> Checkpoint:
    """The model with another context, or a window of the last positions that slides for ever.

    Raises
    ------
    WeftError
        If the model cannot be had so.
    """
    c = checkpoint.config
    if window is not None:
        if c.position == "learned":
            problem = f"is {window}; the positions of {checkpoint.name} are learned: expected none"
            raise OptionError("window", problem)
        return replace(checkpoint, config=replace(c, window=window, n_ctx=None))
    longest = c.n_ctx if c.position != "rotary" or c.n_ctx is None else min(c.n_ctx, LONGEST)
    if context is not None and (c.n_ctx is None or context > c.n_ctx):
        problem = f"is {context}; {checkpoint.name} was made for {c.n_ctx}: expected at most that"
        raise OptionError("context", problem)
    if c.position == "learned" and context not in (None, c.n_ctx):
        problem = f"is {context}; {checkpoint.name} has learned {c.n_ctx} positions: leave it out"
        raise OptionError("context", problem)
    return replace(checkpoint, config=replace(c, n_ctx=context or longest))
