"""Which magnitudes the values of a graph reach: the ground on which static formats are chosen."""

from __future__ import annotations

import numpy as np

from golden.graph import Graph, Past, run

SEED = 7
SEQUENCES = 32
FEW_SEQUENCES = 4
LARGE = 1_000_000
"""Parameters from which a model is calibrated on FEW_SEQUENCES and in float32, to have done with it
in seconds."""

LENGTH = 32
HEADROOM = 2.0
"""Formats hold this many times the largest magnitude seen.  What is larger saturates, and reports
say so."""

Peaks = dict[tuple[int, str], float]


def sequences(graph: Graph) -> np.ndarray:
    """Tokens [B, T] to calibrate on: half of them uniform, half sampled from the model.

    B is twice SEQUENCES, or FEW_SEQUENCES of a LARGE model.  Sampled sequences start with the last
    token of the vocabulary (BOS in models of characters).
    """
    rng = np.random.Generator(np.random.PCG64(SEED))
    vocab = graph.config.n_vocab
    length = min(LENGTH, graph.config.n_ctx or LENGTH)
    count = FEW_SEQUENCES if graph.config.parameters >= LARGE else SEQUENCES
    uniform = rng.integers(0, vocab, (count, length))
    sampled = continued(graph, np.full((count, 1), vocab - 1), length, rng)
    return np.concatenate([uniform, sampled])


def continued(
    graph: Graph, tokens: np.ndarray, length: int, rng: np.random.Generator
) -> np.ndarray:
    """``tokens`` [B, T] continued to [B, length], sampled from the float model at temperature 1."""
    past = Past()
    while tokens.shape[1] < length:
        logits = run(graph, tokens[:, past.length :], past=past, dtype=_kind(graph))[:, -1]
        following = np.argmax(logits + rng.gumbel(size=logits.shape), axis=-1)
        tokens = np.concatenate([tokens, following[:, None]], axis=1)
    return tokens


def _kind(graph: Graph) -> type:
    return np.float32 if graph.config.parameters >= LARGE else np.float64


def peaks(graph: Graph) -> Peaks:
    """HEADROOM times the largest magnitude of every value, by (layer, name)."""
    seen: Peaks = {}

    def record(layer: int, name: str, value: np.ndarray) -> None:
        seen[layer, name] = HEADROOM * float(np.abs(value).max())

    run(graph, sequences(graph), record, dtype=_kind(graph))
    return seen
