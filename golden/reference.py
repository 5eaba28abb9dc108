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
        For each layer, vectors of ``kv_heads * d_head`` elements, the oldest first. Rotary keys
        are kept as they were turned at their own position.
    """

    position: int = 0
    keys: dict[int, list[np.ndarray]] = field(default_factory=dict)
    values: dict[int, list[np.ndarray]] = field(default_factory=dict)

    def append(self, layer: int, key, value, window: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Add a token's key and value to a layer; return all that is in sight, [slots, d_kv]."""
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


def silu(x: np.ndarray) -> np.ndarray:
    """Input times its logistic sigmoid (Elfwing et al. 2017), with no overflow at either end."""
    return x * 0.5 * (1 + np.tanh(x * 0.5))


ACTIVATION = {"relu": relu, "gelu": gelu, "silu": silu}


def rotate(x: np.ndarray, positions, theta: float) -> np.ndarray:
    """Rotary positions (Su et al. 2021): turn pair i of every head by position * theta^(-2i/d).

    Parameters
    ----------
    x : array [..., heads, d_head]
        Queries or keys; elements 2i and 2i + 1 are a pair.
    positions : int or array that broadcasts to [..., heads]
        Where in the sequence they stand.
    theta : float
        Base of the angles, which are taken in float64.
    """
    slopes = theta ** (-np.arange(0, x.shape[-1], 2) / x.shape[-1])
    angle = np.asarray(positions)[..., None] * slopes
    cos, sin = np.cos(angle).astype(x.dtype), np.sin(angle).astype(x.dtype)
    a, b = x[..., 0::2], x[..., 1::2]
    return np.stack([a * cos - b * sin, a * sin + b * cos], axis=-1).reshape(x.shape)


class Weights:
    """The operations of a model that have weights, by the names of their tensors."""

    def __init__(self, checkpoint: Checkpoint):
        self._tensors, self._eps = checkpoint.tensors, checkpoint.config.norm_eps
        self.head = checkpoint.head.T

    def embed(self, tokens, positions) -> np.ndarray:
        """The rows of tokens, and of their positions if these are learned."""
        learned = self._tensors["wpe"][positions] if "wpe" in self._tensors else 0
        return self._tensors["wte"][tokens] + learned

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        """RMSNorm over the last axis, times the gains of ``name`` if there are any."""
        y = norm(x, self._eps)
        return y * self._tensors[name] if name in self._tensors else y

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        """A linear layer over the last axis, plus its bias if it has one."""
        y, bias = x @ self._tensors[name].T, f"{name}.bias"
        return y + self._tensors[bias] if bias in self._tensors else y


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
    c, w, t = checkpoint.config, Weights(checkpoint), cache.position
    check_tokens(c, [token], t)
    record = {} if record is None else record

    def tap(layer, stage, x):
        record[t, layer, stage] = x
        return x

    x = tap(None, "embed", w.embed(token, t))
    if c.norm_embedding:
        x = tap(None, "norm_embedding", w.norm("norm_embedding", x))
    for i in range(c.n_layer):
        at = f"layer{i}."
        # Attention: each head compares its query with the keys in sight, and mixes their values.
        h = tap(i, "norm_attention", w.norm(at + "norm_attention", x))
        q = tap(i, "q", w.linear(at + "attn_wq", h))
        k = tap(i, "k", w.linear(at + "attn_wk", h))
        v = tap(i, "v", w.linear(at + "attn_wv", h))
        if c.position == "rotary":
            q = tap(i, "rotate_q", rotate(heads_of(c, q), t, c.rope_theta).reshape(q.shape))
            k = tap(i, "rotate_k", rotate(heads_of(c, k), t, c.rope_theta).reshape(k.shape))
        keys, values = (shared(c, heads_of(c, m)) for m in cache.append(i, k, v, c.window))
        scores = np.einsum("hd,shd->hs", heads_of(c, q), keys)
        scores = tap(i, "scores", scores / math.sqrt(c.d_head))
        weights = tap(i, "softmax", softmax(scores))
        heads = tap(i, "attention", np.einsum("hs,shd->hd", weights, values).reshape(c.d_model))
        project = tap(i, "project", w.linear(at + "attn_wo", heads))
        x = tap(i, "residual_attention", x + project)
        # MLP: each position on its own.
        h = tap(i, "norm_mlp", w.norm(at + "norm_mlp", x))
        wide = tap(i, "fc1", w.linear(at + "mlp_fc1", h))
        opening = tap(i, "gate", w.linear(at + "mlp_gate", h)) if c.gated else wide
        h = tap(i, "activation", ACTIVATION[c.activation](opening))
        h = tap(i, "gated", h * wide) if c.gated else h
        x = tap(i, "residual_mlp", x + tap(i, "fc2", w.linear(at + "mlp_fc2", h)))
    if c.norm_head:
        x = tap(None, "norm_head", w.norm("norm_head", x))
    cache.position += 1
    return tap(None, "logits", x @ w.head)


def heads_of(c: ModelConfig, x: np.ndarray) -> np.ndarray:
    """Queries, keys or values [..., heads * d_head] as [..., heads, d_head]."""
    return x.reshape(*x.shape[:-1], x.shape[-1] // c.d_head, c.d_head)


def shared(c: ModelConfig, x: np.ndarray) -> np.ndarray:
    """Heads of keys or values, each repeated for the query heads that it serves.

    Grouped-query attention (Ainslie et al. 2023): [..., kv_heads, d_head] to
    [..., n_head, d_head].
    """
    return x if c.kv_heads == c.n_head else np.repeat(x, c.n_head // c.kv_heads, axis=-2)


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
    c, w, tokens = checkpoint.config, Weights(checkpoint), np.asarray(tokens, dtype=np.intp)
    positions = np.arange(tokens.shape[-1])
    check_tokens(c, tokens)
    age = positions[:, None] - positions
    hidden = (age < 0) | (age >= (c.window or len(positions)))
    x = w.embed(tokens, positions)
    x = w.norm("norm_embedding", x) if c.norm_embedding else x
    for i in range(c.n_layer):
        at = f"layer{i}."
        h = w.norm(at + "norm_attention", x)
        q, k, v = (heads_of(c, w.linear(f"{at}attn_w{m}", h)) for m in "qkv")
        if c.position == "rotary":
            q, k = (rotate(m, positions[:, None], c.rope_theta) for m in (q, k))
        scores = np.einsum("...qhd,...khd->...hqk", q, shared(c, k)) / math.sqrt(c.d_head)
        weights = softmax(np.where(hidden, -np.inf, scores))
        heads = np.einsum("...hqk,...khd->...qhd", weights, shared(c, v)).reshape(h.shape)
        x = x + w.linear(at + "attn_wo", heads)
        h = w.norm(at + "norm_mlp", x)
        wide = w.linear(at + "mlp_fc1", h)
        opening = w.linear(at + "mlp_gate", h) if c.gated else wide
        h = ACTIVATION[c.activation](opening)
        x = x + w.linear(at + "mlp_fc2", h * wide if c.gated else h)
    return (w.norm("norm_head", x) if c.norm_head else x) @ w.head


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
