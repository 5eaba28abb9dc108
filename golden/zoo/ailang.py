"""A small language model of made-up words with seeded random weights.

Its shape is that of a demonstration which counted 1.74 million cycles a token in software: one
layer, 32 wide, a vocabulary of 1,000 words, and no positions: only the window tells what is near.
"""

import math
from itertools import product
from pathlib import Path

import numpy as np

from golden.errors import WeftError
from golden.model import Checkpoint, ModelConfig

SEED = 1000

CONFIG = ModelConfig(
    n_layer=1,
    n_head=4,
    d_model=32,
    d_ff=128,
    n_vocab=1000,
    n_ctx=None,
    position="none",
    window=4,
    activation="gelu",
)

FIRST = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "su")
MIDDLE = ("ra", "le", "mi", "no", "tu", "va", "se", "di", "ko", "lu")
LAST = ("na", "re", "ti", "lo", "mu", "da", "ne", "si", "ro", "ka")


def vocabulary() -> tuple[str, ...]:
    """The 1,000 words: three syllables each, which are the three digits of the word's id."""
    return tuple(map("".join, product(FIRST, MIDDLE, LAST)))


def load(checkpoint: Path | None = None, seed: int = SEED) -> Checkpoint:
    """The model with weights drawn from ``seed``.

    Weights are normally distributed with variance 1 / inputs, embeddings with variance 1, drawn
    tensor by tensor in the order of ``ModelConfig.shapes``.

    Raises
    ------
    WeftError
        If a checkpoint file is given: this model has no file format.
    """
    if checkpoint is not None:
        raise WeftError(
            f"the model ailang has seeded weights and cannot take {checkpoint}; "
            "use the model microgpt for weights from a file"
        )
    rng = np.random.Generator(np.random.PCG64(seed))
    tensors = {}
    for name, shape in CONFIG.shapes.items():
        scale = 1.0 if name == "wte" else 1 / math.sqrt(shape[1])
        tensors[name] = (rng.standard_normal(shape) * scale).astype(np.float32)
    return Checkpoint(CONFIG, tensors, vocabulary(), "ailang")
