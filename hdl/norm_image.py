"""What the memories of a norm hold: rows of parameters, and the table of the root."""

from collections.abc import Sequence

from amaranth.hdl import unsigned
from amaranth.lib import data

from golden import tables
from golden.numbers import Fixed
from golden.stage import Norm
from golden.stages.norm import aligned_epsilon
from hdl.table import table_words
from hdl.units.unit import SHIFT, pack_row, pack_rows

EPSILON_BITS = 15
LEFT = 4
"""Left shifts that a Fixed answer may need: formats down to 2**-LEFT of the answer's range."""


def row_layout(stage: Norm) -> data.StructLayout:
    """A parameter row.

    epsilon: in units of the sum, or (Block) a mantissa, with ``exponent``, its power of two.
    right: right shift of the products to a Fixed answer, but for the root's power of two.
    gain: of a Block answer with gains their power of two; a Fixed one has it in ``right``.
    """
    fields = {"epsilon": unsigned(EPSILON_BITS), "exponent": SHIFT}
    if isinstance(stage.source, Fixed):
        fields = {"epsilon": unsigned(stage.square_bits)}
    if isinstance(stage.format, Fixed):
        fields["right"] = SHIFT
    elif stage.gain is not None:
        fields["gain"] = SHIFT
    return data.StructLayout(fields)


def answer_shift(stage: Norm) -> int:
    """The right shift of products to a Fixed answer, but for the root's power of two.

    Raises
    ------
    ValueError
        If a format is so fine that a small sum of squares would need more than LEFT left shifts.
    """
    least = 0
    if isinstance(stage.source, Fixed):
        epsilon = aligned_epsilon(stage, stage.source.exponent)
        least = (max(epsilon, 1).bit_length() - 1) // 2
    unit = tables.norm_exponent(stage.size) - tables.UNIT + int(stage.gain_exponent)
    right = stage.format.exponent - unit
    if right + least < -LEFT:
        raise ValueError(f"{stage.name}: {stage.format} is finer than the unit can answer")
    return right


def image(name: str, jobs: Sequence[Sequence[Norm]]) -> dict[str, list[int]]:
    """Words of the memories of the unit ``name`` from its stages [job][layer].

    Raises ValueError as :func:`answer_shift`.
    """

    def row(stage: Norm) -> int:
        values = [int(stage.epsilon), int(stage.epsilon_exponent)]
        if isinstance(stage.source, Fixed):
            values = [aligned_epsilon(stage, stage.source.exponent)]
        if isinstance(stage.format, Fixed):
            values.append(answer_shift(stage))
        elif stage.gain is not None:
            values.append(int(stage.gain_exponent))
        shapes = [field.shape for _, field in row_layout(stage)]
        return pack_row(zip(values, shapes, strict=True))

    return {
        f"{name}.parameters": pack_rows(jobs, row),
        f"{name}.root": table_words(tables.root(jobs[0][0].size)),
    }
