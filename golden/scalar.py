"""The whole model in scalars: microGPT on :class:`~golden.autograd.Value`, for people to read.

It computes what :mod:`golden.backprop` computes with arrays, number by number, and the tests hold
the one against the other. A vector is a list of values, a matrix is a list of rows.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from golden.autograd import Value
from golden.config import LATER
from golden.errors import WeftError
from golden.model import ModelConfig

Vector = list[Value]
Weights = dict[str, list[Vector]]


def scalars(tensors: Mapping[str, np.ndarray]) -> Weights:
    """Turn every weight into a :class:`Value` of its own."""
    return {
        name: [[Value(float(x)) for x in row] for row in matrix] for name, matrix in tensors.items()
    }


def linear(matrix: list[Vector], x: Vector) -> Vector:
    """One dot product a row."""
    return [dot(row, x) for row in matrix]


def dot(a: Vector, b: Vector) -> Value:
    """Sum of products."""
    return sum((x * y for x, y in zip(a, b, strict=True)), Value(0.0))


def add(a: Vector, b: Vector) -> Vector:
    """Sum of two vectors."""
    return [x + y for x, y in zip(a, b, strict=True)]


def norm(x: Vector, eps: float) -> Vector:
    """RMSNorm: divide by the root of the mean square."""
    scale = (dot(x, x) / len(x) + eps) ** -0.5
    return [value * scale for value in x]


def softmax(x: Vector) -> Vector:
    """Turn scores into probabilities. Taking the maximum away changes nothing but the range."""
    largest = max(value.data for value in x)
    exponentials = [(value - largest).exp() for value in x]
    total = sum(exponentials, Value(0.0))
    return [value / total for value in exponentials]


def step(c: ModelConfig, w: Weights, token: int, position: int, keys: list, values: list) -> Vector:
    """Logits of the next token; ``keys`` and ``values``, a list of vectors a layer, grow."""
    x = norm(add(w["wte"][token], w["wpe"][position]), c.norm_eps)
    for i in range(c.n_layer):
        h = norm(x, c.norm_eps)
        q = linear(w[f"layer{i}.attn_wq"], h)
        keys[i].append(linear(w[f"layer{i}.attn_wk"], h))
        values[i].append(linear(w[f"layer{i}.attn_wv"], h))
        attention = []
        for head in range(c.n_head):
            part = range(head * c.d_head, (head + 1) * c.d_head)
            query = [q[j] for j in part]
            scores = [dot(query, [key[j] for j in part]) / c.d_head**0.5 for key in keys[i]]
            weights = softmax(scores)
            attention += [dot(weights, [value[j] for value in values[i]]) for j in part]
        x = add(x, linear(w[f"layer{i}.attn_wo"], attention))
        h = [value.relu() for value in linear(w[f"layer{i}.mlp_fc1"], norm(x, c.norm_eps))]
        x = add(x, linear(w[f"layer{i}.mlp_fc2"], h))
    return linear(w["lm_head"], x)


def loss(config: ModelConfig, weights: Weights, tokens: Sequence[int]) -> Value:
    """Mean cross-entropy, in nats a token, of predicting each token from those before it.

    Call ``backward()`` on the result, and every weight's ``grad`` says how to change it.

    Raises
    ------
    WeftError
        If the model is not a microGPT: learned positions, full attention, ReLU, a norm after the
        embedding and none before the head.
    """
    microgpt = ("learned", None, "relu", True, False)
    c = config
    shape = (c.position, c.window, c.activation, c.norm_embedding, c.norm_head)
    if shape != microgpt or c.identity.keys() & set(LATER):
        raise WeftError("the scalar model is microGPT only; expected its positions, norms and ReLU")
    keys, values = ([[] for _ in range(c.n_layer)] for _ in range(2))
    total = Value(0.0)
    for position, (token, target) in enumerate(pairwise(tokens)):
        probabilities = softmax(step(c, weights, token, position, keys, values))
        total -= probabilities[target].log()
    return total / (len(tokens) - 1)
