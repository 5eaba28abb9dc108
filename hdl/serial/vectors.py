"""Steps of the stages that are not attention: embedding, norm, linear, ReLU, residual."""

from __future__ import annotations

from amaranth.hdl import Cat, Mux

from golden import tables
from hdl.kv_cache import index
from hdl.norm_image import LEFT
from hdl.serial.datapath import A, B, Function, Rounding
from hdl.serial.shape import ACCUMULATED, WRITTEN
from hdl.serial.steps import PERIOD, Steps, factor

ROW = 2
"""Cycles of a stage that fetch its row and turn to the next."""


def sum_cycles(size: int) -> int:
    """Cycles of an embedding with positions, or of a residual: 3 an element."""
    return ROW + 1 + 3 * (size - 1) + 2 + WRITTEN


def relu_cycles(size: int) -> int:
    """Cycles of a ReLU: PERIOD an element."""
    return ROW + 1 + PERIOD * (size - 1) + 1 + WRITTEN


def linear_cycles(inputs: int, outputs: int, rows: int) -> int:
    """Cycles of a linear layer: for ``rows`` answers a read an input, and as many writes."""
    return ROW + 1 + -(-outputs // rows) * (inputs + WRITTEN + 1) + outputs


def embedding(steps: Steps, token, position):
    """Where an element of a row of embeddings is: of the token, or (``second``) the position."""
    stage = steps.shape.embed
    row = Mux(steps.second, len(stage.tokens) + position, token)
    return index(row, steps.i, stage.output_size)


def embed(steps: Steps) -> None:
    """``EMBED``: rows of two tables are added."""
    m, shape = steps.m, steps.shape
    with m.State("EMBED"):
        m.d.sync += steps.set(a=A.EMBEDDING, shift=LEFT)
        m.next = "EMBED_ADD"
    _sum(steps, "EMBED_ADD", several=shape.embed.positions is not None)


def residual(steps: Steps) -> None:
    """``RESIDUAL``: two vectors are added."""
    m = steps.m
    with m.State("RESIDUAL"):
        m.d.sync += steps.set(shift=LEFT)
        m.next = "RESIDUAL_ADD"
    _sum(steps, "RESIDUAL_ADD", several=True)


def _sum(steps: Steps, name: str, several: bool) -> None:
    """States that add elements of one or two vectors."""
    m = steps.m
    with m.State(name):
        m.d.comb += steps.take(first=1, emit=not several)
        m.d.sync += steps.read.eq(steps.read + 1)
        m.next = f"{name}_SECOND"
    with m.State(f"{name}_SECOND"):
        m.d.comb += steps.second.eq(1)
        if several:
            m.d.comb += steps.take(emit=1)
        m.d.sync += [steps.other.eq(steps.other + 1), steps.i.eq(steps.i + 1)]
        m.next = f"{name}_GAP"
        with m.If(steps.i == steps.row.m):
            m.next = f"{name}_END"
    with m.State(f"{name}_GAP"):
        m.next = name
    steps.wait(f"{name}_END", WRITTEN, "NEXT")


def relu(steps: Steps) -> None:
    """``RELU``: the larger of an element and 0."""
    m = steps.m
    with m.State("RELU"):
        m.d.sync += steps.set(shift=LEFT, relu=1)
        m.next = "RELU_EACH"
    steps.stream("RELU_EACH", steps.row.m, "NEXT")


def linear(steps: Steps) -> None:
    """``LINEAR``: groups of ``rows`` answers, each a read an input, then its writes."""
    m, path, row = steps.m, steps.path, steps.row
    with m.State("LINEAR"):
        m.d.sync += steps.set(b=B.WEIGHTS, shift=row.shift)
        m.next = "LINEAR_SUM"
    with m.State("LINEAR_SUM"):
        m.d.comb += steps.take(first=steps.i == 0)
        m.d.sync += [
            steps.read.eq(steps.read + 1),
            steps.weights.eq(steps.weights + 1),
            steps.i.eq(steps.i + 1),
        ]
        with m.If(steps.i == row.n):
            m.d.sync += steps.i.eq(0)
            m.next = "LINEAR_DRAIN"
    with m.State("LINEAR_DRAIN"):
        m.d.comb += [path.emit.eq(1), path.lane.eq(steps.i)]
        m.d.sync += [steps.i.eq(steps.i + 1), steps.out.eq(steps.out + 1)]
        with m.If((steps.i == steps.shape.rows - 1) | (steps.out == row.m)):
            m.d.sync += steps.i.eq(0)
            m.next = "LINEAR_END"
    steps.wait("LINEAR_END", WRITTEN, "LINEAR_MORE", [steps.read.eq(row.x)])
    with m.State("LINEAR_MORE"):
        m.next = "LINEAR_SUM"
        with m.If(steps.out == row.m + 1):
            m.next = "NEXT"


def norm(steps: Steps) -> None:
    """``NORM``: squares, root, scale."""
    m, path, row, shape = steps.m, steps.path, steps.row, steps.shape
    with m.State("NORM"):
        m.d.comb += [path.load.eq(1), path.loaded.eq(row.epsilon)]
        m.d.sync += [*steps.set(b=B.VALUE), steps.leading.eq(shape.top)]
        m.next = "NORM_SQUARE"
    with m.State("NORM_SQUARE"):
        m.d.comb += steps.take()
        m.d.sync += [steps.read.eq(steps.read + 1), steps.i.eq(steps.i + 1)]
        with m.If(steps.i == row.n):
            m.d.sync += steps.i.eq(0)
            m.next = "NORM_WAIT"
    steps.wait("NORM_WAIT", ACCUMULATED - 1, "NORM_LEADING")
    steps.normalise("NORM_LEADING", "NORM_ROOT", lambda: [
        steps.at.eq(Cat(steps.below_leading(tables.UNIT), steps.leading[0])),
        *steps.ask(Function.ROOT),
    ])  # fmt: skip
    steps.look_up("NORM_ROOT", "NORM_SCALE", [
        *steps.set(
            a=A.VALUE, b=B.FACTOR, factor=factor(path.answer), rounding=Rounding.EVEN,
            shift=row.shift + steps.leading[1:], store=1,
        ),
        steps.read.eq(row.x),
    ])  # fmt: skip
    steps.stream("NORM_SCALE", row.m, "NEXT")
