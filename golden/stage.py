"""The stages that a plan is made of: operations on integer vectors, with their weights and formats.

A stage is a frozen dataclass; ``golden/stages`` executes it, ``hdl/units`` builds it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from golden.numbers import MANTISSA_BITS, Block, Fixed, Format


def format_signature(form: Format) -> str:
    """Width and kind of a format; the exponent of ``Fixed`` is a value, not part of the shape."""
    return f"{'fixed' if isinstance(form, Fixed) else 'block'}{form.width}"


@dataclass(frozen=True, eq=False)
class Stage:
    """One operation: reads the values ``inputs``, writes the value ``output``."""

    kind: ClassVar[str]
    name: str
    inputs: tuple[str, ...]
    output: str

    @property
    def output_size(self) -> int:
        """Elements of the output vector."""
        raise NotImplementedError

    @property
    def input_size(self) -> int:
        """Elements of each input vector."""
        return self.output_size

    @property
    def macs(self) -> int:
        """Multiply-accumulates of weights (attention adds its own by position)."""
        return 0

    def signature(self) -> dict:
        """Names, shapes and kinds of format: all that gateware of this stage may depend on."""
        return {"kind": self.kind} | {
            f.name: _signature_of(getattr(self, f.name)) for f in fields(self)
        }


def _signature_of(value):
    if isinstance(value, np.ndarray):
        return list(value.shape)
    if isinstance(value, Fixed | Block):
        return format_signature(value)
    if isinstance(value, Exponent):
        return "exponent"
    return list(value) if isinstance(value, tuple) else value


class Exponent(int):
    """A power of two that is a value (loaded at run time), not part of the signature."""


UNITY = Exponent(0)


SCALE_FRACTION = 24
"""Every float16 is a multiple of ``2**-SCALE_FRACTION``."""

SCALED_BITS = 64
"""Width of an exact sum of scaled products; :func:`golden.formats.check_sums` holds plans to it."""


@dataclass(frozen=True, eq=False)
class Embed(Stage):
    """Sum of a row of the token table [n_vocab, size] and of the position table [n_ctx, size].

    With ``scales`` [n_vocab] (see :class:`Linear`) the tokens are codes, ``scale * code *
    2**exponent`` is rounded to the format, and there are no positions.
    """

    kind: ClassVar[str] = "embed"
    tokens: np.ndarray
    positions: np.ndarray | None
    format: Fixed
    scales: np.ndarray | None = None
    exponent: Exponent = UNITY

    @property
    def output_size(self) -> int:
        return self.tokens.shape[1]


@dataclass(frozen=True, eq=False)
class Norm(Stage):
    """RMS normalisation: ``x / sqrt(mean(x**2) + eps)``, times ``gain * 2**gain_exponent``.

    ``size * eps = epsilon * 2**epsilon_exponent``, with an ``epsilon`` of 15 bits.  ``gain``:
    integers [size] of MANTISSA_BITS, or None for none.
    """

    kind: ClassVar[str] = "norm"
    size: int
    epsilon: Exponent
    epsilon_exponent: Exponent
    source: Format
    format: Format
    gain: np.ndarray | None = None
    gain_exponent: Exponent = UNITY

    @property
    def output_size(self) -> int:
        return self.size

    @property
    def square_bits(self) -> int:
        """Width of the exact unsigned sum of squares."""
        return 2 * MANTISSA_BITS - 1 + (self.size - 1).bit_length()


@dataclass(frozen=True, eq=False)
class Linear(Stage):
    """Matrix [output, input] times vector: exact accumulator, one rounding.

    A weight is ``2**weight_exponent`` times its code, which is signed.  With ``scales`` it is
    ``2**(weight_exponent - SCALE_FRACTION)`` times ``scale * code``, one scale a row [output] or
    one a group of GROUP neighbours [output, input / GROUP]; with ``minima``, of the same shape,
    times ``scale * code + minimum``, and codes are unsigned.  Scales and minima are what float16
    can hold, times ``2**SCALE_FRACTION``: integers.
    """

    kind: ClassVar[str] = "linear"
    weights: np.ndarray
    weight_bits: int
    weight_exponent: Exponent
    source: Format
    format: Format
    scales: np.ndarray | None = None
    minima: np.ndarray | None = None

    @property
    def output_size(self) -> int:
        return self.weights.shape[0]

    @property
    def input_size(self) -> int:
        return self.weights.shape[1]

    @property
    def macs(self) -> int:
        return self.weights.size

    @property
    def accumulator_bits(self) -> int:
        """Width that no accumulator of this shape can exceed."""
        if self.scales is not None:
            return SCALED_BITS
        size = self.weights.shape[1]
        return MANTISSA_BITS + self.weight_bits - 1 + (size - 1).bit_length() + 1


BIASED_BITS = 32
"""Width of a bias, and of the vector to which it was added: that of a stream beside blocks."""


@dataclass(frozen=True, eq=False)
class Bias(Stage):
    """Saturating sum of a vector, rounded to the format first, and a constant of that format.

    ``bias``: integers [size] in units of the format.
    """

    kind: ClassVar[str] = "bias"
    bias: np.ndarray
    source: Block
    format: Fixed

    @property
    def output_size(self) -> int:
        return len(self.bias)


@dataclass(frozen=True, eq=False)
class Attention(Stage):
    """Causal attention of every head over the last ``slots`` positions; inputs q, k, v.

    A score counts powers of two: ``scaled`` multiplies it by ``log2(e) / sqrt(d_head)``, which is
    else already in the weights of q.  ``n_kv_head``: heads of k and v, each for as many
    neighbouring heads of q; None for as many as there are.  The width of ``key`` and ``value`` is
    that of the cache.
    """

    kind: ClassVar[str] = "attention"
    n_head: int
    d_head: int
    slots: int
    query: Format
    key: Format
    value: Format
    format: Format
    n_kv_head: int | None = None
    scaled: bool = False

    @property
    def kv_heads(self) -> int:
        """Heads of k and v."""
        return self.n_kv_head or self.n_head

    @property
    def output_size(self) -> int:
        return self.n_head * self.d_head

    @property
    def spare_bits(self) -> int:
        """Bits below a value's unit that a weighted sum keeps: with those of the value, 16."""
        return MANTISSA_BITS - self.value.width

    def attended(self, position: int) -> int:
        """Cached positions that a token at ``position`` attends to, itself included."""
        return min(position + 1, self.slots)


@dataclass(frozen=True, eq=False)
class Activation(Stage):
    """Elementwise ReLU or GELU; input and output share one format."""

    kind: ClassVar[str] = "activation"
    function: str
    size: int
    format: Format

    @property
    def output_size(self) -> int:
        return self.size


PHASE_BITS = 32
"""Width of a phase; one turn is ``2**PHASE_BITS``."""


@dataclass(frozen=True, eq=False)
class Rope(Stage):
    """Rotary positions: pair i of every head turns by ``turns[i]`` a position [d_head / 2]."""

    kind: ClassVar[str] = "rope"
    n_head: int
    d_head: int
    turns: np.ndarray
    source: Block
    format: Block

    @property
    def output_size(self) -> int:
        return self.n_head * self.d_head


@dataclass(frozen=True, eq=False)
class Gate(Stage):
    """SiLU of the first input times the second, element by element."""

    kind: ClassVar[str] = "gate"
    size: int
    gate: Block
    source: Block
    format: Block

    @property
    def output_size(self) -> int:
        return self.size


@dataclass(frozen=True, eq=False)
class Residual(Stage):
    """Saturating sum of the residual stream and a branch; a branch that is a block is rounded."""

    kind: ClassVar[str] = "residual"
    size: int
    branch: Format
    format: Fixed

    @property
    def output_size(self) -> int:
        return self.size


@dataclass(frozen=True, eq=False)
class Convert(Stage):
    """The same vector in another format."""

    kind: ClassVar[str] = "convert"
    size: int
    source: Format
    format: Format

    @property
    def output_size(self) -> int:
        return self.size


@dataclass(frozen=True, eq=False)
class Sample(Stage):
    """The next token: the largest of logit + temperature * Gumbel noise.

    Ties go to the lowest id.
    """

    kind: ClassVar[str] = "sample"
    n_vocab: int
    source: Fixed

    @property
    def output_size(self) -> int:
        return 1

    @property
    def input_size(self) -> int:
        return self.n_vocab


def stage_macs(stage: Stage, position: int) -> int:
    """Multiply-accumulates of one stage for a token at ``position``."""
    if isinstance(stage, Attention):
        return 2 * stage.output_size * stage.attended(position)
    return stage.macs
