"""Where the values of a plan lie in the memory of a serial core, and how wide its sums are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from amaranth.hdl import unsigned
from amaranth.lib import data, enum

from golden import tables
from golden.numbers import MANTISSA_BITS, Fixed
from golden.plan import Plan, Section
from golden.schedule import sections, value_size
from golden.stage import Attention, Embed, Linear, Norm, Stage
from hdl.mac import LATENCY as MAC

WORD = 2 * MANTISSA_BITS
"""Width of a word of the value memory: an element, whatever its format."""

SHIFT_BITS = 6
"""Width of a right shift; the largest one leaves nothing of any sum."""

ACCUMULATED = 2 + MAC
"""Cycles from the read of an element to the sum that holds its product."""

WRITTEN = ACCUMULATED + 2
"""Cycles from the read of an element to the cycle in which its answer is written."""


class Kind(enum.Enum, shape=3):
    """What a row of the program asks for."""

    EMBED = 0
    NORM = 1
    LINEAR = 2
    ATTENTION = 3
    RELU = 4
    RESIDUAL = 5
    SAMPLE = 6


KINDS = {
    "embed": Kind.EMBED,
    "norm": Kind.NORM,
    "linear": Kind.LINEAR,
    "attention": Kind.ATTENTION,
    "activation": Kind.RELU,
    "residual": Kind.RESIDUAL,
    "sample": Kind.SAMPLE,
}


@dataclass(frozen=True)
class Shape:
    """A plan on ``rows`` multipliers; a function of the plan's signature only.

    The memory of values holds, one element a word: the values of prologue, a layer and epilogue,
    the scores of a head, its sums, then the keys and the values of every layer, slot by slot.
    A layer's answer takes the place of its input.
    """

    plan: Plan
    rows: int

    @cached_property
    def stages(self) -> list[Stage]:
        """The stages of prologue, a layer and epilogue."""
        return [stage for _, section in sections(self.plan, 1) for stage in section]

    @cached_property
    def jobs(self) -> list[tuple[str, str]]:
        """(section, name) of the stages, in the order of the schedule's jobs."""
        return [(name, s.name) for name, section in sections(self.plan, 1) for s in section]

    def first(self, kind: type) -> Stage:
        """A stage of a kind that every plan has."""
        return next(stage for stage in self.stages if isinstance(stage, kind))

    @cached_property
    def attention(self) -> Attention:
        return self.first(Attention)

    @cached_property
    def _places(self) -> dict[tuple[str, str] | str, int]:
        places, free = {}, 0

        def place(key, size: int) -> None:
            nonlocal free
            places[key] = free
            free += size

        stream = "layer0", self.plan.template.output
        for name, section in sections(self.plan, 1):
            for stage in section:
                apart = stage.output not in self._cached(section) and stage.kind != "sample"
                if apart and (name, stage.output) != stream:
                    place((name, stage.output), stage.output_size)
        places[stream] = self._stream(places)
        place("scores", self.attention.slots)
        place("sums", self.attention.d_head)
        place("cache", 2 * len(self.plan.layers) * self.cache_size)
        place("end", 0)
        return places

    def _stream(self, places) -> int:
        return places["prologue", self.plan.prologue.output]

    @staticmethod
    def _cached(section: Section) -> tuple[str, ...]:
        """The values that go into the cache."""
        return next((s.inputs[1:] for s in section if isinstance(s, Attention)), ())

    @property
    def cache_size(self) -> int:
        """Words of the keys (or of the values) of a layer."""
        return self.attention.slots * self.attention.output_size

    @property
    def depth(self) -> int:
        """Words of the value memory."""
        return self._places["end"]

    @property
    def scores(self) -> int:
        """Where the scores of a head are."""
        return self._places["scores"]

    @property
    def sums(self) -> int:
        """Where the weighted sums of a head are."""
        return self._places["sums"]

    def place(self, section: str, value: str, layer: int) -> int:
        """Where a value begins; of a key or value, its ring of slots."""
        part = dict(sections(self.plan, 1))[section]
        if value in self._cached(part):
            which = self._cached(part).index(value)
            return self._places["cache"] + (2 * layer + which) * self.cache_size
        if value == part.input and section != "prologue":
            return self._stream(self._places)
        return self._places[section, value]

    def in_cache(self, section: str, value: str) -> bool:
        """Whether a value is written to the slot of its token."""
        return value in self._cached(dict(sections(self.plan, 1))[section])

    @cached_property
    def longest(self) -> int:
        """Elements of the longest vector."""
        named = sections(self.plan, 1)
        return max(value_size(part, s.output) for _, part in named for s in part)

    @cached_property
    def weight_bits(self) -> int:
        return self.first(Linear).weight_bits

    @cached_property
    def weight_words(self) -> int:
        """Words of all matrices, ``rows`` weights each."""
        return sum(
            -(-stage.output_size // self.rows) * stage.input_size
            for _, stage in self.plan.stages()
            if isinstance(stage, Linear)
        )

    @property
    def shared(self) -> bool:
        """Whether the smallest table stands behind the weights: it would fill no block RAM."""
        table = tables.exp2()
        return table.base_bits + table.slope_bits <= self.rows * self.weight_bits

    @property
    def weight_depth(self) -> int:
        """Words of the memory of weights."""
        table = 1 << tables.exp2().index_bits if self.shared else 0
        return self.weight_words + table

    @cached_property
    def sum_bits(self) -> int:
        """Width of the sums of linear layers, scores and weighted values."""
        attention = self.attention
        linear = max(s.accumulator_bits for s in self.stages if isinstance(s, Linear))
        dots = 2 * MANTISSA_BITS + (attention.d_head - 1).bit_length()
        weighted = MANTISSA_BITS + tables.UNIT + (attention.slots - 1).bit_length()
        return max(linear, dots, weighted, WORD)

    @cached_property
    def total_bits(self) -> int:
        """Width of the first sum, which takes squares, random words and table answers too."""
        return max(self.sum_bits, self.square_bits + 1, WORD + 1) + 1

    @property
    def top(self) -> int:
        """Place in the first sum to which a leading one is moved."""
        return self.total_bits - 2

    @cached_property
    def square_bits(self) -> int:
        return self.first(Norm).square_bits

    @cached_property
    def norm_size(self) -> int:
        """Elements of the vectors that are normalised."""
        return self.first(Norm).size

    @cached_property
    def embed(self) -> Embed:
        return self.first(Embed)

    @cached_property
    def embed_rows(self) -> int:
        """Rows of the memory of embeddings: of tokens, then of positions."""
        positions = self.embed.positions
        return len(self.embed.tokens) + (0 if positions is None else len(positions))

    @cached_property
    def row(self) -> data.StructLayout:
        """A row of the program.

        x, y, d: places of both inputs and of the answer; an attention's ``y`` is that of the keys.
        cached: the answer goes to the slot of the token.  w: of the first word of weights.
        n, m: elements of the input and of the answer, less 1.
        shift: to the answer (of a norm: for a root whose power of two is 0); score: to scores.
        epsilon: of a norm, in units of the sum.  job, layer: for the tags.
        """
        address, size = range(self.depth), range(self.longest)
        return data.StructLayout(
            {
                "kind": Kind,
                "x": address,
                "y": address,
                "d": address,
                "cached": unsigned(1),
                "w": range(max(self.weight_words, 2)),
                "n": size,
                "m": size,
                "shift": unsigned(SHIFT_BITS),
                "score": unsigned(SHIFT_BITS),
                "epsilon": unsigned(self.square_bits),
                "job": range(len(self.jobs)),
                "layer": range(len(self.plan.layers)),
            }
        )

    @property
    def program(self) -> list[tuple[str, int, Stage]]:
        """(section, layer, stage) of every row, in the order of execution."""
        rows = [("prologue", 0, stage) for stage in self.plan.prologue]
        for layer, part in enumerate(self.plan.layers):
            rows += [("layer0", layer, stage) for stage in part]
        return rows + [("epilogue", 0, stage) for stage in self.plan.epilogue]

    @property
    def layers_end(self) -> int:
        """The row after the last one of the layers."""
        return len(self.program) - len(self.plan.epilogue.stages)


def check(plan: Plan) -> None:
    """Whether a serial core can execute a plan.

    Raises
    ------
    ValueError
        Names the stage that it cannot execute, and why.
    """
    named = [stage for _, section in sections(plan, 1) for stage in section]
    for stage in named:
        if stage.kind not in KINDS:
            raise ValueError(f"{stage.name}: no {stage.kind}")
        if getattr(stage, "function", "relu") != "relu":
            raise ValueError(f"{stage.name}: no {stage.function}")
        forms = {name: f for name, f in vars(stage).items() if hasattr(f, "width")}
        for name, form in forms.items():
            if not isinstance(form, Fixed) or form.width > MANTISSA_BITS:
                raise ValueError(f"{stage.name}: {name} {form}, not of {MANTISSA_BITS} static bits")
    sizes = {stage.size for stage in named if isinstance(stage, Norm)}
    if len(sizes) > 1:
        raise ValueError(f"norms of {len(sizes)} sizes")
