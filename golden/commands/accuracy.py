"""``python -m golden accuracy``: the integer model against the float model."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from golden import checked, data, zoo
from golden.accuracy import SAMPLE_SEED, Accuracy, measure, sampled_texts
from golden.cli import typed
from golden.commands import options
from golden.errors import WeftError, check_writable, write_whole
from golden.model import Checkpoint
from golden.numbers import MANTISSA_BITS
from golden.quantize import WEIGHT_BITS, Options, quantize
from golden.tokenizer import CharacterTokenizer, is_character_vocabulary
from golden.train import sequence
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
        checked.file("--data", help="Text, one name a line; the held-out names if none."),
    ] = None,
    output: Annotated[
        Path | None,
        checked.file(ends=(".json",), help="Report; build/accuracy/<model>.json if none."),
    ] = None,
) -> None:
    """Measure how far the integer model is from the float model, on names held out of training.

    A model without text of its own is measured on sequences sampled from its float model.
    """
    output = output or FOLDER / f"{model}.json"
    check_writable(output)
    checkpoint = zoo.load(model, checkpoint_file)
    texts, origin = _texts(checkpoint, data_file, names)
    plan = quantize(checkpoint, Options(numbers, weight_bits, scales, cache_bits))
    bar = partial(tqdm, unit="text", leave=False, disable=None)
    result = measure(checkpoint, plan, texts, bar)
    report = {
        "model": model,
        "checkpoint_digest": checkpoint.digest,
        "plan_digest": plan.digest(),
        "numbers": plan.numbers,
        "weight_bits": weight_bits,
        "scales": plan.scales,
        "cache_bits": plan.cache_bits,
        "texts": origin,
        **result.to_dict(),
    }
    write_whole(output, (json.dumps(report, indent=2) + "\n").encode())
    _show(report, result, output)


def _texts(checkpoint: Checkpoint, path: Path | None, count: int) -> tuple[list[np.ndarray], str]:
    """At most ``count`` texts as ids, and where they come from.

    Of a longer list, texts are taken at even distances: such lists are sorted by frequency.
    """
    if not is_character_vocabulary(checkpoint.vocabulary):
        if path is not None:
            raise WeftError(
                f"the model {checkpoint.name} is no model of characters and cannot read {path}; "
                "leave the data out to sample sequences from the float model"
            )
        origin = f"sampled from the float model, seed {SAMPLE_SEED}"
        return sampled_texts(checkpoint, count), origin
    if path is None:
        names, origin = data.split(data.load_names())[1], f"held out of {data.NAMES.name}"
    else:
        names, origin = data.load_names(path), f"of {path}"
    chosen = np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int)
    tokenizer = CharacterTokenizer(checkpoint.vocabulary)
    try:
        return [sequence(tokenizer, names[i], checkpoint.config.n_ctx) for i in chosen], origin
    except WeftError as error:
        raise WeftError(f"texts {origin}: {error}; {typed('data')} names others") from None


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
        f"{report['numbers']} numbers, {report['weight_bits']}-bit weights; "
        f"{counted(result.tokens, 'token')} of "
        f"{counted(result.sequences, 'text')} {report['texts']}; {output}",
        markup=False,
    )
