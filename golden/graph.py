"""The model as named float operations, and the passes that keep its float function.

A graph has the same three sections as a plan.  A node is an operation with float weights;
values carry the name of the node that makes them, and ``x`` is what a section takes in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from golden.errors import WeftError
from golden.model import Checkpoint, ModelConfig
from golden.reference import ACTIVATION, norm

INPUT = "x"
"""Name of the value that a section takes in."""


@dataclass(frozen=True, eq=False)
class Node:
    """A float operation.

    Parameters
    ----------
    kind: embed, norm, linear, attention, activation or residual.
    name: of the node and of its output; inputs: names of values.
    weights: float arrays by name.  base: in attention, the base of the softmax (e or 2);
    scale: in attention, the factor of its scores.
    """

    kind: str
    name: str
    inputs: tuple[str, ...] = (INPUT,)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    scale: float = 1.0
    base: float = math.e


@dataclass(frozen=True, eq=False)
class Graph:
    """The nodes of prologue, layers and epilogue; the last of a section is its output."""

    config: ModelConfig
    name: str
    prologue: tuple[Node, ...]
    layers: tuple[tuple[Node, ...], ...]
    epilogue: tuple[Node, ...]

    def sections(self) -> Iterator[tuple[int, tuple[Node, ...]]]:
        """(layer, nodes) in the order of execution; prologue and epilogue count as layer 0."""
        yield 0, self.prologue
        yield from enumerate(self.layers)
        yield 0, self.epilogue


def from_checkpoint(checkpoint: Checkpoint) -> Graph:
    """The graph of a checkpoint, as the reference computes it.

    Raises
    ------
    WeftError
        If the model has an option that no node expresses.
    """
    _check_expressible(checkpoint)
    c, w = checkpoint.config, checkpoint.tensors
    tables = {"tokens": w["wte"]} | ({"positions": w["wpe"]} if "wpe" in w else {})
    prologue = [Node("embed", "embed", weights=tables)]
    if c.norm_embedding:
        prologue.append(Node("norm", "norm_embedding", ("embed",)))
    layers = tuple(_layer(c, w, i) for i in range(c.n_layer))
    head = [Node("norm", "norm_head")] if c.norm_head else []
    source = "norm_head" if c.norm_head else INPUT
    epilogue = (*head, Node("linear", "logits", (source,), {"w": w["lm_head"]}))
    return Graph(c, checkpoint.name, tuple(prologue), layers, epilogue)


def _check_expressible(checkpoint: Checkpoint) -> None:
    c = checkpoint.config
    beyond = {
        "rotary positions": c.position == "rotary",
        "grouped-query attention": c.kv_heads != c.n_head,
        "a gated MLP": c.gated,
        "SiLU": c.activation == "silu",
        "gains in its norms": c.norm_gain,
        "a tied head": c.tied_head,
        "biases": bool(c.biases),
    }
    named = ", ".join(name for name, present in beyond.items() if present)
    if named:
        raise WeftError(
            f"the model {checkpoint.name} has {named}: only its import and its float model exist "
            "so far, no integer model and no gateware; choose a model without these"
        )


def _layer(c: ModelConfig, w, i: int) -> tuple[Node, ...]:
    def linear(name: str, source: str, tensor: str) -> Node:
        return Node("linear", name, (source,), {"w": w[f"layer{i}.{tensor}"]})

    return (
        Node("norm", "norm_attention"),
        linear("q", "norm_attention", "attn_wq"),
        linear("k", "norm_attention", "attn_wk"),
        linear("v", "norm_attention", "attn_wv"),
        Node("attention", "attention", ("q", "k", "v"), scale=1 / math.sqrt(c.d_head)),
        linear("project", "attention", "attn_wo"),
        Node("residual", "residual_attention", (INPUT, "project")),
        Node("norm", "norm_mlp", ("residual_attention",)),
        linear("fc1", "norm_mlp", "mlp_fc1"),
        Node("activation", "activation", ("fc1",)),
        linear("fc2", "activation", "mlp_fc2"),
        Node("residual", "residual_mlp", ("residual_attention", "fc2")),
    )


def fold_attention_scale(graph: Graph) -> Graph:
    """Move the scale of the scores and the step to base 2 into the weights of q.

    Afterwards ``2**(q . k)`` is what ``exp(q . k / sqrt(d_head))`` was before.
    """

    def fold(nodes: Sequence[Node]) -> tuple[Node, ...]:
        factor = {n.inputs[0]: n.scale * math.log2(n.base) for n in nodes if n.kind == "attention"}
        changed = []
        for n in nodes:
            if n.name in factor:
                n = replace(n, weights={"w": n.weights["w"] * factor[n.name]})
            elif n.kind == "attention":
                n = replace(n, scale=1.0, base=2.0)
            changed.append(n)
        return tuple(changed)

    return replace(graph, layers=tuple(fold(nodes) for nodes in graph.layers))


PASSES: tuple[Callable[[Graph], Graph], ...] = (fold_attention_scale,)
"""Passes before quantisation, in order; tests/test_graph.py holds each to the float function."""


def lower(checkpoint: Checkpoint) -> Graph:
    """The graph of a checkpoint after every pass."""
    graph = from_checkpoint(checkpoint)
    for apply in PASSES:
        graph = apply(graph)
    return graph


def run(graph: Graph, tokens: np.ndarray, record: Callable | None = None) -> np.ndarray:
    """Logits [..., T, n_vocab] after every token of whole sequences [..., T], in float64.

    ``record(layer, name, value)`` is called with every node's output.
    """
    tokens = np.asarray(tokens)
    x = np.asarray(tokens)
    for layer, nodes in graph.sections():
        values = {INPUT: x}
        for node in nodes:
            x = values[node.name] = _execute(graph.config, node, [values[n] for n in node.inputs])
            if record is not None:
                record(layer, node.name, x)
    return x


def _execute(c: ModelConfig, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    x = inputs[0]
    if node.kind == "embed":
        rows = node.weights["tokens"][x].astype(np.float64)
        return rows + node.weights["positions"][: x.shape[-1]] if c.position == "learned" else rows
    if node.kind == "norm":
        return norm(x, c.norm_eps)
    if node.kind == "linear":
        return x @ node.weights["w"].T.astype(np.float64)
    if node.kind == "activation":
        return ACTIVATION[c.activation](x)
    if node.kind == "residual":
        return x + inputs[1]
    return _attention(c, node, *inputs)


def _attention(c: ModelConfig, node: Node, q, k, v) -> np.ndarray:
    shape, length = q.shape, q.shape[-2]
    q, k, v = (x.reshape(*x.shape[:-1], c.n_head, c.d_head) for x in (q, k, v))
    age = np.arange(length)[:, None] - np.arange(length)
    hidden = (age < 0) | (age >= (c.window or length))
    scores = np.einsum("...qhd,...khd->...hqk", q, k) * node.scale
    scores = np.where(hidden, -np.inf, scores)
    weights = node.base ** (scores - scores.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return np.einsum("...hqk,...khd->...qhd", weights, v).reshape(shape)
