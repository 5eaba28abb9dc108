"""What an attention unit is made of and loaded with: checks of its jobs, and its memory image."""

from collections.abc import Sequence

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from golden import tables
from golden.numbers import MANTISSA_BITS, MAX_RIGHT, Block, Fixed
from golden.stage import Attention as Stage
from hdl.attention_scores import SHIFT_BITS
from hdl.attention_shape import Shape
from hdl.requantise import SCALE_BITS
from hdl.stream import Tags
from hdl.table import table_words
from hdl.units.unit import check_jobs, pack_row, pack_rows


def weight_unit(job: Stage) -> int:
    """A sum times a reciprocal counts ``2**-weight_unit`` of the values' unit."""
    return tables.UNIT - 1 + job.spare_bits


def check(name: str, jobs: Sequence[Stage], layers: int, streams: int, tags: Tags) -> None:
    """Whether the jobs can share a unit.

    Raises
    ------
    ValueError
        If jobs differ in shape or kinds of format, a format is too wide or the formats cannot be
        mixed so, or the tags are too narrow.
    """
    check_jobs(name, jobs, ("n_head", "d_head", "slots", "query", "key", "value", "format"))
    job = jobs[0]
    if isinstance(job.query, Block) != isinstance(job.key, Block):
        raise ValueError(f"{job.name}: query and key must both be Fixed or both Block")
    for form in (job.query, job.key, job.value):
        if form.width > MANTISSA_BITS:
            raise ValueError(f"{job.name}: {form} is wider than a factor")
    for what, count, bits in (
        ("streams", streams, tags.stream),
        ("layers", layers, tags.layer),
        ("jobs", len(jobs), tags.job),
    ):
        if not 1 <= count <= 1 << bits:
            raise ValueError(f"unit {name}: {count} {what} do not fit a tag of {bits} bits")


def row_layout(job: Stage) -> data.StructLayout:
    """A row of the parameter memory; what comes with the vectors is not in it.

    shift: of scores. scale: of Requantise, or of it and a block's exponent together.
    """
    row = {}
    if isinstance(job.key, Fixed):
        row["shift"] = unsigned(SHIFT_BITS)
    if isinstance(job.value, Fixed) or isinstance(job.format, Fixed):
        row["scale"] = signed(SCALE_BITS)
    return data.StructLayout(row)


def score_shift(job: Stage) -> int:
    """The right shift of dot products to scores; ValueError if it would be a left one."""
    shift = -tables.SCORE_FRACTION - (job.query.exponent + job.key.exponent)
    if shift < 0:
        raise ValueError(f"{job.name}: scores of {job.query} and {job.key} would shift left")
    return min(shift, MAX_RIGHT)


def answer_shift(job: Stage) -> int:
    """The right shift to the answer, but for the exponents of blocks; ValueError as above."""
    if isinstance(job.value, Block):
        return job.format.exponent + weight_unit(job)
    if isinstance(job.format, Block):
        return job.value.exponent - weight_unit(job)
    shift = job.format.exponent - (job.value.exponent - weight_unit(job))
    if shift < 0:
        raise ValueError(f"{job.name}: an answer {job.format} of {job.value} would shift left")
    return min(shift, MAX_RIGHT)


def image(name: str, jobs: Sequence[Sequence[Stage]], lanes: int) -> dict[str, list[int]]:
    """Words of the memories of the unit ``name`` from its stages [job][layer].

    Raises
    ------
    ValueError
        If a format would need a left shift that the gateware does not have.
    """
    template = jobs[0][0]
    layout = row_layout(template)
    values = {"shift": score_shift, "scale": answer_shift}

    def row(stage: Stage) -> int:
        return pack_row((values[field](stage), shape) for field, shape in layout.members.items())

    exp2 = table_words(tables.exp2())
    words = {f"{name}.exp2_{h}": exp2 for h in range(Shape(template, lanes).heads)}
    words[f"{name}.reciprocal"] = table_words(tables.reciprocal())
    if layout.size:
        words[f"{name}.parameters"] = pack_rows(jobs, row)
    return words
