"""The float32 model: what mathematics says, as plainly as NumPy can say it.

Read :func:`step` from top to bottom: that is the whole transformer, one token at a time, the way
the hardware runs it. :func:`sequence_logits` is the same function of whole sequences at once.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from golden.errors import WeftError
from golden.model import Checkpoint, ModelConfig

_erf = np.frompyfunc(math.erf, 1, 1)


@dataclass
class Cache:
    """What attention remembers of one sequence.

    Members
    -------
    position : int
        Tokens seen so far; it keeps counting when a window has forgotten the oldest.
    keys, values : dict of int to list
        For each layer, vectors of ``d_model`` elements, the oldest first.
    """

    position: int = 0
    keys: dict[int, list[np.ndarray]] = field(default_factory=dict)
    values: dict[int, list[np.ndarray]] = field(default_factory=dict)

    def append(self, layer: int, key, value, window: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Add a token's key and value to a layer; return all that is in sight, [slots, d_model]."""
        in_sight = slice(None if window is None else -window, None)
        keys = self.keys[layer] = [*self.keys.get(layer, []), key][in_sight]
        values = self.values[layer] = [*self.values.get(layer, []), value][in_sight]
        return np.stack(keys), np.stack(values)


def norm(x: np.ndarray, eps: float) -> np.ndarray:
    """RMSNorm without gain over the last axis."""
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)


def softmax(x: np.ndarray) -> np.ndarray:
    """Softmax over the last axis; minus infinity gets probability zero."""
    e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=-1, keepdims=True)


def relu(x: np.ndarray) -> np.ndarray:
    """The larger of x and zero."""
    return np.maximum(x, 0)


def gelu(x: np.ndarray) -> np.ndarray:
    """Input times the probability that a standard normal variable is below it (the exact form)."""
    return x * 0.5 * (1 + _erf(x * math.sqrt(0.5)).astype(x.dtype))


ACTIVATION = {"relu": relu, "gelu": gelu}


def step(
    checkpoint: Checkpoint, token: int, cache: Cache, record: dict | None = None
) -> np.ndarray:
    """Feed one token and return the logits [n_vocab] of the next one.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    token : int
        Its id.
    cache : Cache
        State of the sequence; updated in place. Start with ``Cache()``.
    record : dict, optional
        Receives every intermediate result under the key ``(position, layer, stage)``, where layer
        is ``None`` outside the layers. Scores and softmax are ``[n_head, slots]``, the oldest slot
        first; all others are vectors.

    Raises
    ------
    WeftError
        If the token is not in the vocabulary or the sequence is longer than ``n_ctx``.
    """
    c, w, t = checkpoint.config, checkpoint.tensors, cache.position
    check_tokens(c, [token], t)
    record = {} if record is None else record

    def tap(layer, stage, x):
        record[t, layer, stage] = x
        return x

    x = tap(None, "embed", w["wte"][token] + (w["wpe"][t] if "wpe" in w else 0))
    if c.norm_embedding:
        x = tap(None, "norm_embedding", norm(x, c.norm_eps))
    for i in range(c.n_layer):
        # Attention: each head compares its query with the keys in sight, and mixes their values.
        h = tap(i, "norm_attention", norm(x, c.norm_eps))
        q = tap(i, "q", w[f"layer{i}.attn_wq"] @ h)
        k = tap(i, "k", w[f"layer{i}.attn_wk"] @ h)
        v = tap(i, "v", w[f"layer{i}.attn_wv"] @ h)
        keys, values = (m.reshape(-1, c.n_head, c.d_head) for m in cache.append(i, k, v, c.window))
        scores = np.einsum("hd,shd->hs", q.reshape(c.n_head, c.d_head), keys)
        scores = tap(i, "scores", scores / math.sqrt(c.d_head))
        weights = tap(i, "softmax", softmax(scores))
        heads = tap(i, "attention", np.einsum("hs,shd->hd", weights, values).reshape(c.d_model))
        x = tap(i, "residual_attention", x + tap(i, "project", w[f"layer{i}.attn_wo"] @ heads))
        # MLP: each position on its own.
        h = tap(i, "norm_mlp", norm(x, c.norm_eps))
        h = tap(i, "fc1", w[f"layer{i}.mlp_fc1"] @ h)
        h = tap(i, "activation", ACTIVATION[c.activation](h))
        x = tap(i, "residual_mlp", x + tap(i, "fc2", w[f"layer{i}.mlp_fc2"] @ h))
    if c.norm_head:
        x = tap(None, "norm_head", norm(x, c.norm_eps))
    cache.position += 1
    return tap(None, "logits", w["lm_head"] @ x)


def forward(
    checkpoint: Checkpoint, tokens, cache: Cache | None = None, record: dict | None = None
) -> np.ndarray:
    """Feed tokens one by one and return the logits after each, [len(tokens), n_vocab].

    ``cache`` and ``record`` are those of :func:`step`; without a cache a new sequence starts.
    """
    cache = Cache() if cache is None else cache
    logits = [step(checkpoint, int(token), cache, record) for token in tokens]
    return np.stack(logits) if logits else np.empty((0, checkpoint.config.n_vocab), np.float32)


def sequence_logits(checkpoint: Checkpoint, tokens) -> np.ndarray:
    """Logits after every token of whole sequences: ids [..., T] to logits [..., T, n_vocab].

    Each sequence starts at position 0. Equals :func:`forward` but for the order of summation.
    """
    c, w, tokens = checkpoint.config, checkpoint.tensors, np.asarray(tokens, dtype=np.intp)
    length = tokens.shape[-1]
    check_tokens(c, tokens)
    age = np.arange(length)[:, None] - np.arange(length)
    hidden = (age < 0) | (age >= (c.window or length))
    x = w["wte"][tokens] + (w["wpe"][:length] if "wpe" in w else 0)
    x = norm(x, c.norm_eps) if c.norm_embedding else x
    for i in range(c.n_layer):
        h = norm(x, c.norm_eps)
        q, k, v = (
            (h @ w[f"layer{i}.attn_w{m}"].T).reshape(*h.shape[:-1], c.n_head, c.d_head)
            for m in "qkv"
        )
        scores = np.einsum("...qhd,...khd->...hqk", q, k) / math.sqrt(c.d_head)
        weights = softmax(np.where(hidden, -np.inf, scores))
        heads = np.einsum("...hqk,...khd->...qhd", weights, v).reshape(h.shape)
        x = x + heads @ w[f"layer{i}.attn_wo"].T
        h = ACTIVATION[c.activation](norm(x, c.norm_eps) @ w[f"layer{i}.mlp_fc1"].T)
        x = x + h @ w[f"layer{i}.mlp_fc2"].T
    return (norm(x, c.norm_eps) if c.norm_head else x) @ w["lm_head"].T


def check_tokens(config: ModelConfig, tokens, position: int = 0) -> None:
    """Raise a WeftError unless tokens exist and fit into the context from ``position`` on."""
    tokens = np.asarray(tokens)
    outside = tokens[(tokens < 0) | (tokens >= config.n_vocab)]
    if outside.size:
        raise WeftError(
            f"token {outside[0]} is not in the vocabulary; expected 0 to {config.n_vocab - 1}"
        )
    if config.n_ctx is not None and position + tokens.shape[-1] > config.n_ctx:
        raise WeftError(
            f"the sequence has {position + tokens.shape[-1]} tokens or more; "
            f"this model has positions for {config.n_ctx}"
        )
