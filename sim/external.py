"""The external memory of a run: which model of which chip, and what lies in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from golden.errors import OptionError, write_whole
from golden.plan import Plan
from golden.traffic import cache_bytes, weight_bytes
from hdl.external.image import all_cache_bytes, memory_bytes
from hdl.external.layout import Layout
from sim.engines import Outside
from sim.memory import models

KEPT = "memory-{digest}-{port}.bin"
"""File of a model's weights as they lie in a memory."""

CACHED = "cache.bin"
"""File of the keys and values that are there when a run begins."""


def bytes_per_token(plan: Plan, seen: Sequence[int], sampled: bool = True) -> float:
    """Bytes that a token needs, and no others (golden.traffic): mean over positions."""
    cached = sum(cache_bytes(plan, position) for position in seen) / len(seen)
    return weight_bytes(plan, sampled) + cached


@dataclass(frozen=True)
class External:
    """Which memory a core is joined to.

    Parameters
    ----------
    memory: of which board (sim.memory.models.MEMORIES).  controller: which model of it.
    port: bits of its port; None is the board's own.
    """

    memory: str = "arty"
    controller: str = "fast"
    port: int | None = None

    @property
    def bits(self) -> int:
        """Bits of the port."""
        return self.port or self._own

    @property
    def _own(self) -> int:
        return 8 * models.parameters(self.memory)["beat_bytes"]

    @property
    def bytes_per_cycle(self) -> float:
        """What the memory gives a cycle, at the most."""
        return models.BYTES_PER_CYCLE[self.memory] * self.bits / self._own

    @property
    def size(self) -> int:
        """Its bytes."""
        t = models.parameters(self.memory)
        return t["rows"] * t["banks"] * t["row_beats"] * self.bits // 8

    def model(self, folder: Path) -> Path:
        """The file that the simulation opens."""
        if self.bits == self._own:
            return models.path(self.controller, self.memory)
        return models.fast_of_width(self.memory, self.bits, folder)

    def check(self, plan: Plan) -> None:
        """Whether there is such a memory, and a plan's weights, keys and values find room.

        Raises
        ------
        OptionError
            If not: says what there is, and how many positions would fit.
        """
        if self.controller != "fast" and self.bits != self._own:
            problem = f"is {self.bits}; {self.memory} has {self._own}: expected those with litedram"
            raise OptionError("port", problem)
        layout, beat = Layout(plan, self.bits), self.bits // 8
        if layout.end * beat <= self.size:
            return
        slots = layout.attention.slots
        fits = (self.size // beat - layout.weights_end) * slots // (layout.end - layout.weights_end)
        weights = f"the weights of {plan.name} ({layout.weights_end * beat / 1e6:.0f} MB)"
        there = f"the memory of {self.memory} ({self.size / 1e6:.0f} MB)"
        if fits < 1:
            raise OptionError("memory", f"is {self.memory}; {weights} do not fit {there}")
        raise OptionError(
            "context",
            f"is {slots:,}; beside {weights}, {there} has room for {fits:,} positions: expected at "
            "most those, or a window",
        )

    def outside(
        self, plan: Plan, folder: Path, run_folder: Path, caches: Mapping | None = None
    ) -> Outside:
        """The memory with the weights, whose file is kept in ``folder``.

        ``caches``: keys and values that are there already (hdl.external.image.all_cache_bytes).
        """
        layout = Layout(plan, self.bits)
        file = folder / KEPT.format(digest=plan.digest()[:24], port=self.bits)
        if not (file.is_file() and file.stat().st_size == layout.weights_end * self.bits // 8):
            write_whole(file, memory_bytes(layout).tobytes())
        contents = [(file, 0)]
        if caches:
            contents.append((run_folder / CACHED, layout.weights_end * self.bits // 8))
            write_whole(run_folder / CACHED, all_cache_bytes(layout, caches).tobytes())
        return Outside(self.model(run_folder), tuple(contents))

    def bound(self, plan: Plan, seen: Sequence[int], sampled: bool = True) -> float:
        """Cycles a token that no core with this memory can go below: mean over positions.

        A token of a prompt is not ``sampled`` after, and does not read the head.
        """
        return bytes_per_token(plan, seen, sampled) / self.bytes_per_cycle
