"""The plan: what the hardware computes, in integers, and nothing about how fast.

A plan is a prologue, layers and an epilogue.  Each is a :class:`Section`: stages in an order in
which they can run (:mod:`golden.stage`), joined by named values: a directed graph.

``signature`` holds what elaboration may depend on (shapes, widths, kinds of format); weights and
exponents are *values* and reach the hardware through memories that are loaded later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from golden.numbers import Block
from golden.stage import Attention, Linear, Stage, stage_macs


@dataclass(frozen=True)
class Section:
    """Stages in an executable order, from the value ``input`` to the value ``output``."""

    stages: tuple[Stage, ...]
    input: str
    output: str

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def signature(self) -> list:
        return [self.input, self.output, *(stage.signature() for stage in self.stages)]


@dataclass(frozen=True)
class Plan:
    """The integer model.

    Parameters
    ----------
    name: of the model.
    prologue: token -> residual stream; layers: one section each, all of one signature;
    epilogue: residual stream -> next token.
    n_vocab, n_ctx: tokens; positions with a full cache, or None when the window slides forever.
    """

    name: str
    prologue: Section
    layers: tuple[Section, ...]
    epilogue: Section
    n_vocab: int
    n_ctx: int | None

    def __post_init__(self):
        shapes = {json.dumps(layer.signature()) for layer in self.layers}
        if len(shapes) != 1:
            raise ValueError("the layers of a plan must have one signature")

    @property
    def numbers(self) -> str:
        """The kind of its activations (golden.quantize.NUMBERS)."""
        forms = (value for _, stage in self.stages() for value in vars(stage).values())
        return "block" if any(isinstance(form, Block) for form in forms) else "fixed"

    @property
    def scales(self) -> str:
        """Which weights of a layer share a scale (golden.quantize.SCALES)."""
        linear = next(stage for stage in self.template if isinstance(stage, Linear))
        if linear.scales is None:
            return "matrix"
        return "row" if linear.scales.ndim == 1 else "group"

    @property
    def cache_bits(self) -> int:
        """Width of cached keys and values."""
        return next(s.key.width for s in self.template if isinstance(s, Attention))

    @property
    def template(self) -> Section:
        """A section that stands for the shape of every layer."""
        return self.layers[0]

    def sections(self) -> Iterator[tuple[int, Section]]:
        """(layer, section) in the order of execution; prologue and epilogue count as layer 0."""
        yield 0, self.prologue
        yield from enumerate(self.layers)
        yield 0, self.epilogue

    def stages(self) -> Iterator[tuple[int, Stage]]:
        """(layer, stage) in the order of execution."""
        for layer, section in self.sections():
            for stage in section:
                yield layer, stage

    def place(self, layer: int, stage: str) -> str:
        """Where a stage is, for people: ``prologue.embed``, ``layer3.q``, ``epilogue.sample``."""
        for name, section in (("prologue", self.prologue), ("epilogue", self.epilogue)):
            if any(each.name == stage for each in section):
                return f"{name}.{stage}"
        return f"layer{layer}.{stage}"

    def macs(self, position: int) -> int:
        """Multiply-accumulates of one token: weights, and attention over what is cached."""
        return sum(stage_macs(stage, position) for _, stage in self.stages())

    def signature(self) -> dict:
        return {
            "prologue": self.prologue.signature(),
            "layers": [len(self.layers), self.template.signature()],
            "epilogue": self.epilogue.signature(),
            "n_vocab": self.n_vocab,
            "n_ctx": self.n_ctx,
        }

    def digest(self) -> str:
        """SHA-256 over shapes, formats and every integer of the plan; taken once."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        sha = hashlib.sha256(json.dumps(self.signature(), sort_keys=True).encode())
        for _, stage in self.stages():
            for field in fields(stage):
                value = getattr(stage, field.name)
                data = value.astype("<i8").tobytes() if isinstance(value, np.ndarray) else None
                sha.update(data or repr(value).encode())
        return sha.hexdigest()
