"""Integer weights, and a format for every value, with one power of two a matrix.

Two kinds of number: ``fixed`` gives every value a static format from calibration; ``block`` gives
vectors between stages an exponent of their own, and keeps the residual stream in 32 static bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from golden import calibrate, tables
from golden.errors import OptionError, WeftError
from golden.graph import INPUT, Graph, Node
from golden.model import ModelConfig
from golden.numbers import MANTISSA_BITS, Block, Fixed, Format, fitting_fraction, quantise
from golden.plan import Plan, Section
from golden.stage import (
    BIASED_BITS,
    PHASE_BITS,
    Activation,
    Attention,
    Bias,
    Convert,
    Embed,
    Exponent,
    Gate,
    Linear,
    Norm,
    Residual,
    Rope,
    Sample,
    Stage,
)
from golden.stages.sample import LOGIT_FRACTION

NUMBERS = ("fixed", "block")
SCALES = ("matrix", "row", "group")
CACHE_BITS = (8, 16)
WEIGHT_BITS = 8
STREAM_BITS = {"fixed": MANTISSA_BITS, "block": BIASED_BITS}
"""Width of the residual stream for each kind of number."""

BRANCHES = ("project", "fc2")
"""Linear layers whose answers, biased or not, are added to the residual stream."""

MORE_HEADROOM = 3
"""Bits that 32-bit formats have above what calibration asks for: they have enough below."""


@dataclass(frozen=True)
class Options:
    """How to quantise.

    Parameters
    ----------
    numbers: the kind of number (None: as the model needs).
    weight_bits: width of weights with one scale a matrix.
    scales: which weights share a scale (None: as the model needs).
    cache_bits: width of cached keys and values; 8 with scales of rows or groups only.
    """

    numbers: str | None = None
    weight_bits: int = WEIGHT_BITS
    scales: str | None = None
    cache_bits: int = MANTISSA_BITS

    def __post_init__(self):
        if self.scales not in (None, *SCALES):
            known = ", ".join(SCALES)
            raise OptionError("scales", f"is {self.scales!r}; expected one of {known}")
        if self.cache_bits not in CACHE_BITS:
            raise OptionError("cache_bits", f"is {self.cache_bits!r}; expected 8 or 16")
        if self.numbers not in (None, *NUMBERS):
            known = ", ".join(NUMBERS)
            raise OptionError("numbers", f"is {self.numbers!r}; expected one of {known}")
        if not isinstance(self.weight_bits, int) or not 2 <= self.weight_bits <= MANTISSA_BITS:
            expected = f"2 to {MANTISSA_BITS}"
            raise OptionError("weight_bits", f"is {self.weight_bits!r}; expected {expected}")


class Quantizer:
    """The plan of a lowered graph."""

    def __init__(self, graph: Graph, options: Options):
        self.graph, self.options = graph, options
        self.peaks = calibrate.peaks(graph)
        self.block = options.numbers == "block"
        self._biased = {n.inputs[0] for n in graph.layers[0] if n.kind == "bias"}
        self.stream = Fixed(STREAM_BITS[options.numbers], self._stream_fraction())

    def plan(self) -> Plan:
        c = self.graph.config
        return Plan(
            name=self.graph.name,
            prologue=self._prologue(),
            layers=tuple(self._section(i, nodes) for i, nodes in enumerate(self.graph.layers)),
            epilogue=self._epilogue(),
            n_vocab=c.n_vocab,
            n_ctx=c.n_ctx,
        )

    def _stream_fraction(self) -> int:
        """One fraction for the residual stream of all layers, exact to reach from its branches."""
        start = self.graph.prologue[-1].name
        biased = [f"{name}_bias" for name in BRANCHES]
        names = (start, *BRANCHES, *biased, "residual_attention", "residual_mlp")
        peak = max(value for (_, name), value in self.peaks.items() if name in names)
        fraction = fitting_fraction(peak, STREAM_BITS[self.options.numbers])
        if self.block:
            return fraction
        normed = norm_format(self.graph.config.d_model)
        limits = [normed.fraction]
        for layer, nodes in enumerate(self.graph.layers):
            by_name = {n.name: n for n in nodes}
            for branch, source in (("project", "v"), ("fc2", "fc1")):
                # Attention and activation keep the format of the linear layer before them.
                form = self._answer(layer, by_name[source], normed)
                limits.append(form.fraction + self._weight(by_name[branch]).fraction)
        return min(fraction, *limits)

    def _fixed(self, layer: int, name: str) -> Fixed:
        """The static format of a value, from its calibrated peak."""
        fraction = fitting_fraction(self.peaks[layer, name], MANTISSA_BITS)
        if name == "logits":
            fraction = min(fraction, LOGIT_FRACTION)
        if self.graph.config.activation == "gelu" and name in ("fc1", "activation"):
            fraction = min(fraction, tables.GELU_FRACTION)
        return Fixed(MANTISSA_BITS, fraction)

    def _weight(self, node: Node) -> Fixed:
        peak = float(np.abs(node.weights["w"]).max())
        return Fixed(self.options.weight_bits, fitting_fraction(peak, self.options.weight_bits))

    def _format(self, layer: int, node: Node, source: Format) -> Format:
        """The format in which a linear layer answers."""
        if self.block:
            return Block(MANTISSA_BITS) if node.name in self._biased else self._block(node.name)
        if node.name in BRANCHES:
            return self.stream
        return self._answer(layer, node, source)

    def _block(self, name: str) -> Block:
        """The block in which the readers of a linear layer get its answer, its bias included."""
        return Block(MANTISSA_BITS)

    def _answer(self, layer: int, node: Node, source: Fixed) -> Fixed:
        """The static format of a linear layer's answer: no finer than its exact products."""
        chosen = self._fixed(layer, node.name)
        exact = source.fraction + self._weight(node).fraction
        return Fixed(chosen.width, min(chosen.fraction, exact))

    def _check_scores(self, layer: int, query: Format, key: Format) -> None:
        """Static scores are shifted right to their format: q and k must bring enough bits."""
        if self.block or query.fraction + key.fraction >= tables.SCORE_FRACTION:
            return
        q, k = (self.peaks[layer, name] / calibrate.HEADROOM for name in "qk")
        raise WeftError(
            f"layer{layer}.attn_wq and attn_wk: queries reach {q:.3g} and keys {k:.3g}, so large "
            "that attention only ever picks one position; expected the weights of a trained model"
        )

    def _prologue(self) -> Section:
        node = self.graph.prologue[0]
        positions = node.weights.get("positions")
        tokens = node.weights["tokens"]
        peak = np.abs(tokens).max() + (0 if positions is None else np.abs(positions).max())
        form = Fixed(MANTISSA_BITS, fitting_fraction(float(peak), MANTISSA_BITS))
        if not self.graph.config.norm_embedding and not self.block:
            form = self.stream
        embed = Embed(
            "embed",
            ("token",),
            "embed",
            quantise(tokens, form),
            None if positions is None else quantise(positions, form),
            form,
        )
        stages: list[Stage] = [embed]
        value, form = self._normed(stages, self.graph.prologue[1:], "embed", form)
        if self.block:
            size = self.graph.config.d_model
            stages.append(Convert("stream", (value,), "stream", size, form, self.stream))
            value = "stream"
        return Section(tuple(stages), "token", value)

    def _normed(self, stages, nodes, value: str, form: Format) -> tuple[str, Format]:
        """The norm after the embedding, if any, answering in the stream's format (or a block)."""
        for _ in nodes:
            if self.block:
                size = self.graph.config.d_model
                value, form = self._convert(stages, value, form, "block_embedding", size)
            target = Block(MANTISSA_BITS) if self.block else self.stream
            stages.append(self._norm("norm_embedding", value, form, target))
            value, form = "norm_embedding", target
        return value, form

    def _convert(
        self, stages, value: str, form: Format, name: str, size: int, to: Block = Block()
    ) -> tuple[str, Format]:
        stages.append(Convert(name, (value,), name, size, form, to))
        return name, to

    def _norm(self, name: str, value: str, source: Format, form: Format | None = None) -> Norm:
        n = self.graph.config.d_model
        mantissa, exponent = math.frexp(n * self.graph.config.norm_eps)
        epsilon = round(math.ldexp(mantissa, MANTISSA_BITS - 1))
        chosen = form or (Block(MANTISSA_BITS) if self.block else norm_format(n))
        scale = Exponent(exponent - (MANTISSA_BITS - 1))
        return Norm(name, (value,), name, n, Exponent(epsilon), scale, source, chosen)

    def _section(self, layer: int, nodes: tuple[Node, ...]) -> Section:
        """The stages of a layer; ``formats`` follows every value, ``blocks`` those made blocks."""
        stages: list[Stage] = []
        formats: dict[str, Format] = {INPUT: self.stream}
        blocks: dict[str, str] = {}
        for node in nodes:
            inputs = tuple(blocks.get(name, name) for name in node.inputs)
            if self.block and node.kind in ("norm", "linear") and formats[inputs[0]] == self.stream:
                name = f"block_{node.name.removeprefix('norm_')}"
                size = self.graph.config.d_model
                converted, formats[name] = self._convert(stages, inputs[0], self.stream, name, size)
                inputs = (converted,)
            stage = self._stage(layer, node, inputs, [formats[name] for name in inputs])
            stages.append(stage)
            formats[node.name] = stage.format
            if node.kind == "bias" and node.inputs[0] not in BRANCHES:
                name, size = f"block_{node.inputs[0]}", stage.output_size
                blocks[node.name], formats[name] = self._convert(
                    stages, node.name, stage.format, name, size, self._block(node.inputs[0])
                )
        return Section(tuple(stages), INPUT, nodes[-1].name)

    def _stage(self, layer: int, node: Node, inputs, sources: list[Format]) -> Stage:
        c, name = self.graph.config, node.name
        if node.kind == "norm":
            return self._norm(name, inputs[0], sources[0])
        if node.kind == "linear":
            return self._linear(layer, node, inputs, sources[0])
        if node.kind == "bias":
            return self._bias(layer, node, inputs, sources[0])
        if node.kind == "attention":
            self._check_scores(layer, *sources[:2])
            slots = c.window or c.n_ctx
            form = Block(MANTISSA_BITS) if self.block else sources[2]
            return Attention(name, inputs, name, c.n_head, c.d_head, slots, *sources, form)
        if node.kind == "rope":
            return Rope(name, inputs, name, c.n_head, c.d_head, turns(c), *sources, Block())
        if node.kind == "gate":
            return Gate(name, inputs, name, c.d_ff, *sources, Block())
        if node.kind == "activation":
            if self.block and c.activation == "gelu":
                problem = "is 'block', but GELU needs static formats; expected 'fixed'"
                raise OptionError("numbers", problem)
            return Activation(name, inputs, name, c.activation, c.d_ff, sources[0])
        return Residual(name, inputs, name, c.d_model, sources[1], self.stream)

    def _linear(self, layer: int, node: Node, inputs, source: Format) -> Linear:
        weight = self._weight(node)
        return Linear(
            node.name,
            inputs,
            node.name,
            quantise(node.weights["w"], weight),
            weight.width,
            Exponent(weight.exponent),
            source,
            self._format(layer, node, source),
        )

    def _bias(self, layer: int, node: Node, inputs, source: Format) -> Bias:
        """In the stream's format where the stream is next, else in one that holds both sides."""
        (linear,), form = node.inputs, self.stream
        if linear not in BRANCHES:
            peak = max(self.peaks[layer, linear], self.peaks[layer, node.name])
            form = Fixed(BIASED_BITS, fitting_fraction(peak, BIASED_BITS) - MORE_HEADROOM)
        bias = quantise(node.weights["b"], form)
        return Bias(node.name, inputs, node.name, bias, source, form)

    def _epilogue(self) -> Section:
        section = self._section(0, self.graph.epilogue)
        stages, value, form = list(section.stages), section.output, section.stages[-1].format
        if self.block:
            vocab, fixed = self.graph.config.n_vocab, self._fixed(0, "logits")
            stages.append(Convert("fixed_logits", (value,), "fixed_logits", vocab, form, fixed))
            value, form = "fixed_logits", fixed
        stages.append(Sample("sample", (value,), "next", self.graph.config.n_vocab, form))
        return Section(tuple(stages), INPUT, "next")


def turns(config: ModelConfig) -> np.ndarray:
    """The turn of every pair of a head a position [d_head / 2], in units of 2**-PHASE_BITS."""
    slopes = config.rope_theta ** (-np.arange(0, config.d_head, 2) / config.d_head)
    return np.rint(slopes / (2 * math.pi) * 2**PHASE_BITS).astype(np.int64)


def norm_format(n: int) -> Fixed:
    """The static format of a norm's answer: its elements cannot exceed sqrt(n)."""
    return Fixed(MANTISSA_BITS, MANTISSA_BITS - 1 - tables.norm_exponent(n))
