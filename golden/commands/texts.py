"""What the accuracy of a model is measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from golden import data
from golden.accuracy import SAMPLE_SEED, sampled_texts
from golden.cli import typed
from golden.comparison import Texts
from golden.errors import WeftError
from golden.model import Checkpoint
from golden.tokenizer import CharacterTokenizer, is_character_vocabulary
from golden.train import sequence

LONGEST = 2048
"""Tokens that are predicted in one sequence, at most; a longer text is cut."""


def choose(checkpoint: Checkpoint, model: str, path: Path | None, count: int) -> tuple[Texts, str]:
    """At most ``count`` texts as ids, and where they come from.

    Raises
    ------
    WeftError
        If the model cannot read what is in ``path``.
    """
    if checkpoint.tokenizer is not None:
        files = [path] if path else data.text_files(model)[:count]
        return {file.name: english(checkpoint, file) for file in files}, "of " + " and ".join(
            file.name for file in files
        )
    if is_character_vocabulary(checkpoint.vocabulary):
        found, origin = _names(checkpoint, path, count)
        return {origin: found}, origin
    if path is not None:
        raise WeftError(
            f"the model {checkpoint.name} is no model of characters and cannot read {path}; "
            "leave the data out to sample sequences from the float model"
        )
    origin = f"sampled from the float model, seed {SAMPLE_SEED}"
    return {origin: sampled_texts(checkpoint, count)}, origin


def english(checkpoint: Checkpoint, path: Path) -> list[np.ndarray]:
    """A text as ids: one sequence, or as many as the model's context needs, each from the start."""
    tokenizer = checkpoint.tokenizer
    ids = tokenizer.encode(data.load_text(path))
    size = min(LONGEST, checkpoint.config.n_ctx or LONGEST)
    return [
        np.array([tokenizer.start, *ids[at : at + size]], dtype=np.intp)
        for at in range(0, len(ids), size)
    ]


def _names(checkpoint: Checkpoint, path: Path | None, count: int) -> tuple[list[np.ndarray], str]:
    """Of a longer list, names are taken at even distances: such lists are sorted by frequency."""
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
