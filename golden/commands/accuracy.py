"""``python -m golden accuracy``: the integer model against the float model."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from golden import checked, zoo
from golden.accuracy import Accuracy, measure
from golden.commands import format_table, options, texts
from golden.errors import check_writable, write_whole
from golden.numbers import MANTISSA_BITS
from golden.quantize import WEIGHT_BITS, Options, quantize
from golden.words import counted

FOLDER = Path("build/accuracy")
NAMES, MOST = 1000, 100_000


def accuracy(
    model: options.Model = options.MODEL,
    checkpoint_file: options.CheckpointFile = None,
    numbers: options.Numbers = None,
    weight_bits: options.WeightBits = WEIGHT_BITS,
    scales: options.Scales = None,
    cache_bits: options.CacheBits = MANTISSA_BITS,
    names: Annotated[int, checked.whole(least=1, most=MOST, help="Texts, at most.")] = NAMES,
    data_file: Annotated[
        Path | None,
        checked.file("--data", help="Names, one a line, or a text; those in golden/data if none."),
    ] = None,
    output: Annotated[
        Path | None,
        checked.file(ends=(".json",), help="Report; build/accuracy/<model>.json if none."),
    ] = None,
) -> None:
    """Measure how far the integer model is from the float model, on texts held out of training.

    Models of names are measured on names; those with a tokenizer of their own on English, and in
    every format that they have, unless one is chosen.  A model without text of its own is measured
    on sequences sampled from its float model.
    """
    output = output or FOLDER / f"{model}.json"
    check_writable(output)
    checkpoint = zoo.load(model, checkpoint_file)
    chosen = Options(numbers, weight_bits, scales, cache_bits)
    english = checkpoint.tokenizer is not None
    found, origin = texts.choose(checkpoint, model, data_file, names)
    report = {"model": model, "checkpoint_digest": checkpoint.digest, "texts": origin}
    if english and chosen == Options():
        format_table.write(report, checkpoint, found, output)
        return
    plan = quantize(checkpoint, chosen)
    bar = partial(tqdm, unit="text", leave=False, disable=None)
    result = measure(checkpoint, plan, [text for each in found.values() for text in each], bar)
    report |= options.described(plan, weight_bits) | result.to_dict()
    write_whole(output, (json.dumps(report, indent=2) + "\n").encode())
    _show(report, result, output)


def _show(report: dict, result: Accuracy, output: Path) -> None:
    table = Table(
        title=f"{report['model']}: integer model against float model", title_justify="left"
    )
    for heading in ("measure", "float", "integer", "difference"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    both = np.array([result.nll_float, result.nll_integer])
    ppl = np.exp(both)
    rows = [
        ("loss (nats a token)", *(f"{x:.4f}" for x in both), f"{result.nll_difference:+.4f}"),
        ("perplexity", *(f"{x:.3f}" for x in ppl), f"{ppl[1] - ppl[0]:+.3f}"),
        ("divergence KL (nats a token)", "", "", f"{result.kl:.6f}"),
        ("same most likely token", "", "", f"{result.top1:.2%}"),
        ("stages that overflowed", "", "", ", ".join(result.saturated) or "none"),
    ]
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"{report['numbers']} numbers, {report['weight_bits']}-bit weights, scales a "
        f"{report['scales']}, {report['cache_bits']}-bit keys and values; "
        f"{counted(result.tokens, 'token')} of "
        f"{counted(result.sequences, 'text')} {report['texts']}; {output}",
        markup=False,
    )
