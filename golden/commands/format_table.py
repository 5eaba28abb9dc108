"""The formats of a model side by side: a report, a table in the terminal, and one in Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from golden.commands.options import described
from golden.comparison import Comparison, Result, Texts, formats, with_head_of_rows
from golden.errors import write_whole
from golden.model import Checkpoint
from golden.quantize import WEIGHT_BITS, quantize
from golden.scaled import is_llama
from golden.words import counted

HEAD = "float32, 8-bit head"
"""What tables call the float model with only its embedding and head rounded."""


def write(report: dict, checkpoint: Checkpoint, texts: Texts, output: Path) -> None:
    """Measure every format, write ``output`` and the table beside it, and show it."""
    usual, results = _measure(checkpoint, texts)
    report |= usual | results[1].total.to_dict()
    report["formats"] = [result.to_dict() for result in results]
    write_whole(output, (json.dumps(report, indent=2) + "\n").encode())
    write_whole(output.with_suffix(".md"), (markdown(results) + "\n").encode())
    _show(results, report, output)


def _show(results: Sequence[Result], report: dict, output: Path) -> None:
    """The table in the terminal: a format a column, for which there is more room."""
    title = f"{report['model']}: formats beside float32"
    table = Table(title=title, title_justify="left", padding=(0, 0))
    columns = [_headings(results), *map(_cells, results)]
    for n, cells in enumerate(columns):
        table.add_column("\n".join(cells[:2]), justify="right" if n else "left")
    for row in zip(*(cells[2:] for cells in columns), strict=True):
        table.add_row(*row)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"{counted(results[1].total.tokens, 'token')} {report['texts']}; change of perplexity, and "
        f"divergence in nats a token, from float32; {output}",
        markup=False,
    )


def _measure(checkpoint: Checkpoint, texts: Texts) -> tuple[dict, list[Result]]:
    """What a report says of the usual plan, and the results: float32, the usual plan, others."""
    tokens = sum(len(sequence) - 1 for text in texts.values() for sequence in text)
    wanted = formats(checkpoint)
    rounded = is_llama(checkpoint.config)
    runs = 2 + len(wanted) + rounded
    with tqdm(total=tokens * runs, unit="token", leave=False, disable=None) as bar:
        bar.set_description("float32")
        comparison = Comparison(checkpoint, texts, bar.update)
        results, usual = [comparison.of_floats("float32", checkpoint)], {}
        for options in wanted:
            bar.set_description(f"{options.scales}, {options.cache_bits}-bit cache")
            plan = quantize(checkpoint, options)
            results.append(comparison.of_plan(plan))
            usual = usual or described(plan, WEIGHT_BITS)
            del plan  # its weights take more memory than all the rest
        if rounded:
            bar.set_description("head")
            results.append(comparison.of_floats(HEAD, with_head_of_rows(checkpoint)))
    return usual, results


def markdown(results: Sequence[Result]) -> str:
    """The table for a document: a format a row."""
    headings = _headings(results)
    rules = ["---", *["--:"] * (len(headings) - 1)]
    rows = [headings, rules, *map(_cells, results)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _headings(results: Sequence[Result]) -> list[str]:
    texts = [f"perplexity, {Path(name).stem}" for name in results[0].texts]
    sizes = ["weights, MB a token", f"cache, MB at {results[0].position:,}"]
    measures = ["perplexity, change", "divergence", "same top token", "overflows"]
    return ["weights", "cache", *sizes, *texts, *measures]


def _cells(result: Result) -> list[str]:
    texts = [f"{accuracy.perplexity[1]:.3f}" for accuracy in result.texts.values()]
    sizes = [f"{size / 1e6:,.3f}" for size in (result.weight_bytes, result.cache_bytes)]
    total = result.total
    measures = [f"{result.perplexity_change:+.2%}", f"{total.kl:.5f}", f"{total.top1:.2%}"]
    overflows = ", ".join(total.saturated) or "none"
    return [result.weights, f"{result.cache_bits} bits", *sizes, *texts, *measures, overflows]
