"""Where everything lies in an external memory, in beats of its port.

Tensors stand in the order in which a token consumes them: layer by layer, in each stage by stage;
then those of the head; the embedding comes last, unless it is the head's matrix.  Keys and values
follow.  See docs/image.md for the bits of every beat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from golden.blocks import GROUP
from golden.plan import Plan
from golden.schedules.external import CODE_BITS
from golden.stage import BIASED_BITS, Attention, Bias, Embed, Linear, Norm, Stage

HALF = 16
"""Bits of a scale, of a minimum and of a gain."""


def whole(bits: int, port: int) -> int:
    """Beats that hold so many bits."""
    return -(-bits // port)


@dataclass(frozen=True)
class Rows:
    """A matrix of 8-bit codes with a scale a row: tiles of a beat of scales and their rows."""

    rows: int
    columns: int
    port: int

    @property
    def tile(self) -> int:
        """Rows of a tile: as many as a beat holds scales."""
        return self.port // HALF

    @property
    def row_beats(self) -> int:
        """Beats of a row's codes."""
        return whole(8 * self.columns, self.port)

    @property
    def tile_beats(self) -> int:
        """Beats of a tile with all its rows."""
        return 1 + self.tile * self.row_beats

    @property
    def beats(self) -> int:
        """Beats of the matrix."""
        return whole(self.rows * HALF, self.port) + self.rows * self.row_beats


@dataclass(frozen=True)
class Groups:
    """A matrix of 4-bit codes in groups: tiles of scales with minima, and the groups' codes."""

    rows: int
    columns: int
    port: int

    @property
    def tile(self) -> int:
        """Groups of a tile."""
        return max(1, self.port // (2 * HALF))

    @property
    def head_beats(self) -> int:
        """Beats of a tile's scales and minima."""
        return max(1, 2 * HALF // self.port)

    @property
    def group_beats(self) -> int:
        """Beats of a group's codes."""
        return GROUP * CODE_BITS // self.port

    @property
    def groups(self) -> int:
        """Groups of the matrix, row by row."""
        return self.rows * self.columns // GROUP

    @property
    def beats(self) -> int:
        """Beats of the matrix."""
        return -(-self.groups // self.tile) * self.head_beats + self.groups * self.group_beats


@dataclass(frozen=True)
class Elements:
    """A vector of integers of ``width`` bits."""

    size: int
    port: int
    width: ClassVar[int]

    @property
    def beats(self) -> int:
        """Beats of the vector."""
        return whole(self.width * self.size, self.port)


class Gains(Elements):
    """The gains of a norm."""

    width = HALF


class Biases(Elements):
    """The biases of a linear layer."""

    width = BIASED_BITS


Form = Rows | Groups | Gains | Biases
"""How a tensor lies."""


def tensor_layout(stage: Stage, port: int) -> Form | None:
    """How the weights of a stage lie; None if it has none in the memory."""
    if isinstance(stage, Norm):
        return Gains(stage.size, port)
    if isinstance(stage, Bias):
        return Biases(stage.output_size, port)
    if isinstance(stage, Linear):
        kind = Rows if stage.minima is None else Groups
        return kind(*stage.weights.shape, port)
    if isinstance(stage, Embed):
        return Rows(*stage.tokens.shape, port)
    return None


@dataclass(frozen=True)
class Tensor:
    """Where the weights of a stage are: beats from ``first`` on."""

    layer: int
    stage: Stage
    form: Form
    first: int


@dataclass(frozen=True, eq=False)
class Layout:
    """The memory of a plan with scales of rows or groups, read in beats of ``port`` bits."""

    plan: Plan
    port: int

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors, in their order."""
        found, at = [], 0
        for layer, stage in self._consumed():
            form = tensor_layout(stage, self.port)
            found.append(Tensor(layer, stage, form, at))
            at += form.beats
        return tuple(found)

    def _consumed(self) -> Iterator[tuple[int, Stage]]:
        sections = [*enumerate(self.plan.layers), (0, self.plan.epilogue)]
        for layer, section in sections:
            for stage in section:
                if tensor_layout(stage, self.port):
                    yield layer, stage
        if not self.tied:
            yield 0, self.embed

    @property
    def embed(self) -> Embed:
        """The stage that reads the embedding."""
        return self.plan.prologue.stages[0]

    @property
    def head(self) -> Linear:
        """The stage that reads the head's matrix."""
        return next(s for s in self.plan.epilogue if isinstance(s, Linear))

    @property
    def tied(self) -> bool:
        """Whether the embedding is the head's matrix."""
        return self.embed.tokens is self.head.weights

    @property
    def embedding(self) -> int:
        """The first beat of the embedding."""
        stage = self.head if self.tied else self.embed
        return next(t.first for t in self.tensors if t.stage is stage)

    @property
    def attention(self) -> Attention:
        """A template of the attention stages."""
        return next(s for s in self.plan.template if isinstance(s, Attention))

    @property
    def weights_end(self) -> int:
        """The beat behind the weights, with which keys and values begin."""
        last = self.tensors[-1]
        return last.first + last.form.beats

    @property
    def mantissa_beats(self) -> int:
        """Beats of a cached head of a key or of a value."""
        return whole(self.attention.d_head * self.attention.key.width, self.port)

    @property
    def key_record(self) -> int:
        """Beats of a cached key: the exponents of key and value, and the key's mantissas."""
        return 1 + self.mantissa_beats

    @property
    def head_beats(self) -> int:
        """Beats of the keys and values of a head in a layer."""
        return self.attention.slots * (self.key_record + self.mantissa_beats)

    def keys(self, layer: int, head: int) -> int:
        """The first beat of a head's keys in a layer."""
        return self.weights_end + (layer * self.attention.kv_heads + head) * self.head_beats

    def values(self, layer: int, head: int) -> int:
        """The first beat of a head's values in a layer."""
        return self.keys(layer, head) + self.attention.slots * self.key_record

    @property
    def end(self) -> int:
        """Beats of everything."""
        return self.keys(len(self.plan.layers), 0)
