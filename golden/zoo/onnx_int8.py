"""Models of the llama family out of quantised ONNX files, with ``config.json`` beside them.

The exporter forgets the names of weights (``onnx::MatMul_123``), so what a matrix is for is read
off the graph: where its product comes from and where it goes.  Weights are ``[inputs, outputs]``
there, 8-bit codes with a scale and a zero point for the whole or for each output, as
``onnxruntime.quantization.quantize_dynamic`` makes them; what is not quantised is float32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from golden.blocks import Rows
from golden.config import ModelConfig
from golden.errors import WeftError
from golden.model import Checkpoint, check_names
from golden.zoo import huggingface
from golden.zoo.floats import frozen
from golden.zoo.onnx_graph import Matrix, Web

PRODUCTS = ("MatMul", "MatMulInteger")
PASSED = ("Cast", "Reshape", "Transpose", "DynamicQuantizeLinear")


@dataclass(frozen=True, eq=False)
class Linear:
    """A product with a constant matrix: what goes in, what comes out (bias included), the bias."""

    matrix: Matrix
    source: str
    result: str
    bias: str | None


def load(path: Path, name: str | None = None) -> Checkpoint:
    """Read a model; ``config.json`` and ``tokenizer.json`` lie beside it or in the folder above.

    Raises
    ------
    WeftError
        If a file is missing, damaged or no model of the family, naming it and the tensor.
    """
    path = Path(path)
    try:
        web = Web(path)
        folder = next((f for f in path.parents[:2] if (f / huggingface.CONFIG).is_file()), None)
        if folder is None:
            raise WeftError(f"{huggingface.CONFIG} is neither beside it nor in the folder above")
        options = huggingface.read_json(folder / huggingface.CONFIG)
        found = _Roles(web).tensors()
        config = huggingface.model_config(options, set(map(huggingface.file_name, found)))
        if "lm_head" in found:  # the graph tells whether the head is tied
            tied = found["lm_head"].name == found["wte"].name
            config = replace(config, tied_head=tied)
            found = {n: used for n, used in found.items() if not (tied and n == "lm_head")}
        check_names(found, config.shapes)
        read = {tensor: _read(web, config, tensor, found[tensor]) for tensor in config.shapes}
        vocabulary, tokenizer = huggingface.read_tokenizer(
            folder / huggingface.TOKENIZER, options, config.n_vocab
        )
        return Checkpoint(
            config,
            {tensor: values for tensor, (values, _) in read.items()},
            vocabulary,
            name or path.stem,
            blocks={tensor: rows for tensor, (_, rows) in read.items() if rows is not None},
            tokenizer=tokenizer,
        )
    except OSError as error:
        raise WeftError(
            f"cannot read the checkpoint {path}: {error.strerror or error}; expected an ONNX file"
        ) from None
    except WeftError as error:
        raise WeftError(f"the checkpoint {path} cannot be used: {error}") from None


class _Roles:
    """Finds out what the constants of a graph are for."""

    def __init__(self, web: Web):
        self.web = web
        self.linears = [linear for linear in map(self._linear, web.nodes) if linear]

    def tensors(self) -> dict[str, Matrix]:
        """Every tensor by our name; layers are counted in the order of the graph."""
        found = {"wte": self._embedding()}
        counts: dict[str, int] = {}
        for linear in self.linears:
            role = self._role(linear)
            layer = counts[role] = counts.get(role, -1) + 1
            at = "" if role == "lm_head" else f"layer{layer}."
            if at + role in found:
                raise WeftError(f"tensor {linear.matrix.name} would be a second {role}")
            found[at + role] = linear.matrix
            if linear.bias is not None:
                found[f"{at}{role}.bias"] = Matrix(linear.bias)
            norm = {"attn_wq": "norm_attention", "mlp_gate": "norm_mlp", "lm_head": "norm_head"}
            if role in norm:
                found[at + norm[role]] = self._gains(linear)
        return found

    def _linear(self, node) -> Linear | None:
        """The linear layer that a product with a constant is; None for any other node."""
        if node.op_type not in PRODUCTS or (matrix := self.web.matrix(node.input[1])) is None:
            return None
        source, result = node.input[0], node.output[0]
        if node.op_type == "MatMulInteger":
            quantised = self.web.makers.get(source)
            if quantised is None or quantised.op_type != "DynamicQuantizeLinear":
                raise WeftError(f"node {node.name} has an input of unknown quantisation")
            source = quantised.input[0]
            result, scale = self._scaled(node)
            matrix = Matrix(matrix.name, matrix.transposed, scale, (*node.input, "", "")[3] or None)
        for taker, place in self.web.takers[result]:
            other = taker.input[1 - place] if taker.op_type == "Add" else ""
            if self.web.is_constant(other) and len(self.web.shape(other)) == 1:
                return Linear(matrix, source, taker.output[0], other)
        return Linear(matrix, source, result, None)

    def _scaled(self, node) -> tuple[str, str]:
        """Where an integer product has become a float, and the scale of its matrix."""
        for taker, place in self.web.ahead(node.output[0], lambda n: n.op_type == "Mul"):
            scales = self.web.makers.get(taker.input[1 - place])
            for name in scales.input if scales is not None and scales.op_type == "Mul" else ():
                if self.web.is_constant(name):
                    return taker.output[0], name
        raise WeftError(f"node {node.name} has a product whose scale is not found")

    def _role(self, linear: Linear) -> str:
        """What a linear layer is for, by what takes its result."""
        takers = self.web.takers[linear.result]
        kinds = {node.op_type for node, _ in takers}
        if linear.result in self.web.outputs or not takers:
            return "lm_head"
        if "Sigmoid" in kinds:
            return "mlp_gate"
        if kinds == {"Mul"}:
            return "mlp_fc1"
        if kinds == {"Add"}:
            before = self.web.back(linear.source, PASSED)
            return "attn_wo" if before is not None and before.op_type in PRODUCTS else "mlp_fc2"
        for node, place in self.web.ahead(linear.result, lambda n: n.op_type in PRODUCTS):
            if self._mixes(node):
                return "attn_wv"
            if place < 2:  # a third input is the zero point of one of them
                return ("attn_wq", "attn_wk")[place]
        raise WeftError(f"the use of tensor {linear.matrix.name} is not found in the graph")

    def _mixes(self, node) -> bool:
        """Whether a product mixes values by the weights of a softmax."""
        before = self.web.back(node.input[0], ("Cast", "Where", "Dropout"))
        return before is not None and before.op_type == "Softmax"

    def _gains(self, linear: Linear) -> Matrix:
        """The gains of the norm before a linear layer."""
        node = self.web.back(linear.source, ("Cast",))
        for name in node.input if node is not None and node.op_type == "Mul" else ():
            if self.web.is_constant(name):
                return Matrix(name)
        raise WeftError(f"the norm before tensor {linear.matrix.name} has no gains")

    def _embedding(self) -> Matrix:
        """The matrix whose rows the first Gather takes."""
        for node in self.web.nodes:
            matrix = self.web.matrix(node.input[0]) if node.op_type == "Gather" else None
            if matrix is None or node.input[1] not in self.web.inputs:
                continue
            for taker, _ in self.web.takers[node.output[0]]:
                if taker.op_type == "DequantizeLinear":
                    _, scale, zero_point = (*taker.input, "")[:3]
                    return Matrix(matrix.name, False, scale, zero_point or None)
            return matrix
        raise WeftError("no Gather takes rows of a constant by an input: the embedding is missing")


def _read(web: Web, config: ModelConfig, name: str, used: Matrix) -> tuple[np.ndarray, Rows | None]:
    """A tensor as [outputs, inputs] with rows in our order, and its codes if it is quantised."""
    shape = config.shapes[name]
    turned = len(shape) == 2 and name != "wte" and not used.transposed
    there = web.shape(used.name)
    if there != (shape[::-1] if turned else shape):
        raise WeftError(f"tensor {used.name} ({name}) has shape {there}; expected {shape}")
    values = web.array(used.name)
    order = huggingface.row_order(config, name, shape[0])
    values = np.ascontiguousarray((values.T if turned else values)[order])
    if values.dtype in (np.int8, np.uint8) and used.scale is not None:
        scales, zeros = (_per_row(web, n, shape[0])[order] for n in (used.scale, used.zero_point))
        rows = Rows(values, scales.astype(np.float32), zeros.astype(values.dtype))
        return frozen(rows.dequantise()), rows
    if values.dtype not in (np.float32, np.float16):
        raise WeftError(f"tensor {used.name} ({name}) has type {values.dtype}; expected float32")
    return frozen(values.astype(np.float32)), None


def _per_row(web: Web, name: str | None, rows: int) -> np.ndarray:
    """A scale or zero point for every row; one that is absent is zero."""
    if name is None:
        return np.zeros(rows, np.int8)
    values = web.array(name).ravel() if web.is_constant(name) else np.empty(0)
    if values.size not in (1, rows):
        raise WeftError(
            f"tensor {name} has {values.size} elements; expected one, or one for each of the "
            f"{rows} outputs"
        )
    return np.broadcast_to(values, rows)
