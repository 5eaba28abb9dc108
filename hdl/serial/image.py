"""The words of the memories of a serial core: its program, weights, embeddings and tables."""

from __future__ import annotations

from collections.abc import Sequence

from golden import tables
from golden.numbers import MANTISSA_BITS
from golden.plan import Plan
from golden.schedule import Schedule
from golden.stage import Attention, Linear, Norm, Residual, Sample, Stage
from golden.stages.norm import aligned_epsilon
from hdl import attention_image, noise, norm_image
from hdl.norm_image import LEFT
from hdl.serial.shape import KINDS, SHIFT_BITS, Shape
from hdl.table import table_words
from hdl.units import matrices, residual
from hdl.units.unit import pack_lanes, pack_row
from hdl.weights import weight_words

MOST = (1 << SHIFT_BITS) - 1


def image(plan: Plan, schedule: Schedule) -> dict[str, Sequence[int]]:
    """Words by memory; ValueError if a format would need a left shift that there is not."""
    (unit,) = schedule.units
    name, shape = unit.name, Shape(plan, unit.rows)
    exp2 = table_words(tables.exp2())
    behind = exp2 if shape.shared else []
    apart = {} if shape.shared else {f"{name}.exp2": exp2}
    weights, starts = _weights(shape)
    residual.image(name, [[s for s in shape.stages if isinstance(s, Residual)]])  # only its check
    rows = [
        _row(shape, section, layer, stage, start)
        for (section, layer, stage), start in zip(shape.program, starts, strict=True)
    ]
    return apart | {
        f"{name}.program": rows,
        f"{name}.weights": [*weights, *behind],
        f"{name}.embeddings": _embeddings(shape),
        f"{name}.reciprocal": table_words(tables.reciprocal()),
        f"{name}.gumbel": table_words(tables.gumbel()),
        f"{name}.root": table_words(tables.root(shape.norm_size)),
    }


def _weights(shape: Shape) -> tuple[list[int], list[int]]:
    """(words of all matrices, where those of every row of the program begin)."""
    words, starts = [], []
    for _, _, stage in shape.program:
        starts.append(len(words) if isinstance(stage, Linear) else 0)
        if isinstance(stage, Linear):
            words += weight_words(stage.weights, stage.weight_bits, 1, shape.rows)
    return words, starts


def _embeddings(shape: Shape) -> list[int]:
    stage = shape.embed
    rows = [stage.tokens] + ([] if stage.positions is None else [stage.positions])
    return [pack_lanes([x], MANTISSA_BITS) for table in rows for x in table.reshape(-1)]


def _row(shape: Shape, section: str, layer: int, stage: Stage, start: int) -> int:
    places = [0 if v == "token" else shape.place(section, v, layer) for v in stage.inputs]
    last = isinstance(stage, Sample)
    values = {
        "kind": KINDS[stage.kind].value,
        "x": places[0],
        "y": places[1] if len(places) > 1 else 0,
        "d": 0 if last else shape.place(section, stage.output, layer),
        "cached": shape.in_cache(section, stage.output),
        "w": start,
        "n": stage.input_size - 1,
        "m": stage.output_size - 1,
        "shift": _shift(stage),
        "score": 0,
        "epsilon": 0,
        "job": shape.jobs.index((section, stage.name)),
        "layer": layer,
    }
    if isinstance(stage, Attention):
        values["score"] = min(attention_image.score_shift(stage) + LEFT, MOST)
    if isinstance(stage, Norm):
        values["epsilon"] = aligned_epsilon(stage, stage.source.exponent)
    return pack_row((values[name], field.width) for name, field in shape.row)


def _shift(stage: Stage) -> int:
    """The right shift of the stage's wide answers, LEFT places included."""
    if isinstance(stage, Norm):  # modulo the field: the root's power of two is added
        return (norm_image.answer_shift(stage) + LEFT) & MOST
    right = 0
    if isinstance(stage, Linear):
        right = matrices.scale(stage)
    if isinstance(stage, Attention):
        right = attention_image.answer_shift(stage)
    if isinstance(stage, Sample):
        right = noise.shift(stage)
    return min(right + LEFT, MOST)
