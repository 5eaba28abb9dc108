"""Paint a timeline: a row a unit, a bar a token, cycles from left to right; SVG and PNG."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import BinaryIO

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from sim.waves.signals import Signals
from sim.waves.timeline import Flight, Row, Timeline

INK, FAINT, REST, GRID, PAPER = "#1f2937", "#6b7280", "#dde2e8", "#cbd5e1", "#ffffff"
COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00",
    "#8c6bb1", "#b5b02c", "#7f5539",
)  # fmt: skip
"""Stages of a shared unit: Okabe and Ito's colours, which colour-blind people can tell apart."""

ALONE = "#5b7693"
"""Units that serve one stage."""

TOKENS = ("#e8eef5", "#f7efe0")
"""Bars of tokens, in turn."""

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "weft",
    "font.family": "DejaVu Sans",
    "hatch.linewidth": 1.1,
    "axes.linewidth": 0.8,
}
DPI = 150
WIDTH, LEFT, RIGHT = 16.0, 2.75, 0.75
ROW, TOP, BOTTOM = 0.52, 0.8, 0.8
"""Inches: the picture and its margins, and the height of a row."""

BAR = 0.58
"""Part of a row that a bar fills."""

SIZES = (8.5, 7.5, 6.5, 6)
"""Sizes of text inside spans, tried in this order."""

PADDING = 3
"""Pixels between a text and the ends of its span."""


def draw(file: BinaryIO, timeline: Timeline, signals: Signals, form: str) -> None:
    """Write the picture to a file as ``"svg"`` or ``"png"``: the same bytes every time."""
    with matplotlib.rc_context(STYLE):
        metadata = {"Date": None} if form == "svg" else None
        figure = Painter(timeline, signals).figure
        figure.savefig(file, format=form, dpi=DPI, metadata=metadata)


class Painter:
    """A timeline as ``figure``; the bars of every unit have its name as ``gid``."""

    def __init__(self, timeline: Timeline, signals: Signals):
        self._timeline, self._signals = timeline, signals
        self._streams = sorted({flight.stream for flight in timeline.flights}) or [0]
        rows = len(timeline.rows) + len(self._streams)
        height = ROW * rows + TOP + BOTTOM
        self.figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=PAPER)
        FigureCanvasAgg(self.figure)
        self._axes = self.figure.add_axes(
            (LEFT / WIDTH, BOTTOM / height, 1 - (LEFT + RIGHT) / WIDTH, ROW * rows / height),
            xlim=(timeline.first, timeline.end),
            ylim=(rows - 0.5, -0.5),
        )
        self._style()
        self._title(height)
        for y, stream in enumerate(self._streams):
            self._tokens(y, stream)
        for y, row in enumerate(timeline.rows, len(self._streams)):
            self._row(y, row)
        self._legend(height)

    # The frame -------------------------------------------------------------------------------

    def _style(self) -> None:
        axes = self._axes
        axes.set_yticks([])
        for side in ("top", "left", "right"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(FAINT)
        axes.tick_params(axis="x", colors=INK, labelsize=9, color=FAINT)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        axes.set_xlabel("cycle", fontsize=9.5, color=INK, labelpad=3)
        axes.set_axisbelow(True)

    def _title(self, height: float) -> None:
        timeline, write = self._timeline, self.figure.text
        per_token = timeline.cycles_per_token
        whole = sum(flight.whole for flight in timeline.flights)
        speed = "" if per_token is None else f"{per_token:,.1f} cycles a token"
        counted = f"  (mean of {whole} in this window)" if whole > 1 else ""
        left, style, title = (
            0.2 / WIDTH,
            {"color": INK, "va": "center"},
            _plain(self._signals.title),
        )
        write(left, 1 - 0.28 / height, title, size=15, weight="bold", **style)
        write(left, 1 - 0.58 / height, speed + counted, size=11, **style)
        write(1 - 0.2 / WIDTH, 1 - TOP / height, "busy", size=9.5, color=FAINT, ha="right")

    def _legend(self, height: float) -> None:
        hatched = {"fc": ALONE, "hatch": "////", "ec": PAPER, "lw": 0}
        handles = [
            Patch(fc=ALONE, label="busy (coloured by stage where a unit serves several)"),
            Patch(**hatched, label="blocked: its reader, or its multipliers, are not ready"),
            Patch(fc=REST, label="starved: nothing to do"),
        ]
        self.figure.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(LEFT / WIDTH, 0.06 / height),
            ncols=3,
            frameon=False,
            fontsize=9,
            labelcolor=INK,
            borderaxespad=0,
            handlelength=1.8,
        )

    # Tokens ----------------------------------------------------------------------------------

    def _tokens(self, y: int, stream: int) -> None:
        """The bars of a stream's tokens, and where they begin, through all rows."""
        name = "token" if len(self._streams) == 1 else f"token, stream {stream}"
        self._label(y, name, [])
        bottom = len(self._streams) + len(self._timeline.rows) - 0.5
        flights = [flight for flight in self._timeline.flights if flight.stream == stream]
        for k, flight in enumerate(flights):
            width = flight.end - flight.start
            colour = TOKENS[k % 2]
            bar = Rectangle((flight.start, y - 0.36), width, 0.72, fc=colour, ec=FAINT, lw=0.7)
            self._axes.add_patch(bar)
            edges = [flight.start] if flight.token is not None else []
            edges += [flight.end] if flight.sampled is not None else []
            dashes = (0, (1 + 2 * stream, 2))
            self._axes.vlines(edges, y + 0.36, bottom, colors=FAINT, lw=0.8, ls=dashes, zorder=0.5)
            sayings = list(self._sayings(flight))
            self._fit(flight.start, flight.end, y, sayings, INK, (9.5, 8.5, 7.5))

    def _sayings(self, flight: Flight) -> Iterator[str]:
        """What to write into a token's bar, the longest first."""
        words = self._signals.words
        read = "…" if flight.token is None else words[flight.token]
        arrow = "" if flight.sampled is None else f" → {words[flight.sampled]}"
        place = "" if flight.position is None else f"position {flight.position}:  "
        cycles = f"   ({flight.end - flight.start:,} cycles)" if flight.whole else ""
        yield f"{place}{read}{arrow}{cycles}"
        yield f"{place}{read}{arrow}"
        yield f"{read}{arrow}"
        yield read

    # Units -----------------------------------------------------------------------------------

    def _row(self, y: int, row: Row) -> None:
        jobs = _short(row.unit.name, row.unit.jobs)
        colours = [COLOURS[j % len(COLOURS)] for j in range(len(jobs))]
        colours = colours if len(jobs) > 1 else [ALONE]
        self._label(y, row.unit.name, list(zip(jobs, colours, strict=True)))
        shown = self._timeline.end - self._timeline.first
        busy = f"{row.cycles('busy') / shown:.0%}"
        self._axes.annotate(
            busy, (1 - 0.2 / WIDTH, y), xycoords=("figure fraction", "data"), size=9.5, color=INK,
            ha="right", va="center",
        )  # fmt: skip
        self._bars(y, row, "starved", 0, {"fc": REST, "lw": 0}, 0.08)
        for job, colour in enumerate(colours):
            self._bars(y, row, "busy", job, {"fc": colour, "lw": 0}, BAR)
            hatched = {"fc": colour, "hatch": "/////", "ec": PAPER, "lw": 0}
            self._bars(y, row, "blocked", job, hatched, BAR)
        for job, start, end in _stretches(row):
            self._fit(start, end, y, [jobs[job]], _ink(colours[job]), SIZES)

    def _bars(self, y: int, row: Row, state: str, job: int, style: dict, height: float) -> None:
        spans = [(s.start, s.cycles) for s in row.spans if (s.state, s.job) == (state, job)]
        if spans:
            bars = self._axes.broken_barh(spans, (y - height / 2, height), **style)
            bars.set_gid(f"{row.unit.name}:{row.unit.jobs[job]}:{state}")

    # Text ------------------------------------------------------------------------------------

    def _label(self, y: int, name: str, jobs: list[tuple[str, str]]) -> None:
        """Left of a row: its name, and under it the stages that share it, in their colours."""
        shared = len(jobs) > 1
        place = {"xycoords": ("figure fraction", "data"), "textcoords": "offset points"}
        place |= {"va": "center", "weight": "bold"}
        left = 0.2 / WIDTH
        self._axes.annotate(
            _plain(name), (left, y), xytext=(0, 6 if shared else 0), size=10.5, color=INK, **place
        )
        if not shared:
            return
        room = (LEFT - 0.35) * 72
        size = next((s for s in (8.5, 8, 7.5, 7, 6.5, 6) if self._wide(jobs, s) <= room), 5.5)
        x = 0.0
        for text, colour in jobs:
            self._axes.annotate(
                _plain(text), (left, y), xytext=(x, -7), size=size, color=_dark(colour), **place
            )
            x += self._points(text, size, "bold") + 0.6 * size

    def _wide(self, jobs: list[tuple[str, str]], size: float) -> float:
        return sum(self._points(text, size, "bold") + 0.6 * size for text, _ in jobs)

    def _fit(self, start: int, end: int, y: int, texts: list[str], colour: str, sizes) -> None:
        """Write the first text, at the largest size, that fits between two cycles; or nothing."""
        (x0, _), (x1, _) = self._axes.transData.transform([(start, y), (end, y)])
        room = (x1 - x0 - 2 * PADDING) * 72 / DPI
        for text in texts:
            for size in sizes:
                if self._points(text, size) <= room:
                    at = {"ha": "center", "va": "center_baseline", "clip_on": True}
                    self._axes.text(
                        (start + end) / 2, y, _plain(text), size=size, color=colour, **at
                    )
                    return

    def _points(self, text: str, size: float, weight: str = "normal") -> float:
        """Width of a text in points."""
        font = matplotlib.font_manager.FontProperties(size=size, weight=weight)
        renderer = self.figure.canvas.get_renderer()
        width, _, _ = renderer.get_text_width_height_descent(text, font, ismath=False)
        return width * 72 / DPI


def _stretches(row: Row) -> Iterator[tuple[int, int, int]]:
    """(job, start, end) of every stretch of work for one job, busy or blocked."""
    for (working, job), group in groupby(row.spans, lambda s: (s.state != "starved", s.job)):
        spans = list(group)
        if working:
            yield job, spans[0].start, spans[-1].end


def _short(unit: str, jobs: tuple[str, ...]) -> tuple[str, ...]:
    """Names of a unit's stages without the unit's, if all begin with it: norm_mlp is mlp."""
    same = len(jobs) > 1 and all(job.startswith(f"{unit}_") for job in jobs)
    return tuple(job.removeprefix(f"{unit}_") for job in jobs) if same else jobs


def _plain(text: str) -> str:
    """Text without the sign that begins a formula."""
    return text.replace("$", r"\$")


def _luminance(colour: str) -> float:
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2


def _ink(colour: str) -> str:
    """What can be read on a colour."""
    return PAPER if _luminance(colour) < 0.3 else INK


def _dark(colour: str) -> str:
    """A colour, dark enough to be read on paper."""
    while _luminance(colour) > 0.24:
        colour = "#" + "".join(f"{int(colour[k : k + 2], 16) * 9 // 10:02x}" for k in (1, 3, 5))
    return colour
