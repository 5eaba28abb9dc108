"""GGUF files of small models, by the package's own writer, and a dequantiser of the tests' own."""

import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter, quants

from golden.errors import WeftError
from golden.model import Checkpoint
from golden.zoo.gguf import file_name, load
from tests.llama import BASE

TYPES = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1")
GROUPED = replace(BASE, d_model=96, n_head=6, n_kv_head=2, d_ff=160, n_vocab=37)
PIECES = [
    "<|end|>", "<|begin|>", *"he", "he", *"abcdlort1,", "Ġ", "ll", "hell", "Ġhe", "Ġhell", "or"
]  # fmt: skip
MERGES = ["h e", "l l", "Ġ he", "he ll", "Ġhe ll", "o r"]


def pieces(count: int) -> list[str]:
    """A vocabulary of ``count`` pieces."""
    return (PIECES + [f"x{i}" for i in range(count)])[:count]


def merges(count: int) -> list[str]:
    """The merges that :func:`pieces` has the results of."""
    return [merge for merge in MERGES if merge.replace(" ", "") in pieces(count)]


def write(path: Path, checkpoint: Checkpoint, kind: str, change=lambda fields, tensors: None):
    """A checkpoint as a GGUF file, its matrices of one type; ``change`` may spoil what is written.

    ``fields``: key -> (method of the writer, value); ``tensors``: name -> (array, type).
    """
    c = checkpoint.config
    fields = {
        "llama.block_count": ("uint32", c.n_layer),
        "llama.context_length": ("uint32", c.n_ctx),
        "llama.embedding_length": ("uint32", c.d_model),
        "llama.feed_forward_length": ("uint32", c.d_ff),
        "llama.attention.head_count": ("uint32", c.n_head),
        "llama.attention.head_count_kv": ("uint32", c.kv_heads),
        "llama.rope.freq_base": ("float32", c.rope_theta),
        "llama.attention.layer_norm_rms_epsilon": ("float32", c.norm_eps),
        "tokenizer.ggml.model": ("string", "gpt2"),
        "tokenizer.ggml.pre": ("string", "smollm"),
        "tokenizer.ggml.tokens": ("array", pieces(c.n_vocab)),
        "tokenizer.ggml.token_type": ("array", [3, 3] + [1] * (c.n_vocab - 2)),
        "tokenizer.ggml.merges": (
            "array",
            [m for m in MERGES if m.replace(" ", "") in pieces(c.n_vocab)],
        ),
        "tokenizer.ggml.bos_token_id": ("uint32", 1),
        "tokenizer.ggml.eos_token_id": ("uint32", 0),
    }
    tensors = {
        file_name(name): (tensor, kind if tensor.ndim == 2 else "F32")
        for name, tensor in checkpoint.tensors.items()
    }
    change(fields, tensors)
    writer = GGUFWriter(path, fields.pop("general.architecture", (0, "llama"))[1])
    for key, (method, value) in fields.items():
        getattr(writer, f"add_{method}")(key, value)
    for name, (tensor, kind) in tensors.items():
        number = GGMLQuantizationType[kind]
        if kind == "F32" and tensor.dtype == np.float32:
            writer.add_tensor(name, tensor)
        elif kind == "F16":
            writer.add_tensor(name, tensor.astype(np.float16))
        else:
            writer.add_tensor(name, quants.quantize(tensor, number), raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def dequantised(data: bytes, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of a tensor's bytes, element by element."""
    if kind == "F32":
        values = [v for (v,) in struct.iter_unpack("<f", data)]
    elif kind == "F16":
        values = [v for (v,) in struct.iter_unpack("<e", data)]
    elif kind == "BF16":
        values = [struct.unpack("<f", b"\0\0" + data[i : i + 2])[0] for i in range(0, len(data), 2)]
    else:
        size = {"Q8_0": 34, "Q4_0": 18, "Q4_1": 20}[kind]
        values = [v for i in range(0, len(data), size) for v in _group(data[i : i + size], kind)]
    return np.array(values, np.float64).astype(np.float32).reshape(shape)


def _group(block: bytes, kind: str) -> list[float]:
    if kind == "Q8_0":
        scale, *codes = struct.unpack("<e32b", block)
        return [scale * code for code in codes]
    packed = block[-16:]
    codes = [byte % 16 for byte in packed] + [byte // 16 for byte in packed]
    (scale,) = struct.unpack("<e", block[:2])
    if kind == "Q4_0":
        return [scale * (code - 8) for code in codes]
    (minimum,) = struct.unpack("<e", block[2:4])
    return [scale * code + minimum for code in codes]


def refusal(path):
    """The one sentence with which a file is refused, without much memory having been taken."""
    tracemalloc.start()
    try:
        with pytest.raises(WeftError) as caught:
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)
