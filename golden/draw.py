"""Paint a :class:`golden.diagram.Diagram`: one painter for SVG and PNG."""

from __future__ import annotations

from typing import BinaryIO

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path

from golden.cards import Card, facts
from golden.diagram import CARD, Diagram, Panel, Point, Wire

PIXELS = 100
"""Pixels of the diagram an inch; text is measured in the same pixels."""

INK, FAINT, WIRE, FRAME, PAPER = "#1f2937", "#6b7280", "#94a3b8", "#dbe2ea", "#ffffff"
GROUND = "#f6f8fa"
COLOURS = {
    "embed": "#0e9f6e",
    "norm": "#0694a2",
    "linear": "#2563eb",
    "bias": "#0ea5e9",
    "attention": "#7c3aed",
    "activation": "#ea580c",
    "rope": "#b91c1c",
    "gate": "#c2410c",
    "residual": "#64748b",
    "convert": "#a16207",
    "sample": "#db2777",
}
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "weft", "font.family": "DejaVu Sans"}
CORNER = 9


def draw(file: BinaryIO, diagram: Diagram, form: str) -> None:
    """Write the picture to a file as ``"svg"`` or ``"png"``: the same bytes every time."""
    with matplotlib.rc_context(STYLE):
        metadata = {"Date": None} if form == "svg" else None
        paint(diagram).savefig(file, format=form, dpi=2 * PIXELS, metadata=metadata)


def paint(diagram: Diagram) -> Figure:
    """The picture as a figure; every card and wire has its name as ``gid``."""
    figure = Figure(figsize=(diagram.width / PIXELS, diagram.height / PIXELS), dpi=PIXELS)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, diagram.width), ylim=(diagram.height, 0))
    axes.axis("off")
    figure.patch.set_facecolor(PAPER)
    write_text(axes, 24, 36, diagram.title, 22, INK, weight="bold")
    write_text(axes, 24, 66, diagram.subtitle, 12.5, FAINT)
    for panel in diagram.panels:
        _panel(axes, panel)
    for wire in diagram.wires:
        _wire(axes, wire)
    longest = max(max(card.bound, card.busy or 0) for card in diagram.cards)
    for card in diagram.cards:
        _card(axes, card, longest)
    for wire in diagram.wires:
        _label(axes, wire)
    _legend(axes, diagram)
    return figure


def write_text(axes, x: float, y: float, text: str, size: float, colour: str, **more):
    """Put text at a place; ``size`` is in pixels."""
    more = {"va": "center", "fontsize": size * 72 / PIXELS, "color": colour} | more
    return axes.text(x, y, text.replace("$", r"\$"), **more)


def _panel(axes, panel: Panel) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (panel.x + 8, panel.y),
            panel.width - 16,
            panel.height,
            boxstyle="round,pad=0,rounding_size=14",
            fc=GROUND,
            ec=FRAME,
            lw=0.8,
        )
    )
    write_text(axes, panel.x + 26, panel.y + 17, panel.title, 12, FAINT, weight="bold")


def _card(axes, card: Card, longest: float) -> None:
    """A white card with the colour of its kind, four lines, and its cycles as a bar."""
    (width, height), colour = CARD, COLOURS[card.kind]
    shape = {"boxstyle": "round,pad=0,rounding_size=8"}
    body = FancyBboxPatch((card.x, card.y), width, height, fc=PAPER, ec=colour, lw=1.1, **shape)
    body.set_gid(card.key)
    axes.add_patch(body)
    left, right, full = card.x + 12, card.x + width - 12, width - 24
    text = []
    for i, (line, note) in enumerate(facts(card)):
        y = card.y + (15 if i == 0 else 19 + 15 * i)
        style = {"size": 13, "weight": "bold"} if i == 0 else {"size": 10.5}
        text.append(write_text(axes, left, y, line, colour=INK if i < 2 else FAINT, **style))
        note_colour = colour if i == 1 else FAINT
        text.append(write_text(axes, right, y, note, 10.5, note_colour, ha="right"))
    for item in text:
        item.set_gid(f"text:{card.key}")
    for cycles, alpha in ((card.busy or 0, 0.3), (card.bound, 1)):
        bar = Rectangle((left, card.y + height - 7), full * cycles / longest, 2.5)
        bar.set(facecolor=colour, alpha=alpha, linewidth=0)
        axes.add_patch(bar)


def _rounded(points: tuple[Point, ...]) -> Path:
    """Straight lines through ``points`` with rounded corners."""
    points = [p for i, p in enumerate(points) if i == 0 or p != points[i - 1]]
    vertices, codes = [points[0]], [Path.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        for towards in (before, after):
            dx, dy = towards[0] - corner[0], towards[1] - corner[1]
            cut = min(CORNER, (abs(dx) + abs(dy)) / 2) / (abs(dx) + abs(dy))
            point = corner[0] + dx * cut, corner[1] + dy * cut
            if towards is before:
                vertices += [point, corner]
                codes += [Path.LINETO, Path.CURVE3]
            else:
                vertices.append(point)
                codes.append(Path.CURVE3)
    return Path([*vertices, points[-1]], [*codes, Path.LINETO])


def _wire(axes, wire: Wire) -> None:
    line = PathPatch(_rounded(wire.points), fc="none", ec=WIRE, lw=1.3, capstyle="round")
    line.set_gid(f"wire:{wire.value}:{wire.source}:{wire.target}")
    axes.add_patch(line)
    (x0, _), (x, y) = wire.points[-2:]
    size = 5
    if x == x0:
        head = [(x, y), (x - size, y - 1.6 * size), (x + size, y - 1.6 * size)]
    else:
        head = [(x, y), (x - 1.6 * size, y - size), (x - 1.6 * size, y + size)]
    axes.add_patch(Polygon(head, fc=WIRE, ec="none"))


def _label(axes, wire: Wire) -> None:
    if wire.target == "host":
        x, y = wire.points[-1]
        write_text(axes, x - 4, y - 11, wire.value, 10.5, FAINT, style="italic", ha="right")
    elif wire.label is not None:
        write_text(axes, *wire.label, wire.value, 10.5, FAINT, style="italic")


def _legend(axes, diagram: Diagram) -> None:
    simulated = any(card.busy is not None for card in diagram.cards)
    text = "bars: least cycles a token with a full cache, beside the slowest stage"
    if simulated:
        text = "bars: least cycles a token, beside the slowest stage; pale: cycles that its unit "
        text += "was busy; both on average over the positions of a simulation"
    write_text(axes, 24, diagram.height - 22, text, 10.5, FAINT)
