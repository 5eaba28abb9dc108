"""The two figures of the results: where the cycles of a token go, and how runs scale."""

from __future__ import annotations

from typing import BinaryIO

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from golden.draw import COLOURS, FAINT, FRAME, INK

STYLE = {
    "svg.hashsalt": "weft",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FRAME,
    "axes.labelcolor": INK,
    "xtick.color": FAINT,
    "ytick.color": INK,
}
PALE = 0.35


def save(file: BinaryIO, figure: Figure, form: str = "svg") -> None:
    """Write a figure: the same bytes for the same numbers."""
    with matplotlib.rc_context(STYLE):
        metadata = {"Date": None} if form == "svg" else None
        figure.savefig(file, format=form, metadata=metadata, facecolor="white")


def cycles_of_a_token(run: dict) -> Figure:
    """The stages of one token in time: pale from inputs to answer, dark the multipliers' bound."""
    stages, position = run["timeline"]["stages"], run["timeline"]["position"]
    total = stages[-1]["end"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 0.31 * len(stages) + 1.5), layout="constrained")
        axes = figure.add_subplot(xlim=(0, total * 1.06), ylim=(len(stages) - 0.4, -0.6))
        for row, stage in enumerate(stages):
            begin, end, colour = stage["begin"], stage["end"], COLOURS[stage["kind"]]
            bar = {"y": row, "width": max(end - begin, total / 400), "left": begin, "height": 0.66}
            axes.barh(**bar, color="white")  # the grid stays behind
            axes.barh(**bar, color=colour, alpha=PALE)
            dark = min(stage["bound"], end - begin)
            axes.barh(row, dark, left=end - dark, height=0.66, color=colour)
            axes.annotate(
                f"{end - begin}", (end, row), (4, 0), textcoords="offset points", va="center",
                color=FAINT, fontsize=9,
            )  # fmt: skip
        axes.set_yticks(range(len(stages)), [stage["name"] for stage in stages])
        axes.tick_params(length=0)
        axes.set_xlabel(f"cycles after the token (position {position}) was accepted")
        axes.set_title(
            f"{run['name']}, {run['multipliers']} multipliers: the {total} cycles of a token",
            loc="left", fontweight="bold",
        )  # fmt: skip
        axes.grid(axis="x", color=FRAME, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.bar(0, 0, color=FAINT, alpha=PALE, label="from its last input to its answer")
        axes.bar(0, 0, color=FAINT, label="of these, needed by its products on its multipliers")
        axes.legend(loc="lower left", frameon=False, fontsize=9)
    return figure


def scaling(scaled: dict) -> Figure:
    """Cycles and memory over the number of tokens."""
    rows = scaled["rows"]
    tokens = np.array([row["tokens"] for row in rows])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        _cycles(left, scaled, tokens)
        _memory(right, rows, tokens)
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_xlabel("tokens in one sequence")
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.grid(color=FRAME, linewidth=0.7)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
    return figure


def _cycles(axes, scaled: dict, tokens: np.ndarray) -> None:
    line = np.geomspace(tokens.min() / 1.6, tokens.max() * 1.6, 50)
    colour = COLOURS["linear"]
    told = f"{scaled['slope']:,.1f} × tokens {scaled['offset']:+,.0f}".replace("-", "− ")
    axes.plot(line, scaled["slope"] * line + scaled["offset"], color=colour, alpha=0.5, label=told)
    cycles = [row["cycles"] for row in scaled["rows"]]
    axes.scatter(tokens, cycles, color=colour, zorder=3, label="simulated")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("Cycles grow in proportion", loc="left", fontweight="bold")
    axes.set_ylabel("cycles")
    axes.legend(frameon=False, loc="upper left")


def _memory(axes, rows: list[dict], tokens: np.ndarray) -> None:
    simulator = np.array([row["peak_bytes"] for row in rows]) / 2**20
    cache = {row["cache_bits"] for row in rows}
    axes.plot(tokens, simulator, "o-", color=COLOURS["attention"])
    axes.set_ylim(0, 1.5 * max(simulator.max(), 1))
    axes.set_ylabel("peak memory of the simulator (MiB)")
    told = " or ".join(f"{size:,}" for size in sorted(cache))
    axes.annotate(
        f"keys and values in the hardware:\n{told} bits in every run", (0.04, 0.08),
        xycoords="axes fraction", color=FAINT,
    )  # fmt: skip
    axes.set_title("Memory does not grow", loc="left", fontweight="bold")
