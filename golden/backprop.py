"""The loss of a sequence and its gradient, in float64 NumPy: what training runs at every step.

Forward keeps what backward needs; backward walks the same operations in reverse. Results depend on
IEEE 754 arithmetic only, in an order written here, so that training with ReLU yields the same bytes
on every machine: matrix products do not go through BLAS and exponentials not through NumPy or the C
library, all of which round differently from one processor to the next. (GELU uses the C library's
erf.)
"""

import math
from collections.abc import Mapping

import numpy as np

from golden.config import ModelConfig

ACTIVATIONS = ("relu", "gelu")
"""Those with a derivative here."""

Arrays = Mapping[str, np.ndarray]

_LOG2_E = float.fromhex("0x1.71547652b82fep+0")
_LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")  # 33 bits: its product with an integer is exact
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_TAYLOR = [1 / math.factorial(n) for n in range(14)]  # on |r| <= ln(2)/2 the rest is below 2^-57
_LARGEST_TEMPORARY = 1 << 20  # elements
_erf = np.frompyfunc(math.erf, 1, 1)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix product [..., m, k] x [..., k, n], summed over k in an order fixed by the shapes."""
    if a.size * b.shape[-1] <= _LARGEST_TEMPORARY:
        return (a[..., :, :, None] * b[..., None, :, :]).sum(axis=-2)
    return sum(a[..., :, k, None] * b[..., k, None, :] for k in range(a.shape[-1]))


def exp(x: np.ndarray) -> np.ndarray:
    """Exponential function for x <= 700, within one unit in the last place; zero below -700.

    By x = k ln 2 + r, a Taylor series in r and a scaling by 2^k.
    """
    clamped = np.maximum(x, -700.0)
    k = np.rint(clamped * _LOG2_E)
    r = (clamped - k * _LN2_HIGH) - k * _LN2_LOW
    y = np.full_like(r, _TAYLOR[-1])
    for coefficient in _TAYLOR[-2::-1]:
        y = y * r + coefficient
    return np.where(x < -700.0, 0.0, np.ldexp(y, k.astype(np.int32)))


def norm(x: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """RMSNorm over the last axis, and the scale by which it multiplied, [..., 1]."""
    scale = 1 / np.sqrt((x * x).sum(axis=-1, keepdims=True) / x.shape[-1] + eps)
    return x * scale, scale


def norm_backward(dy: np.ndarray, y: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Gradient by the input of :func:`norm`, from that by its output ``y``."""
    return scale * (dy - y * ((dy * y).sum(axis=-1, keepdims=True) / y.shape[-1]))


def softmax(x: np.ndarray) -> np.ndarray:
    """Softmax over the last axis; minus infinity gets probability zero."""
    e = exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def activate(x: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """ReLU or exact GELU of x, and the derivative at x."""
    if kind == "relu":
        return np.maximum(x, 0.0), (x > 0).astype(float)
    below = 0.5 * (1 + _erf(x * math.sqrt(0.5)).astype(float))
    density = exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return x * below, below + x * density


class _Linear:
    """The linear layers of a model: forward, and backward with their gradients collected."""

    def __init__(self, weights: Arrays, gradients: Arrays):
        self.weights = weights
        self.gradients = gradients

    def forward(self, name: str, x: np.ndarray) -> np.ndarray:
        """[T, inputs] to [T, outputs]."""
        return product(x, self.weights[name].T)

    def backward(self, name: str, dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Collect the gradient by the weight; return that by the input ``x``."""
        self.gradients[name][...] += product(dy.T, x)
        return product(dy, self.weights[name])


class _Attention:
    """Attention of one layer over a whole sequence, heads apart: arrays are [heads, T, d_head]."""

    def __init__(self, config: ModelConfig, layer: int, linear: _Linear):
        self.config, self.linear = config, linear
        self.names = [f"layer{layer}.attn_w{m}" for m in "qkv"]
        self.out = f"layer{layer}.attn_wo"
        self.scale = 1 / math.sqrt(config.d_head)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Norm, project to q, k and v, attend, project: what is added to the residual."""
        self.h, self.norm_scale = norm(x, self.config.norm_eps)
        self.q, self.k, self.v = (self._heads(self.linear.forward(n, self.h)) for n in self.names)
        age = np.arange(len(x))[:, None] - np.arange(len(x))
        hidden = (age < 0) | (age >= (self.config.window or len(x)))
        scores = product(self.q, self.k.swapaxes(1, 2)) * self.scale
        self.weights = softmax(np.where(hidden, -np.inf, scores))
        self.mixed = self._join(product(self.weights, self.v))
        return self.linear.forward(self.out, self.mixed)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """From the gradient by what was added to that by the layer's input."""
        dmixed = self._heads(self.linear.backward(self.out, dy, self.mixed))
        dweights = product(dmixed, self.v.swapaxes(1, 2))
        inner = (dweights * self.weights).sum(axis=-1, keepdims=True)
        dscores = self.weights * (dweights - inner) * self.scale
        dq = product(dscores, self.k)
        dk = product(dscores.swapaxes(1, 2), self.q)
        dv = product(self.weights.swapaxes(1, 2), dmixed)
        dh = sum(
            self.linear.backward(name, self._join(d), self.h)
            for name, d in zip(self.names, (dq, dk, dv), strict=True)
        )
        return norm_backward(dh, self.h, self.norm_scale)

    def _heads(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), self.config.n_head, self.config.d_head).swapaxes(0, 1)

    def _join(self, x: np.ndarray) -> np.ndarray:
        return x.swapaxes(0, 1).reshape(x.shape[1], self.config.d_model)


class _MLP:
    """The two linear layers of one layer, with the activation between them."""

    def __init__(self, config: ModelConfig, layer: int, linear: _Linear):
        self.config, self.linear = config, linear
        self.fc1, self.fc2 = f"layer{layer}.mlp_fc1", f"layer{layer}.mlp_fc2"

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Norm, widen, activate, narrow: what is added to the residual."""
        self.h, self.norm_scale = norm(x, self.config.norm_eps)
        wide = self.linear.forward(self.fc1, self.h)
        self.active, self.slope = activate(wide, self.config.activation)
        return self.linear.forward(self.fc2, self.active)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """From the gradient by what was added to that by the layer's input."""
        dwide = self.linear.backward(self.fc2, dy, self.active) * self.slope
        dh = self.linear.backward(self.fc1, dwide, self.h)
        return norm_backward(dh, self.h, self.norm_scale)


def loss_and_gradients(
    config: ModelConfig, weights: Arrays, tokens: np.ndarray, gradients: Arrays
) -> float:
    """Mean cross-entropy of predicting each token from those before it, and its gradient.

    Parameters
    ----------
    config : ModelConfig
        Any of the family.
    weights, gradients : mapping of str to float64 array
        One array a tensor of ``config.shapes``. Gradients are overwritten.
    tokens : array of int
        T + 1 ids, the first T of which are inputs and the last T targets; T <= n_ctx.

    Returns
    -------
    float
        The loss in nats a token.
    """
    inputs, targets = tokens[:-1], tokens[1:]
    for gradient in gradients.values():
        gradient[...] = 0.0
    linear = _Linear(weights, gradients)

    x = weights["wte"][inputs]
    if config.position == "learned":
        x = x + weights["wpe"][: len(inputs)]
    if config.norm_embedding:
        x, embedding_scale = norm(x, config.norm_eps)
    embedding = x
    parts = [part(config, i, linear) for i in range(config.n_layer) for part in (_Attention, _MLP)]
    for part in parts:
        x = x + part.forward(x)
    if config.norm_head:
        x, head_scale = norm(x, config.norm_eps)
    probabilities = softmax(linear.forward("lm_head", x))
    chosen = (np.arange(len(targets)), targets)
    loss = -math.fsum(np.log(probabilities[chosen])) / len(targets)

    dlogits = probabilities
    dlogits[chosen] -= 1.0
    dx = linear.backward("lm_head", dlogits / len(targets), x)
    if config.norm_head:
        dx = norm_backward(dx, x, head_scale)
    for part in reversed(parts):
        dx = dx + part.backward(dx)
    if config.norm_embedding:
        dx = norm_backward(dx, embedding, embedding_scale)
    if config.position == "learned":
        gradients["wpe"][: len(inputs)] += dx
    np.add.at(gradients["wte"], inputs, dx)
    return loss
