"""An ONNX graph as a web of values: who makes them, who takes them, which are constant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from golden import pip
from golden.errors import WeftError

MOST_BYTES = (1 << 31) - 1
"""The format of such files, protobuf, ends here."""

LEAST_INPUTS = {
    "Add": 2,
    "Cast": 1,
    "DequantizeLinear": 2,
    "Dropout": 1,
    "DynamicQuantizeLinear": 1,
    "Gather": 2,
    "MatMul": 2,
    "MatMulInteger": 2,
    "Mul": 2,
    "Reshape": 1,
    "Transpose": 1,
    "Where": 1,
}
"""Of the kinds of node that are looked at."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """A constant matrix that a node uses.

    Members
    -------
    name : str
        Of the constant.
    transposed : bool
        Whether it is used the other way round.
    scale, zero_point : str or None
        Constants that belong to its codes, where a DequantizeLinear is on the way.
    """

    name: str
    transposed: bool = False
    scale: str | None = None
    zero_point: str | None = None


class Web:
    """The graph of a file; nodes are those of the ``onnx`` package.

    Raises
    ------
    WeftError
        If the file is no ONNX, keeps its weights elsewhere, or is too long for the format.
    OSError
        If it cannot be read.
    """

    def __init__(self, path: Path):
        pip.ensure("onnx")
        import onnx  # only such files need it

        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise WeftError(f"it has {path.stat().st_size:,} bytes; expected less than 2 GiB")
        content = path.read_bytes()
        try:
            graph = onnx.load_model_from_string(content).graph
        except Exception as error:  # protobuf's own, which has no public base
            raise WeftError(f"it is damaged or no ONNX file ({error})") from None
        if not graph.node:
            raise WeftError("it is damaged or no ONNX file (there is no node in it)")
        self._to_array = onnx.numpy_helper.to_array
        self.nodes = list(graph.node)
        self.inputs = {value.name for value in graph.input}
        self.outputs = {value.name for value in graph.output}
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant":
                values = [a.t for a in node.attribute if a.name == "value"]
                self._stored |= dict.fromkeys(node.output, *values) if values else {}
        outside = onnx.TensorProto.EXTERNAL
        for name, tensor in self._stored.items():
            if tensor.data_location == outside:
                raise WeftError(f"tensor {name} is kept in another file; expected all in one")
        self._check_order()

    def _check_order(self) -> None:
        """Check that every node has its inputs, and takes nothing before it is made: no cycles."""
        known = {"", *self.inputs, *self._stored}
        for node in self.nodes:
            if len(node.input) < LEAST_INPUTS.get(node.op_type, 0) or not node.output:
                raise WeftError(f"it is damaged: node {node.name} lacks inputs or outputs")
            early = [value for value in node.input if value not in known]
            if early:
                raise WeftError(f"it is damaged: node {node.name} takes {early[0]} too early")
            known.update(node.output)

    @cached_property
    def makers(self) -> dict:
        """The node that makes a value."""
        return {value: node for node in self.nodes for value in node.output}

    @cached_property
    def takers(self) -> dict:
        """(node, which input) for all that take a value."""
        found = defaultdict(list)
        for node in self.nodes:
            for place, value in enumerate(node.input):
                found[value].append((node, place))
        return found

    def is_constant(self, value: str) -> bool:
        """Whether a value is stored in the file."""
        return value in self._stored

    def shape(self, value: str) -> tuple[int, ...]:
        """Shape of a constant, as its header says."""
        return tuple(self._stored[value].dims)

    def array(self, value: str) -> np.ndarray:
        """A constant; a WeftError if its bytes do not fit its shape."""
        try:
            return self._to_array(self._stored[value])
        except (ValueError, TypeError, KeyError) as error:
            raise WeftError(f"tensor {value} is damaged ({error})") from None

    def matrix(self, value: str) -> Matrix | None:
        """The constant matrix that a value is, through transposition and dequantisation."""
        transposed, scale, zero_point = False, None, None
        while not self.is_constant(value):
            node = self.makers.get(value)
            if node is None or node.op_type not in ("Transpose", "DequantizeLinear"):
                return None
            if node.op_type == "DequantizeLinear":
                _, scale, zero_point = (*node.input, "")[:3]
            else:
                kept = any(a.name == "perm" and list(a.ints) == [0, 1] for a in node.attribute)
                transposed ^= not kept
            value = node.input[0]
        if len(self.shape(value)) != 2:
            return None
        return Matrix(value, transposed, scale, zero_point or None)

    def back(self, value: str, through: tuple[str, ...]):
        """The node from which a value comes, looking through nodes of some kinds."""
        node = self.makers.get(value)
        while node is not None and node.op_type in through:
            node = self.makers.get(node.input[0])
        return node

    def ahead(self, value: str, ends) -> Iterator:
        """All (node, which input) that ``ends`` accepts and that a value reaches first."""
        waiting, seen = [value], {value}
        while waiting:
            for node, place in self.takers[waiting.pop()]:
                if ends(node):
                    yield node, place
                    continue
                fresh = [each for each in node.output if each not in seen]
                seen.update(fresh)
                waiting += fresh
