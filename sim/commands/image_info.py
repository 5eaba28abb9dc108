"""``python -m sim image-info``: what a weight image holds, and whether its bits are right."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from golden import checked
from hdl.external.image_file import Image, opened
from hdl.external.image_header import Entry, Header
from sim.external import External
from sim.show import TABLE_WIDTH


def image_info(
    file: Annotated[Path, checked.file(help="The image.")],
    every: Annotated[
        bool, typer.Option("--every", help="List the tensors of every layer.")
    ] = False,
) -> None:
    """Show what a weight image holds, what a token costs in bandwidth, and whether it is right."""
    image = opened(file)
    damaged = image.damaged()
    show(image, damaged, every)
    image.refuse(damaged)


def show(image: Image, damaged: list[str], every: bool) -> None:
    """The image for people."""
    console = Console(
        width=None if sys.stdout.isatty() else TABLE_WIDTH, highlight=False, soft_wrap=True
    )
    for line in _summary(image, damaged):
        console.print(line, markup=False)
    console.print(_tensors(image.header, damaged, every))
    for line in _bounds(image.header):
        console.print(line, markup=False)


def _summary(image: Image, damaged: list[str]) -> Iterator[str]:
    header, s = image.header, image.header.shapes
    yield f"{image.path}: {header.model}, {header.data_bytes:,} bytes from {header.data_offset} on"
    yield f"  plan        {header.plan}"
    yield f"  checkpoint  {header.checkpoint}"
    yield f"  SHA-256     {header.data_digest} (of the data)"
    yield (
        f"  shapes      {s.layers} layers, d={s.d_model}, {s.heads} heads of {s.d_head}, "
        f"{s.kv_heads} of keys and values, ff={s.d_ff}, context {s.slots:,}, {s.n_vocab:,} tokens"
    )
    yield (
        f"  formats     float16 scales in units of 2^-{s.scale_fraction}, sums of at most "
        f"{s.sum_bits} bits, {s.cache_bits}-bit keys and values, "
        f"{'tied' if s.tied else 'separate'} head"
    )
    yield (
        f"  memory      port of {header.port} bits, {header.memory_beats:,} beats with keys and "
        f"values: {header.memory_beats * header.port / 8e6:,.1f} MB"
    )
    verified = "NO, see below" if damaged else "yes: header, every tensor's CRC-32, SHA-256"
    yield f"  verified    {verified}"


def _tensors(header: Header, damaged: list[str], every: bool) -> Table:
    """A row a tensor; of layers like the first one only their place, unless something is wrong."""
    table = Table(title="tensors", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("tensor", "lies as"):
        table.add_column(heading, no_wrap=True)
    for heading in ("shape", "exponent", "first byte", "bytes", "CRC-32"):
        table.add_column(heading, justify="right", no_wrap=True)
    told = every
    for entry in header.entries:
        if every or entry.layer == 0 or entry.name in damaged:
            said = "DAMAGED" if entry.name in damaged else f"{entry.crc:08x}"
            table.add_row(*map(Text, (*_cells(entry), said)))
        elif not told:
            table.add_row(*_others(header))
            told = True
    return table


def _cells(entry: Entry) -> tuple[str, ...]:
    return (
        entry.name, entry.form, f"{entry.rows:,} x {entry.columns:,}", str(entry.exponent),
        f"{entry.offset:,}", f"{entry.length:,}",
    )  # fmt: skip


def _others(header: Header) -> tuple[str, ...]:
    """What stands for the layers behind the first."""
    inner = [entry for entry in header.entries if entry.layer > 0]
    first, last = inner[0].layer, inner[-1].layer
    name = f"layer{first}" if last == first else f"layer{first} to layer{last}"
    size = sum(entry.length for entry in inner)
    return (name, "as layer0", "", "", f"{inner[0].offset:,}", f"{size:,}", "")


def _bounds(header: Header) -> Iterator[str]:
    """Bytes that a token needs, and the cycles that they take at the least."""
    s = header.shapes
    read = [entry for entry in header.entries if entry.name != "prologue.embed"]
    weights = sum(entry.unpadded for entry in read) + s.d_model + 2
    lying = sum(entry.length for entry in read)
    rate = External(port=header.port).bytes_per_cycle
    yield f"A token, without padding, at {rate:g} bytes a cycle (DDR3 behind {header.port} bits):"
    yield f"  weights and its row of the embedding  {_cost(weights, rate)}"
    for what, positions in (("first", 1), ("last", s.slots)):
        kept = s.cache_bytes * (positions + 1)
        yield f"  with keys and values, {what} position {'':{5 - len(what)}} " + _cost(
            weights + kept, rate
        )
    yield f"Padding makes the weights {lying / (weights - s.d_model - 2) - 1:.2%} larger."


def _cost(count: int, rate: float) -> str:
    return f"{count:>13,} bytes  {count / rate:>12,.0f} cycles"
