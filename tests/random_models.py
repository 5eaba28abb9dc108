"""Small models of every shape of the family, with seeded random weights."""

import math
from dataclasses import replace

import numpy as np

from golden.config import LINEARS
from golden.model import Checkpoint, ModelConfig

BASE = ModelConfig(n_layer=1, n_head=4, d_model=16, d_ff=64, n_vocab=27, n_ctx=16)
CONFIGS = {
    "microgpt": BASE,
    "two layers": replace(BASE, n_layer=2, n_head=3, d_model=24, d_ff=96),
    "three layers": replace(BASE, n_layer=3, d_model=48, d_ff=40, n_vocab=33),
    "window": replace(BASE, n_ctx=None, position="none", window=4),
    "window in a context": replace(BASE, window=5),
    "gelu": replace(BASE, activation="gelu", n_layer=2),
    "no positions": replace(BASE, position="none"),
    "norm before the head": replace(BASE, norm_head=True, n_layer=2),
    "no norm after the embedding": replace(BASE, norm_embedding=False),
    "head norm only": replace(BASE, norm_head=True, norm_embedding=False, n_head=2),
}

ROTARY = replace(BASE, position="rotary", norm_embedding=False, norm_head=True)
LLAMA = {
    "rotary positions": ROTARY,
    "gated": replace(ROTARY, gated=True, activation="silu", d_ff=20),
    "gains": replace(BASE, norm_gain=True, norm_embedding=False, norm_head=True, tied_head=True),
    "llama": replace(
        ROTARY, n_layer=2, d_model=24, d_ff=20, n_kv_head=2, gated=True, activation="silu",
        norm_gain=True, tied_head=True,
    ),
    "biases of attention": replace(
        ROTARY, n_kv_head=2, biases=("attn_wq", "attn_wk", "attn_wv", "attn_wo"),
    ),
    "all biases": replace(
        ROTARY, n_layer=2, d_model=24, d_ff=20, n_kv_head=2, gated=True, activation="silu",
        norm_gain=True, tied_head=True, biases=LINEARS,
    ),
    "one head of keys": replace(ROTARY, n_kv_head=1, d_model=24, n_head=2, rope_theta=500.0),
}  # fmt: skip
"""The llama family; rotary positions and gates work on blocks only."""


def random_checkpoint(config: ModelConfig, seed: int = 0, scale: float = 1.0) -> Checkpoint:
    """Weights of variance ``scale**2 / inputs``, embeddings and biases of 1, gains about 1."""
    rng = np.random.default_rng(seed)

    def tensor(name, shape):
        if name.endswith(".bias"):
            return rng.standard_normal(shape).astype(np.float32)
        if len(shape) == 1:
            return (1 + 0.3 * rng.standard_normal(shape)).astype(np.float32)
        deviation = 1.0 if name in ("wte", "wpe") else scale / math.sqrt(shape[1])
        return (rng.standard_normal(shape) * deviation).astype(np.float32)

    tensors = {name: tensor(name, shape) for name, shape in config.shapes.items()}
    return Checkpoint(config, tensors, tuple(map(str, range(config.n_vocab))), "random")


def random_tokens(config: ModelConfig, count: int = 4, length: int = 16, seed: int = 5):
    """Tokens [count, length]."""
    return np.random.default_rng(seed).integers(0, config.n_vocab, (count, length))
