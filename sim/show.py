"""What a run shows: text as it is generated, then the table of stages and the summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from golden.generate import Request
from golden.tokenizer import PART, Tokenizer, shown_ids
from golden.words import counted

TABLE_WIDTH = 110
"""Columns that the table of stages takes when nobody says how wide the screen is."""

COLUMNS = ("stage", "unit", "cycles", "busy", "starved", "blocked", "MACs", "bound")
"""Of that table."""

DROPPED = ("starved", "blocked", "unit", "MACs", "busy")
"""Those that a narrow screen does not show, the first one first."""

PARTS = 4
"""Tokens that one character may be made of: a byte each."""


class Voice:
    """Prints text as its tokens come; with several streams, line by line as sequences end.

    A character that several tokens make is printed with the last of them.  In a ``with`` statement,
    however that ends, what is printed next begins on a line of its own.

    Parameters
    ----------
    tokenizer, requests: whose prompts are printed as well, if ``echo``.
    streams: sequences in flight.
    ends: tokens that are not printed either, as those with which a request stops are not.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        requests: Sequence[Request],
        streams: int,
        echo: bool = True,
        ends: Sequence[int] = (),
    ):
        self._tokenizer, self._live = tokenizer, streams == 1
        shown = {r.sequence: shown_ids(tokenizer, r.prompt) if echo else () for r in requests}
        self._stops = {r.sequence: {r.stop, tokenizer.stop, *ends} for r in requests}
        self._lines: dict[int, str] = {}
        self._parts: dict[int, list[int]] = {}
        self._begun: set[int] = set()
        self._prompts = {sequence: self._text(sequence, ids) for sequence, ids in shown.items()}
        self._unfinished = False

    def __enter__(self) -> Voice:
        return self

    def __exit__(self, *_) -> None:
        if self._unfinished:
            print(flush=True)
        self._unfinished = False

    def say(self, token: dict) -> None:
        """Take in one sampled token: the payload of the core's ``tokens`` port."""
        sequence = token["sequence"]
        ended = token["token"] in self._stops[sequence]
        piece = self._text(sequence, [] if ended else [token["token"]], bool(token["last"]))
        if sequence not in self._lines:
            piece = self._prompts[sequence] + piece
        self._lines[sequence] = self._lines.get(sequence, "") + piece
        if self._live:
            self._unfinished = not token["last"]
            print(piece, end="\n" if token["last"] else "", flush=True)
        elif token["last"]:
            print(self._lines[sequence], flush=True)

    def _text(self, sequence: int, tokens: Sequence[int], last: bool = True) -> str:
        """The text of what has come and of these, as far as its characters are whole."""
        text, parts = "", self._parts.pop(sequence, [])
        for token in tokens:
            parts.append(token)
            piece = self._piece(sequence, parts)
            if len(parts) >= PARTS or not piece.endswith(PART):
                self._begun.add(sequence)
                text, parts = text + piece, []
        if last and parts:
            text += self._piece(sequence, parts)
        elif parts:
            self._parts[sequence] = parts
        return text

    def _piece(self, sequence: int, tokens: Sequence[int]) -> str:
        """The text of tokens, which may be the first of their sequence."""
        begun = sequence in self._begun
        return (self._tokenizer.piece if begun else self._tokenizer.begin)(*tokens)


def stage_table(report: dict, dropped: Sequence[str] = ()) -> Table:
    """The stages: where the cycles of a token go; some columns may be left out."""
    title = "cycles a token, by stage"
    if dropped:
        title += f"; a wider screen shows {', '.join(sorted(dropped, key=COLUMNS.index))} too"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    shown = [column for column in COLUMNS if column not in dropped]
    for heading in shown:
        table.add_column(heading, justify="left" if heading in ("stage", "unit") else "right")
    for row in report["stages"]:
        numbers = {key: f"{row[key]:.1f}" for key in ("cycles", "busy", "starved", "blocked")}
        bound = f"{row['bound']:.1f}" if row["macs"] else ""
        macs = f"{row['macs']:,.0f}" if row["macs"] else ""
        cells = {"stage": row["name"], "unit": row["unit"], **numbers, "MACs": macs, "bound": bound}
        table.add_row(*(cells[column] for column in shown))
    return table


def fitting_table(report: dict, console: Console) -> Table:
    """The same with as many columns as a terminal has room for; others get all of them."""
    wide = console.options.update(width=1 << 16)
    for count in range(len(DROPPED) + 1) if console.is_terminal else (0,):
        table = stage_table(report, DROPPED[:count])
        if console.measure(table, options=wide).maximum <= console.width:
            break
    return table


def show_summary(report: dict, path: Path, file: TextIO) -> None:
    """Write the table and what the run comes to."""
    console = Console(file=file, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, TABLE_WIDTH)
    print_summary(report, path, console)


def print_summary(report: dict, path: Path | str, console: Console) -> None:
    """The table of stages, and the account of the run in four sentences."""
    console.print()
    console.print(fitting_table(report, console))
    cycles, bound = report["cycles_per_token"], report["bound"]
    memory = [_memory_line(report)] if "bytes_per_token" in report else []
    accuracy = report["accuracy"]
    flags = ", ".join(report["saturated"]) or "none"
    for line in (
        f"{counted(report['tokens'], 'token')} in, {report['sampled']:,} sampled; "
        f"{counted(report['compared'], 'value')} compared with the integer model, "
        f"{report['mismatches']} mismatches; overflows: {flags}",
        f"cycles a token: {cycles['first']} first, {cycles['mean']:.1f} mean, {cycles['max']} max; "
        f"throughput {report['throughput_cycles_per_token']:.1f} with "
        f"{counted(report['options']['streams'], 'stream')}; bound "
        f"{bound[bound['binding'] + '_cycles']:.1f} ({bound['binding']}), "
        f"utilisation {report['utilisation']:.1%}",
        *memory,
        f"integer against float model on this text: {accuracy['nll_difference']:+.4f} nats a "
        f"token, KL {accuracy['kl']:.5f}, top-1 {accuracy['top1']:.1%}",
        f"{report['simulated_cycles']:,} cycles simulated in {report['wall_seconds']:.1f} s "
        f"({report['simulated_cycles_per_second']:,.0f} a second, {report['engine']}); {path}",
    ):
        console.print(line, markup=False)
    if "trace" in report:
        console.print(_trace_line(report["trace"], report["simulated_cycles"]), markup=False)


def _memory_line(report: dict) -> str:
    """What a prompt costs, and what the memory's bytes come to."""
    prefill, width = report["prefill"], report["bound"]["memory_bytes_per_cycle"]
    told = f"memory: {report['bytes_per_token'] / 1e6:.3f} MB a token, {width:.3f} bytes a cycle"
    if prefill["tokens"]:
        told += (
            f"; prompt: {counted(prefill['tokens'], 'token')} of {prefill['mean']:.1f} cycles, "
            f"bound {prefill['memory_cycles']:.1f}"
        )
    if rates := report["tokens_per_second"]:
        told += f"; {rates['decode']:.2f} tokens/s at {rates['clock_mhz']} MHz, "
        told += rates["clock_source"]
    return told


def _trace_line(trace: dict, cycles: int) -> str:
    """Which cycles a waveform holds, and how to get others."""
    told = (
        f"waveform: {trace['file']}, cycles {trace['first']:,} to {trace['last']:,} of {cycles:,}"
    )
    return told + "; `make wave FROM= CYCLES=` chooses others" * (trace["last"] + 1 < cycles)
