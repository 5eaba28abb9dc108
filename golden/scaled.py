"""The plan of a graph as it is: scales a row or a group, gains in the norms, shared heads of keys.

What the passes of golden.graph fold into weights stays apart here, so that groups of a file keep
their codes and a tied head its one matrix.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from golden.blocks import Blocks, Rows
from golden.errors import OptionError
from golden.formats import Scaled, by_row, check_sums, groups_of
from golden.graph import Graph, Node
from golden.model import ModelConfig
from golden.numbers import MANTISSA_BITS, Block, Fixed, fitting_fraction, quantise
from golden.plan import Section
from golden.quantizer import MORE_HEADROOM, Options, Quantizer
from golden.stage import Attention, Embed, Exponent, Linear, Norm, Rope, Sample, Stage

LLAMA = (
    "the llama family (rotary positions, a gated MLP, a norm before the head and none after the "
    "embedding)"
)


def is_llama(config: ModelConfig) -> bool:
    """Whether a model is of the family that has scales of rows or groups."""
    return (
        config.position == "rotary"
        and config.gated
        and config.norm_head
        and not config.norm_embedding
    )


class ScaledQuantizer(Quantizer):
    """A quantiser with ``options.scales`` a row or a group; the head has one a row in any case."""

    def __init__(self, graph: Graph, options: Options, blocks: Mapping[str, Blocks | Rows]):
        if not is_llama(graph.config):
            raise OptionError(
                "scales",
                f"is {options.scales!r}, which is for models of {LLAMA}, and {graph.name} is none; "
                "expected 'matrix'",
            )
        self._blocks, self._kept = blocks, {}
        super().__init__(graph, options)

    def _stream_fraction(self) -> int:
        return super()._stream_fraction() - MORE_HEADROOM

    def _block(self, name: str) -> Block:
        """Values are cached as they are."""
        return Block(self.options.cache_bits if name == "v" else MANTISSA_BITS)

    def _scaled(self, node: Node, weights: np.ndarray, scales: str) -> Scaled:
        """The matrix of a node; one that two nodes share is the same object."""
        if node.tensor not in self._kept:
            matrix = by_row(weights)
            if scales == "group":
                matrix = groups_of(node.tensor, weights, self._blocks.get(node.tensor))
            check_sums(node.tensor, matrix)
            self._kept[node.tensor] = matrix
        return self._kept[node.tensor]

    def _prologue(self) -> Section:
        node = self.graph.prologue[0]
        matrix = self._scaled(node, node.weights["tokens"], "row")
        embed = Embed(
            "embed", ("token",), "embed", matrix.codes, None, self.stream, matrix.scales,
            matrix.exponent,
        )  # fmt: skip
        return Section((embed,), "token", "embed")

    def _linear(self, layer: int, node: Node, inputs, source) -> Linear:
        head = node.name == "logits"
        matrix = self._scaled(node, node.weights["w"], "row" if head else self.options.scales)
        return Linear(
            node.name, inputs, node.name, matrix.codes, matrix.bits, matrix.exponent, source,
            self._fixed(0, "logits") if head else self._format(layer, node, source),
            matrix.scales, matrix.minima,
        )  # fmt: skip

    def _stage(self, layer: int, node: Node, inputs, sources) -> Stage:
        c, name = self.graph.config, node.name
        if node.kind == "norm":
            return self._gained(super()._stage(layer, node, inputs, sources), node)
        if node.kind == "attention":
            slots = c.window or c.n_ctx
            return Attention(
                name, inputs, name, c.n_head, c.d_head, slots, *sources, Block(),
                c.kv_heads, True,
            )  # fmt: skip
        stage = super()._stage(layer, node, inputs, sources)
        if isinstance(stage, Rope) and name == "rotate_k":
            return Rope(
                name, inputs, name, c.kv_heads, c.d_head, stage.turns, *sources,
                Block(self.options.cache_bits),
            )  # fmt: skip
        return stage

    def _gained(self, stage: Norm, node: Node) -> Norm:
        gain = node.weights.get("gain", np.ones(stage.size))
        form = Fixed(MANTISSA_BITS, fitting_fraction(float(np.abs(gain).max()), MANTISSA_BITS))
        return Norm(
            stage.name, stage.inputs, stage.output, stage.size, stage.epsilon,
            stage.epsilon_exponent, stage.source, stage.format, quantise(gain, form),
            Exponent(form.exponent),
        )  # fmt: skip

    def _epilogue(self) -> Section:
        section = self._section(0, self.graph.epilogue)
        head = section.stages[-1]
        sample = Sample("sample", (head.name,), "next", self.graph.config.n_vocab, head.format)
        return Section((*section.stages, sample), section.input, "next")
