"""Tables and numbers as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 110
"""Columns of a paragraph in the source of a document."""


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose columns line up in the source too; headings that begin with ``>`` stand right.

    Raises
    ------
    ValueError
        If a row has not one cell for each heading.
    """
    right = [heading.startswith(">") for heading in headings]
    lines = [[heading.removeprefix(">") for heading in headings]]
    lines += [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    if any(len(line) != len(headings) for line in lines):
        raise ValueError("every row of a table needs one cell for each heading")
    widths = [max(3, *(len(line[k]) for line in lines)) for k in range(len(headings))]
    rule = ["-" * (w - 1) + ":" if r else "-" * w for w, r in zip(widths, right, strict=True)]
    lines.insert(1, rule)
    return "\n".join(f"| {' | '.join(_padded(line, widths, right))} |" for line in lines) + "\n"


def _padded(line: list[str], widths: list[int], right: list[bool]) -> list[str]:
    return [
        cell.rjust(width) if r else cell.ljust(width)
        for cell, width, r in zip(line, widths, right, strict=True)
    ]


def count(x: float | None, digits: int = 0) -> str:
    """A number with commas, or a dash for None."""
    return "-" if x is None else f"{x:,.{digits}f}"


def rounded(x: float, digits: int = 3) -> str:
    """A number to ``digits`` significant digits; all that it has before the point."""
    if x == 0:
        return "0"
    if abs(x) < 1e-3:
        return f"{x:.{digits - 1}e}"
    return f"{x:,.0f}" if abs(x) >= 10 ** (digits - 1) else f"{x:#.{digits}g}".rstrip(".")


def signed(x: float, digits: int = 4) -> str:
    """A number with its sign."""
    return f"{x:+.{digits}f}"


def bits(x: float) -> str:
    """Bits, and kibibits from 10,000 on."""
    return f"{x:,.0f}" if x < 10_000 else f"{x / 1024:,.1f} Ki"


def filled(text: str) -> str:
    """The same text with its paragraphs and list items filled to WIDTH; tables stay as they are."""
    return "\n\n".join(_filled(block) for block in text.strip().split("\n\n")) + "\n"


def _filled(block: str) -> str:
    if block.lstrip()[:1] in ("|", "#", "!"):
        return block.strip("\n")
    items: list[str] = []
    for line in block.strip().splitlines():
        if line.startswith("* ") or not items:
            items.append(line)
        else:
            items[-1] += " " + line.strip()
    indents = ["  " if item.startswith("* ") else "" for item in items]
    keep = {"break_long_words": False, "break_on_hyphens": False}
    return "\n".join(
        textwrap.fill(item, WIDTH, subsequent_indent=indent, **keep)
        for item, indent in zip(items, indents, strict=True)
    )
