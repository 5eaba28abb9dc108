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
from golden.reference import ACTIVATION, norm, rotate

INPUT = "x"
"""Name of the value that a section takes in."""


@dataclass(frozen=True, eq=False)
class Node:
    """A float operation.

    Parameters
    ----------
    kind: embed, norm, linear, bias, rope, attention, activation, gate or residual.
    name: of the node and of its output; inputs: names of values.
    weights: float arrays by name.  base: in attention, the base of the softmax (e or 2);
    scale: in attention, the factor of its scores.  tensor: of the checkpoint, if weights are one.
    """

    kind: str
    name: str
    inputs: tuple[str, ...] = (INPUT,)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    scale: float = 1.0
    base: float = math.e
    tensor: str = ""


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
    prologue = [Node("embed", "embed", weights=tables, tensor="wte")]
    if c.norm_embedding:
        prologue.append(Node("norm", "norm_embedding", ("embed",)))
    layers = tuple(_layer(c, w, i) for i in range(c.n_layer))
    head = [_norm(w, "norm_head", "norm_head")] if c.norm_head else []
    source = "norm_head" if c.norm_head else INPUT
    tensor = "wte" if c.tied_head else "lm_head"
    epilogue = (*head, Node("linear", "logits", (source,), {"w": w[tensor]}, tensor=tensor))
    return Graph(c, checkpoint.name, tuple(prologue), layers, epilogue)


def _check_expressible(checkpoint: Checkpoint) -> None:
    c = checkpoint.config
    beyond = {
        f"a gated MLP with {c.activation}": c.gated and c.activation != "silu",
        "GELU beside rotary positions": c.activation == "gelu" and c.position == "rotary",
        "SiLU without a gate": c.activation == "silu" and not c.gated,
        "gains in the norm after its embedding": c.norm_gain and c.norm_embedding,
        "biases beside GELU": bool(c.biases) and c.activation == "gelu",
    }
    named = ", ".join(name for name, present in beyond.items() if present)
    if named:
        raise WeftError(
            f"the model {checkpoint.name} has {named}: only its import and its float model exist "
            "so far, no integer model and no gateware; choose a model without these"
        )


def _norm(w, name: str, tensor: str, source: str = INPUT) -> Node:
    """A norm, with its gains if it has any."""
    return Node("norm", name, (source,), {"gain": w[tensor]} if tensor in w else {})


class _Nodes(list):
    """The nodes of a layer, one after the other."""

    def __init__(self, weights, layer: int):
        super().__init__()
        self._weights, self._layer = weights, layer

    def add(self, kind: str, name: str, *inputs: str, **more) -> str:
        """Append a node; answers its name."""
        self.append(Node(kind, name, inputs, **more))
        return name

    def norm(self, name: str, source: str) -> str:
        """Append a norm; answers its name."""
        self.append(_norm(self._weights, name, f"layer{self._layer}.{name}", source))
        return name

    def linear(self, name: str, source: str, tensor: str) -> str:
        """Append a linear layer, and its bias if it has one; answers the name of the last."""
        tensor = f"layer{self._layer}.{tensor}"
        bias = f"{tensor}.bias"
        self.add("linear", name, source, weights={"w": self._weights[tensor]}, tensor=tensor)
        if bias not in self._weights:
            return name
        b = self._weights[bias]
        return self.add("bias", f"{name}_bias", name, weights={"b": b}, tensor=bias)


def _layer(c: ModelConfig, w, i: int) -> tuple[Node, ...]:
    nodes = _Nodes(w, i)
    x = nodes.norm("norm_attention", INPUT)
    q, k, v = (nodes.linear(name, x, f"attn_w{name}") for name in "qkv")
    if c.position == "rotary":
        q, k = nodes.add("rope", "rotate_q", q), nodes.add("rope", "rotate_k", k)
    x = nodes.add("attention", "attention", q, k, v, scale=1 / math.sqrt(c.d_head))
    x = nodes.linear("project", x, "attn_wo")
    stream = nodes.add("residual", "residual_attention", INPUT, x)
    x = nodes.norm("norm_mlp", stream)
    if c.gated:
        gate = nodes.linear("gate", x, "mlp_gate")
        x = nodes.add("gate", "gated", gate, nodes.linear("fc1", x, "mlp_fc1"))
    else:
        x = nodes.add("activation", "activation", nodes.linear("fc1", x, "mlp_fc1"))
    x = nodes.linear("fc2", x, "mlp_fc2")
    nodes.add("residual", "residual_mlp", stream, x)
    return tuple(nodes)


def fold_attention_scale(graph: Graph) -> Graph:
    """Move the scale of the scores and the step to base 2 into the weights of q.

    Afterwards ``2**(q . k)`` is what ``exp(q . k / sqrt(d_head))`` was before.
    """

    def fold(nodes: Sequence[Node]) -> tuple[Node, ...]:
        attention = next(n for n in nodes if n.kind == "attention")
        factor = attention.scale * math.log2(attention.base)
        scaled, changed = _up_to_linear(nodes, attention.inputs[0]), []
        for n in nodes:
            if n.name in scaled:
                n = replace(n, weights={key: a * factor for key, a in n.weights.items()})
            elif n is attention:
                n = replace(n, scale=1.0, base=2.0)
            changed.append(n)
        return tuple(changed)

    return replace(graph, layers=tuple(fold(nodes) for nodes in graph.layers))


def _up_to_linear(nodes: Sequence[Node], value: str) -> set[str]:
    """A value and those before it, up to its linear layer: a turn keeps lengths."""
    makers, found = {n.name: n for n in nodes}, {value}
    while makers[value].kind != "linear":
        value = makers[value].inputs[0]
        found.add(value)
    return found


def fold_gains(graph: Graph) -> Graph:
    """Move the gains of norms into the columns of the linear layers that read them."""

    def fold(nodes: Sequence[Node]) -> tuple[Node, ...]:
        gains = {n.name: n.weights["gain"] for n in nodes if n.kind == "norm" and n.weights}
        changed = []
        for n in nodes:
            if n.kind == "linear" and n.inputs[0] in gains:
                n = replace(n, weights={"w": n.weights["w"] * gains[n.inputs[0]]})
            changed.append(replace(n, weights={}) if n.name in gains else n)
        return tuple(changed)

    layers = tuple(fold(nodes) for nodes in graph.layers)
    return replace(graph, layers=layers, epilogue=fold(graph.epilogue))


def share_out_groups(graph: Graph) -> Graph:
    """Give every query head keys and values of its own: the rows of k and v as often as needed.

    What grouped-query attention saves in memory is lost: a cache holds n_head heads.
    """
    c = graph.config
    groups = c.n_head // c.kv_heads

    def repeated(rows: np.ndarray) -> np.ndarray:
        heads = rows.reshape(c.kv_heads, c.d_head, *rows.shape[1:])
        return np.repeat(heads, groups, axis=0).reshape(c.d_model, *rows.shape[1:])

    def share(node: Node) -> Node:
        if node.name not in ("k", "k_bias", "v", "v_bias"):
            return node
        return replace(node, weights={key: repeated(a) for key, a in node.weights.items()})

    return replace(graph, layers=tuple(tuple(map(share, nodes)) for nodes in graph.layers))


PASSES: tuple[Callable[[Graph], Graph], ...] = (fold_gains, share_out_groups, fold_attention_scale)
"""Passes before quantisation, in order; tests/test_graph.py holds each to the float function."""


def lower(checkpoint: Checkpoint) -> Graph:
    """The graph of a checkpoint after every pass."""
    graph = from_checkpoint(checkpoint)
    for apply in PASSES:
        graph = apply(graph)
    return graph


@dataclass
class Past:
    """What attention remembers of tokens that were run: how many, keys and values by layer."""

    length: int = 0
    kept: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def join(self, layer: int, *new: np.ndarray) -> tuple[np.ndarray, ...]:
        """Keys and values [..., T, size] behind those before them; both are kept."""
        if layer in self.kept:
            pairs = zip(self.kept[layer], new, strict=True)
            new = tuple(np.concatenate(pair, axis=-2) for pair in pairs)
        self.kept[layer] = new
        return new


def run(
    graph: Graph,
    tokens: np.ndarray,
    record: Callable | None = None,
    past: Past | None = None,
    dtype: type = np.float64,
) -> np.ndarray:
    """Logits [..., T, n_vocab] after every token of sequences [..., T].

    ``record(layer, name, value)`` is called with every node's output.  ``past``: of the tokens
    before these; without it sequences are whole.
    """
    past = past or Past()
    positions = np.arange(past.length, past.length + np.shape(tokens)[-1])
    x = np.asarray(tokens)
    for layer, nodes in graph.sections():
        values = {INPUT: x}
        for node in nodes:
            inputs = [values[name] for name in node.inputs]
            if node.kind == "attention":
                inputs[1:] = past.join(layer, *inputs[1:])
            x = _execute(graph.config, node, inputs, positions)
            x = values[node.name] = x.astype(dtype, copy=False)
            if record is not None:
                record(layer, node.name, x)
    past.length += len(positions)
    return x


def _execute(
    c: ModelConfig, node: Node, inputs: list[np.ndarray], positions: np.ndarray
) -> np.ndarray:
    x = inputs[0]
    if node.kind == "embed":
        rows = node.weights["tokens"][x].astype(np.float64)
        return rows + node.weights["positions"][positions] if c.position == "learned" else rows
    if node.kind == "norm":
        return norm(x, c.norm_eps) * node.weights.get("gain", 1.0)
    if node.kind == "rope":
        heads = x.reshape(*x.shape[:-1], -1, c.d_head)
        return rotate(heads, positions[:, None], c.rope_theta).reshape(x.shape)
    if node.kind == "gate":
        return ACTIVATION[c.activation](x) * inputs[1]
    if node.kind == "linear":
        return x @ node.weights["w"].T.astype(x.dtype, copy=False)
    if node.kind == "bias":
        return x + node.weights["b"].astype(x.dtype, copy=False)
    if node.kind == "activation":
        return ACTIVATION[c.activation](x)
    if node.kind == "residual":
        return x + inputs[1]
    return _attention(c, node, positions, *inputs)


def _attention(c: ModelConfig, node: Node, positions: np.ndarray, q, k, v) -> np.ndarray:
    shape, length = q.shape, k.shape[-2]
    q, k, v = (x.reshape(*x.shape[:-1], -1, c.d_head) for x in (q, k, v))
    groups = c.n_head // k.shape[-2]
    k, v = (np.repeat(x, groups, axis=-2) for x in (k, v))
    age = positions[:, None] - np.arange(length)
    hidden = (age < 0) | (age >= (c.window or length))
    scores = np.einsum("...qhd,...khd->...hqk", q, k) * node.scale
    scores = np.where(hidden, -np.inf, scores)
    weights = node.base ** (scores - scores.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return np.einsum("...hqk,...khd->...qhd", weights, v).reshape(shape)
