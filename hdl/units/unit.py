"""What units share: parameter rows, checks of their jobs, and the account of their work."""

from collections.abc import Callable, Iterable, Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import Block, Fixed
from golden.stage import Stage, format_signature
from hdl.memory import Memories, Rom
from hdl.stream import Queue


def layer_bits(layers: int) -> int:
    """Address bits that the layer takes in a parameter row's address."""
    return (layers - 1).bit_length()


def row_count(jobs: int, layers: int) -> int:
    """Rows of a parameter memory; the layers are padded to a power of two."""
    return jobs << layer_bits(layers)


def row_address(tag, jobs: int, layers: int) -> Value:
    """Address of the parameter row of a vector: Cat(layer, job)."""
    layer = Value.cast(tag.layer)[: layer_bits(layers)]
    pad = Const(0, layer_bits(layers) - len(layer))
    return Cat(layer, pad, Value.cast(tag.job)[: layer_bits(jobs)])


def parameter_rom(memories: Memories, name: str, width: int, jobs: int, layers: int) -> Rom:
    """The memory of the unit ``name`` with a row a job and layer: see :func:`row_address`."""
    return memories.rom(f"{name}.parameters", width, row_count(jobs, layers), synchronous=False)


def pack_row(fields: Iterable[tuple[int, object]]) -> int:
    """One word from (value, shape) pairs, the first at the bottom.

    Raises
    ------
    ValueError
        If a value does not fit its shape.
    """
    word, place = 0, 0
    for value, shape in fields:
        width = shape if isinstance(shape, int) else shape.width
        is_signed = not isinstance(shape, int) and shape.signed
        low = -(1 << (width - 1)) if is_signed else 0
        if not low <= value < low + (1 << width):
            raise ValueError(f"parameter {value} does not fit {width} bits")
        word |= (value & ((1 << width) - 1)) << place
        place += width
    return word


def pack_rows(jobs: Sequence[Sequence[Stage]], row: Callable[[Stage], int]) -> list[int]:
    """Words of a parameter memory from the stages [job][layer]; rows without a stage are zero."""
    layers = max(len(stages) for stages in jobs)
    words = [0] * row_count(len(jobs), layers)
    for job, stages in enumerate(jobs):
        for layer, stage in enumerate(stages):
            words[job << layer_bits(layers) | layer] = row(stage)
    return words


def pack_lanes(values: Sequence[int], width: int) -> int:
    """One memory word of ``values``, lane 0 at the bottom, ``width`` bits each."""
    mask = (1 << width) - 1
    return sum((int(value) & mask) << (k * width) for k, value in enumerate(values))


def check_jobs(name: str, jobs: Sequence[Stage], fields: Sequence[str]) -> None:
    """Every job must be there and have the same shapes and kinds of format in ``fields``.

    Raises
    ------
    ValueError
        If there is no job, or two jobs cannot share a unit; names the unit and the stage.
    """
    if not jobs:
        raise ValueError(f"unit {name} has no job")
    for stage in jobs[1:]:
        for field in fields:
            a, b = (_shape_of(getattr(job, field)) for job in (jobs[0], stage))
            if a != b:
                raise ValueError(
                    f"unit {name}: {field} of {stage.name} is {b}, that of {jobs[0].name} is {a}"
                )


def _shape_of(value):
    if isinstance(value, Fixed | Block):
        return format_signature(value)
    return getattr(value, "shape", value)


class Work(wiring.Component):
    """Which vectors are in a unit.  ``busy`` and ``job`` follow ``enter`` and ``leave`` by a cycle.

    Parameters
    ----------
    job_bits: width of a job.  depth: the most vectors that can be in the unit.

    Members
    -------
    enter, enter_job: a vector's first beat is accepted.  leave: its last beat leaves.
    busy: at least one vector is inside.  job: that of the oldest.
    """

    def __init__(self, job_bits: int, depth: int):
        self._depth = max(depth, 2)
        super().__init__(
            {
                "enter": In(1),
                "enter_job": In(job_bits),
                "leave": In(1),
                "busy": Out(1),
                "job": Out(job_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(self._depth + 1))
        m.d.sync += count.eq(count + self.enter - self.leave)
        m.d.comb += self.busy.eq(count != 0)
        if len(self.job):
            m.submodules.jobs = jobs = Queue(self.job.shape(), self._depth)
            m.d.comb += [
                jobs.i.valid.eq(self.enter),
                jobs.i.p.eq(self.enter_job),
                jobs.o.ready.eq(self.leave),
                self.job.eq(jobs.o.p),
            ]
        return m

    def connect(self, m: Module, first_in, last_out, job) -> None:
        """Wire the events ``first_in`` and ``last_out``, and the ``job`` of what enters."""
        m.d.comb += [self.enter.eq(first_in), self.leave.eq(last_out), self.enter_job.eq(job)]


def moved(port, flag: str) -> Value:
    """Whether a beat with ``flag`` (first or last) passes ``port`` in this cycle."""
    return port.valid & port.ready & getattr(port.p, flag)


SHIFT = signed(12)
"""Width of an exponent or a shift in a parameter row."""
