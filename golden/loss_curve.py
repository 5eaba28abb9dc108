"""The loss of a training run as a picture."""

from collections.abc import Sequence
from typing import BinaryIO

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

SPREAD = 1.15
"""The smoothed curve at step t is the mean from t / SPREAD to t * SPREAD."""

POINTS = 200
GRID, INK, RAW, SMOOTH = "#d9d9d9", "#333333", "#6baed6", "#08306b"


def smooth(losses: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Steps, evenly spaced on a logarithmic axis, and the mean loss in the neighbourhood of each.

    Returns
    -------
    array of int [n], array of float [n]
        Steps count from 1; n is at most ``POINTS``.
    """
    total = np.cumsum([0.0, *losses])
    steps = np.unique(np.geomspace(1, len(losses), POINTS).round().astype(int))
    first = np.ceil(steps / SPREAD).astype(int)
    last = np.minimum(np.floor(steps * SPREAD).astype(int), len(losses))
    return steps, (total[last] - total[first - 1]) / (last - first + 1)


def draw(file: BinaryIO, losses: Sequence[float], title: str) -> None:
    """Write a PNG of the loss of each step, in nats a token, raw and smoothed."""
    with matplotlib.rc_context({"font.size": 11, "text.color": INK, "axes.edgecolor": INK}):
        paint(losses, title).savefig(file, format="png")


def paint(losses: Sequence[float], title: str) -> Figure:
    """The picture as a figure.

    Steps are on a logarithmic axis: most of what is learnt is learnt in the first hundred. The
    rarest losses, one in a thousand, are left out above.
    """
    # Without pyplot there is no window system and no state left behind.
    figure = Figure(figsize=(9, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot(xscale="log", xlim=(1, 1.5 * len(losses)))
    # A logarithmic axis crowds late steps: each dot is the fainter the later it comes.
    t = np.arange(1, len(losses) + 1)
    dots = {"s": 7, "color": RAW, "linewidths": 0}
    axes.scatter(t, losses, alpha=np.clip(100 / t, 0.06, 0.8), **dots)
    axes.scatter([], [], label="one name", **dots)
    steps, mean = smooth(losses)
    axes.plot(steps, mean, color=SMOOTH, linewidth=2, label="mean of nearby steps")
    axes.annotate(
        f"{mean[-1]:.2f}", (steps[-1], mean[-1]), (8, 0), textcoords="offset points",
        va="center", color=SMOOTH, fontweight="bold",
    )  # fmt: skip
    axes.set_ylim(0, 1.1 * max(mean.max(), np.percentile(losses, 99.9)))
    axes.set(xlabel="step (one name each)", ylabel="loss (nats a token)")
    axes.set_title(title, loc="left", fontweight="bold")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter(LogFormatter())  # tells some steps of short runs
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=False, markerscale=2)
    return figure
