"""ONNX files of small models, as PyTorch exports them, and quantised by onnxruntime."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, load, numpy_helper, save
from onnxruntime import InferenceSession
from onnxruntime.quantization import QuantType, quantize_dynamic

from golden.model import Checkpoint
from tests.llama import halves

INT64 = np.int64


class Export:
    """Builds the graph of a model for sequences of ``length`` tokens; weights lose their names."""

    def __init__(self, checkpoint: Checkpoint, length: int):
        self.c, self.w, self.length = checkpoint.config, checkpoint.tensors, length
        self.nodes, self.constants, self.serial = [], {}, 1000
        self.names = {"wte": "model.embed_tokens.weight"}
        """What the matrices of linear layers are called in the file."""

    def model(self):
        """The ONNX model: ``input_ids`` [1, T] to ``logits`` [1, T, n_vocab]."""
        x = self("Gather", self.constant(self.w["wte"], "model.embed_tokens.weight"), "input_ids")
        for i in range(self.c.n_layer):
            x = self.layer(f"layer{i}.", x)
        x = self.norm("norm_head", x)
        if self.c.tied_head:
            head = self("Transpose", "model.embed_tokens.weight", perm=[1, 0])
            self("MatMul", x, head, output="logits")
        else:
            self.names["lm_head"] = self.constant(self.w["lm_head"].T)
            self("MatMul", x, self.names["lm_head"], output="logits")
        shapes = {"input_ids": [1, self.length], "logits": [1, self.length, self.c.n_vocab]}
        graph = helper.make_graph(
            self.nodes,
            "main_graph",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, shapes["input_ids"])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shapes["logits"])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", 14)],
            ir_version=8,
            producer_name="pytorch",
        )

    def __call__(self, kind, *inputs, output=None, **attributes):
        self.serial += 1
        output = output or f"/{kind}_{self.serial}_output_0"
        self.nodes.append(
            helper.make_node(kind, list(inputs), [output], f"/{kind}_{self.serial}", **attributes)
        )
        return output

    def constant(self, value, name=None):
        self.serial += 1
        name = name or f"onnx::MatMul_{self.serial}"
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def norm(self, name, x):
        mean = self("ReduceMean", self("Mul", x, x), axes=[-1])
        eps = self.constant(np.float32(self.c.norm_eps))
        root = self("Sqrt", self("Add", mean, eps))
        return self("Mul", self.constant(self.w[name]), self("Div", x, root))

    def linear(self, name, x, rows=lambda w: w):
        self.names[name] = self.constant(rows(self.w[name]).T)
        y = self("MatMul", x, self.names[name])
        bias = f"{name}.bias"
        return self("Add", self.constant(rows(self.w[bias])), y) if bias in self.w else y

    def heads(self, y, count):
        shape = self.constant(np.array([1, self.length, count, self.c.d_head], INT64))
        return self("Transpose", self("Reshape", y, shape), perm=[0, 2, 1, 3])

    def rotate(self, x):
        half = self.c.d_head // 2
        slopes = self.c.rope_theta ** (-np.arange(half) / half)
        angle = np.arange(self.length)[:, None] * np.concatenate([slopes, slopes])
        cos, sin = (self.constant(f(angle).astype(np.float32)) for f in (np.cos, np.sin))
        ends = (self.constant(np.array([n], INT64)) for n in (0, half, 2 * half, 3))
        start, middle, end, axis = ends
        low, high = self("Slice", x, start, middle, axis), self("Slice", x, middle, end, axis)
        turned = self("Concat", self("Neg", high), low, axis=-1)
        return self("Add", self("Mul", x, cos), self("Mul", turned, sin))

    def repeated(self, x):
        count, group = self.c.kv_heads, self.c.n_head // self.c.kv_heads
        wide = np.array([1, count, group, self.length, self.c.d_head], INT64)
        flat = np.array([1, count * group, self.length, self.c.d_head], INT64)
        axis = self.constant(np.array([2], INT64))
        expanded = self("Expand", self("Unsqueeze", x, axis), self.constant(wide))
        return self("Reshape", expanded, self.constant(flat))

    def layer(self, at, x):
        c = self.c
        h = self.norm(at + "norm_attention", x)
        q = self.linear(at + "attn_wq", h, lambda w: halves(w, c.n_head))
        k = self.linear(at + "attn_wk", h, lambda w: halves(w, c.kv_heads))
        v = self.linear(at + "attn_wv", h)
        q = self.rotate(self.heads(q, c.n_head))
        k = self.repeated(self.rotate(self.heads(k, c.kv_heads)))
        v = self.repeated(self.heads(v, c.kv_heads))
        scores = self("MatMul", q, self("Transpose", k, perm=[0, 1, 3, 2]))
        scores = self("Div", scores, self.constant(np.float32(c.d_head**0.5)))
        mask = np.triu(np.full((self.length, self.length), -1e9, np.float32), 1)
        weights = self("Softmax", self("Add", scores, self.constant(mask)), axis=-1)
        mixed = self("Transpose", self("MatMul", weights, v), perm=[0, 2, 1, 3])
        flat = self.constant(np.array([1, self.length, c.d_model], INT64))
        x = self("Add", x, self.linear(at + "attn_wo", self("Reshape", mixed, flat)))
        h = self.norm(at + "norm_mlp", x)
        gate, up = self.linear(at + "mlp_gate", h), self.linear(at + "mlp_fc1", h)
        h = self("Mul", self("Mul", gate, self("Sigmoid", gate)), up)
        return self("Add", x, self.linear(at + "mlp_fc2", h))


def write(path: Path, checkpoint: Checkpoint, length: int, kind: str, per_channel: bool) -> dict:
    """A model as a quantised file, ``kind`` QInt8 or QUInt8, and the float one beside it.

    Returns what the matrices of linear layers are called in both.
    """
    plain, export = path.with_suffix(".float.onnx"), Export(checkpoint, length)
    save(export.model(), plain)
    quantize_dynamic(plain, path, per_channel=per_channel, weight_type=QuantType[kind])
    return export.names


def logits(path: Path, tokens) -> np.ndarray:
    """Logits [T, n_vocab] as onnxruntime computes them."""
    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"input_ids": np.array([tokens])})[0][0]


def constants(path: Path) -> dict[str, np.ndarray]:
    """Constants of a file by name."""
    return {t.name: numpy_helper.to_array(t) for t in load(path).graph.initializer}
