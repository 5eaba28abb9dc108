"""The llama family written a second time, for tests: float64, loops, no cache, half-split rotation.

Checkpoints pair neighbouring elements of a head; here the halves of a head are paired, as PyTorch
implementations do it, with rows of q and k moved accordingly.  Small random checkpoints come along.
"""

import math
from dataclasses import replace

import numpy as np

from golden.model import Checkpoint, ModelConfig

BASE = ModelConfig(
    n_layer=2, n_head=4, d_model=24, d_ff=20, n_vocab=11, n_ctx=16, position="rotary",
    activation="silu", norm_embedding=False, norm_head=True, n_kv_head=2, rope_theta=10000.0,
    gated=True, norm_gain=True, tied_head=True,
)  # fmt: skip
CONFIGS = {
    "llama": BASE,
    "one kv head": replace(BASE, n_kv_head=1, n_layer=1),
    "as many kv heads": replace(BASE, n_kv_head=None, n_head=3, rope_theta=500.0),
    "separate head": replace(BASE, tied_head=False),
    "some biases": replace(BASE, biases=("attn_wq", "attn_wk", "attn_wv")),
    "all biases": replace(
        BASE,
        biases=("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_gate", "mlp_fc1", "mlp_fc2"),
    ),
    "odd sizes": replace(BASE, n_head=5, n_kv_head=5, d_model=30, d_ff=7, n_vocab=13, n_layer=3),
    "not gated": replace(BASE, gated=False, activation="gelu", norm_embedding=True),
}


def random_llama(config: ModelConfig, seed: int = 0) -> Checkpoint:
    """Weights of variance 1 / inputs; embeddings, biases and gains of variance about 1."""
    rng = np.random.default_rng(seed)

    def tensor(name, shape):
        x = rng.standard_normal(shape)
        if len(shape) == 2 and name != "wte":
            x /= math.sqrt(shape[1])
        return (1 + 0.3 * x if "norm" in name else x).astype(np.float32)

    tensors = {name: tensor(name, shape) for name, shape in config.shapes.items()}
    return Checkpoint(config, tensors, tuple(map(str, range(config.n_vocab))), "random")


def halves(rows: np.ndarray, n_head: int) -> np.ndarray:
    """Rows of q or k with pairs (2i, 2i + 1) of each head moved to (i, i + d_head / 2)."""
    x = rows.reshape(n_head, -1, 2, *rows.shape[1:])
    return np.swapaxes(x, 1, 2).reshape(rows.shape)


def logits(checkpoint: Checkpoint, tokens) -> np.ndarray:
    """Logits [T, n_vocab] in float64, every position from nothing."""
    c = checkpoint.config
    w = {name: t.astype(np.float64) for name, t in checkpoint.tensors.items()}
    return np.stack([_last(c, w, tokens[: t + 1]) for t in range(len(tokens))])


def _last(c, w, tokens):
    xs = [_norm(c, w, "norm_embedding", w["wte"][t]) if c.norm_embedding else w["wte"][t]
          for t in tokens]  # fmt: skip
    for i in range(c.n_layer):
        hs = [_norm(c, w, f"layer{i}.norm_attention", x) for x in xs]
        qs = [_turned(c, _apply(w, f"layer{i}.attn_wq", h, c.n_head), t) for t, h in enumerate(hs)]
        ks = [
            _turned(c, _apply(w, f"layer{i}.attn_wk", h, c.kv_heads), t) for t, h in enumerate(hs)
        ]
        vs = [_apply(w, f"layer{i}.attn_wv", h).reshape(c.kv_heads, -1) for h in hs]
        for t, x in enumerate(xs):
            mixed = []
            for head in range(c.n_head):
                kv = head * c.kv_heads // c.n_head
                seen = [qs[t][head] @ ks[s][kv] / math.sqrt(c.d_head) for s in range(t + 1)]
                e = [math.exp(score - max(seen)) for score in seen]
                mixed.append(sum(p / sum(e) * vs[s][kv] for s, p in enumerate(e)))
            xs[t] = x + _apply(w, f"layer{i}.attn_wo", np.concatenate(mixed))
        for t, x in enumerate(xs):
            h = _norm(c, w, f"layer{i}.norm_mlp", x)
            up = _apply(w, f"layer{i}.mlp_fc1", h)
            if c.gated:
                up = up * _activate(c, _apply(w, f"layer{i}.mlp_gate", h))
            else:
                up = _activate(c, up)
            xs[t] = x + _apply(w, f"layer{i}.mlp_fc2", up)
    return (w["wte"] if c.tied_head else w["lm_head"]) @ _norm(c, w, "norm_head", xs[-1])


def _norm(c, w, name, x):
    return x / math.sqrt(x @ x / len(x) + c.norm_eps) * w[name]


def _apply(w, name, x, n_head=None):
    """A linear layer; with ``n_head``, answering heads whose halves are pairs."""
    y = w[name] @ x + w.get(f"{name}.bias", 0)
    return y if n_head is None else halves(y, n_head).reshape(n_head, -1)


def _turned(c, heads, position):
    """[heads, d_head] turned as complex numbers: the first half real, the second imaginary."""
    half = c.d_head // 2
    z = heads[:, :half] + 1j * heads[:, half:]
    z = z * [np.exp(1j * position / c.rope_theta ** (i / half)) for i in range(half)]
    return np.concatenate([z.real, z.imag], axis=1)


def _activate(c, x):
    if c.activation == "silu":
        return np.array([v / (1 + math.exp(-v)) for v in x])
    return np.array([v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
