"""Paint a :class:`golden.datapath.Datapath`."""

from __future__ import annotations

from typing import BinaryIO

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Polygon, Rectangle

from golden.datapath import Block, Datapath
from golden.draw import COLOURS, FAINT, GROUND, INK, PAPER, PIXELS, STYLE, write_text
from golden.words import counted

WIDTH, GAP, MARGIN = 164, 26, 26
HEADER, TRACK, HEIGHT, MEMORY, BAR = 96, 26, 66, 25, 40
OUTSIDE, LINE = 32, 18
"""Lengths in pixels: of units, of what stands above them, and of what lies below; of the external
memory's title, and of a line in it."""

COLOUR = COLOURS | {"generator": INK, "serial": INK}


def draw_datapath(file: BinaryIO, datapath: Datapath, form: str) -> None:
    """Write the picture to a file as ``"svg"`` or ``"png"``: the same bytes every time."""
    with matplotlib.rc_context(STYLE):
        metadata = {"Date": None} if form == "svg" else None
        _Painter(datapath).figure.savefig(file, format=form, dpi=2 * PIXELS, metadata=metadata)


class _Painter:
    """Places everything and paints it: tracks, then units, memories and arrays."""

    def __init__(self, datapath: Datapath):
        self.datapath = datapath
        self.left = {
            block.name: MARGIN + k * (WIDTH + GAP) for k, block in enumerate(datapath.blocks)
        }
        self.track = {name: HEADER + k * TRACK for k, name in enumerate(datapath.tracks)}
        self.top = HEADER + len(self.track) * TRACK + 26
        most = max(len(block.memories) for block in datapath.blocks)
        self.bar = self.top + HEIGHT + 10 + most * MEMORY + 34
        width = 2 * MARGIN + len(self.left) * (WIDTH + GAP) - GAP
        self.outside = self.bar + BAR + 24
        kept = max(len(block.outside) for block in datapath.blocks)
        height = self.bar + BAR + 46
        if datapath.port:
            height += 24 + OUTSIDE + kept * LINE
        self.figure = Figure(figsize=(width / PIXELS, height / PIXELS), dpi=PIXELS)
        self.figure.patch.set_facecolor(PAPER)
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self.axes.axis("off")
        write_text(self.axes, MARGIN, 34, datapath.title, 20, INK, weight="bold")
        write_text(self.axes, MARGIN, 62, datapath.subtitle, 12, FAINT)
        legend = "short bars across a line: a queue, where a value waits for the branch beside it"
        write_text(self.axes, MARGIN, height - 20, legend, 10.5, FAINT)
        for block in datapath.blocks:
            self._track(block)
        for block in datapath.blocks:
            self._block(block)
        for name, multipliers in datapath.arrays.items():
            self._array(name, multipliers)
        if datapath.port:
            self._memory(kept)

    def _port(self, block: Block, k: int) -> float:
        """Where port ``k`` of a block is: inputs first, then what it answers."""
        return self.left[block.name] + WIDTH * (k + 1) / (len(block.inputs) + 2)

    def _track(self, source: Block) -> None:
        """What a block answers, with a branch to every reader."""
        y, colour = self.track[source.name], COLOUR[source.kind]
        leaves = self._port(source, len(source.inputs))
        places = [leaves]
        self._line([leaves, leaves], [self.top, y], colour)
        for block in self.datapath.blocks:
            for k, (name, queued) in enumerate(block.inputs):
                if name == source.name:
                    places.append(self._port(block, k))
                    self._branch(places[-1], y, colour, queued)
        self._line([min(places), max(places)], [y, y], colour)
        for x in places:
            self.axes.add_patch(Circle((x, y), 3, fc=colour, ec="none", zorder=3))
        label = ", ".join(self.datapath.tracks[source.name])
        text = write_text(self.axes, leaves + 8, y - 9, label, 10, colour, style="italic")
        text.set(zorder=5, bbox={"fc": PAPER, "ec": "none", "pad": 0.6})
        text.set_gid(f"track:{source.name}")

    def _branch(self, x: float, y: float, colour: str, queued: bool) -> None:
        self._line([x, x], [y, self.top - 8], colour)
        head = [(x, self.top), (x - 4.5, self.top - 9), (x + 4.5, self.top - 9)]
        self.axes.add_patch(Polygon(head, fc=colour, ec="none", zorder=3))
        for k in range(4 * queued):
            at = self.top - 14 - 4 * k
            self._line([x - 7, x + 7], [at, at], colour)

    def _line(self, x: list[float], y: list[float], colour: str) -> None:
        self.axes.plot(x, y, color=colour, lw=1.3, solid_capstyle="round", zorder=2)

    def _box(self, x: float, y: float, height: float, face: str, edge: str):
        shape = "round,pad=0,rounding_size=6"
        box = FancyBboxPatch((x, y), WIDTH, height, boxstyle=shape, fc=face, ec=edge, lw=1.1)
        box.set_zorder(4)
        self.axes.add_patch(box)
        return box

    def _block(self, block: Block) -> None:
        x, colour = self.left[block.name], COLOUR[block.kind]
        self._box(x, self.top, HEIGHT, PAPER, colour).set_gid(f"unit:{block.name}")
        write_text(self.axes, x + 10, self.top + 17, block.name, 14, INK, weight="bold", zorder=5)
        lines = _wrapped(block.stages, 27)
        for k, line in enumerate(lines):
            y = self.top + 37 + 14 * k
            write_text(self.axes, x + 10, y, line, 9.5, FAINT, zorder=5)
        for k, memory in enumerate(block.memories):
            y = self.top + HEIGHT + 10 + k * MEMORY
            self._box(x, y, MEMORY - 4, GROUND, colour)
            write_text(self.axes, x + 10, y + 10.5, memory, 10.5, INK, zorder=5)
        if block.array is not None:
            self._products(block, colour)

    def _products(self, block: Block, colour: str) -> None:
        """The way to the multipliers and back."""
        x = self.left[block.name] + WIDTH / 2
        y = self.top + HEIGHT + 8 + len(block.memories) * MEMORY + 2
        style = {"arrowstyle": "<|-|>", "color": colour, "lw": 1.5, "shrinkA": 0, "shrinkB": 0}
        self.axes.annotate("", (x, self.bar), (x, y), arrowprops=style)
        told = counted(block.multipliers, "product")
        write_text(self.axes, x + 8, self.bar - 14, told, 10.5, colour)

    def _array(self, name: str, multipliers: int) -> None:
        users = [block for block in self.datapath.blocks if block.array == name]
        left = min(self.left[block.name] for block in users)
        width = max(self.left[block.name] for block in users) + WIDTH - left
        bar = Rectangle((left, self.bar), width, BAR, fc=INK, ec="none")
        bar.set_gid(f"array:{name}")
        self.axes.add_patch(bar)
        told = f"{counted(multipliers, 'multiplier')}, 16 × 16 bits"
        if len(users) > 1:
            told = f"ONE array of {told}, for every product of the model: one user a cycle"
        middle = left + width / 2, self.bar + BAR / 2
        size = 13 if len(users) > 1 else 9.5
        write_text(self.axes, *middle, told, size, PAPER, ha="center", weight="bold")

    def _memory(self, lines: int) -> None:
        """The memory beside the chip, and the way to every unit that reaches it."""
        users = [block for block in self.datapath.blocks if block.outside]
        left = min(self.left[block.name] for block in users) - GAP / 2
        width = max(self.left[block.name] for block in users) + WIDTH - left
        height = OUTSIDE + lines * LINE
        bar = Rectangle((left, self.outside), width, height, fc=GROUND, ec=INK, lw=1.1)
        bar.set_gid("memory")
        self.axes.add_patch(bar)
        told = f"external memory: one port of {self.datapath.port} bits, read in one line"
        write_text(self.axes, left + 10, self.outside + 15, told, 13, INK, weight="bold")
        for block in users:
            self._reach(block)

    def _reach(self, block: Block) -> None:
        """What a unit has in the memory, and the way there, along its left side."""
        x, colour = self.left[block.name], COLOUR[block.kind]
        for k, text in enumerate(block.outside):
            y = self.outside + OUTSIDE + (k + 0.3) * LINE
            write_text(self.axes, x + 4, y, text, 10.5, colour)
        way, y = x - GAP / 4, self.top + HEIGHT - 14
        self._line([way, way, x - 8], [self.outside, y, y], colour)
        head = [(x, y), (x - 9, y - 4.5), (x - 9, y + 4.5)]
        self.axes.add_patch(Polygon(head, fc=colour, ec="none", zorder=3))


def _wrapped(words: tuple[str, ...], most: int) -> list[str]:
    """Words joined by commas, in lines of at most ``most`` characters."""
    lines = [""]
    for k, word in enumerate(words):
        piece = word + ", " * (k + 1 < len(words))
        if lines[-1] and len(lines[-1] + piece.rstrip()) > most:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]
