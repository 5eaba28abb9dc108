"""Quantised ONNX, held to onnxruntime; packages are installed on first use, so `models` it is."""

import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import pip, zoo
from golden.accuracy import integer_logits
from golden.errors import WeftError
from golden.quantize import Options, quantize
from golden.reference import forward, sequence_logits
from golden.zoo.onnx_int8 import load
from tests.llama import BASE, CONFIGS, halves, random_llama
from tests.test_zoo_huggingface import options

pytestmark = pytest.mark.models

TOKENS = [3, 0, 10, 1, 1, 7, 3, 9]
FAMILY = [name for name in CONFIGS if name != "not gated"]
QUANTISED = 0.02
"""How far 8-bit activations may take onnxruntime's logits, of their range."""


@pytest.fixture(scope="module")
def files():
    pip.ensure("onnxruntime")
    from tests import onnx_files

    return onnx_files


def write(files, folder, config=BASE, kind="QInt8", per_channel=False, **changes):
    """A random model as a file in a folder, and what its matrices are called there."""
    path = folder / "model_int8.onnx"
    names = files.write(path, random_llama(config), len(TOKENS), kind, per_channel)
    (folder / "config.json").write_text(json.dumps(options(config) | changes))
    return path, names


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", ["QInt8", "QUInt8"])
@pytest.mark.parametrize("name", FAMILY)
def test_a_file_is_its_model(files, tmp_path, name, kind, per_channel):
    config = CONFIGS[name]
    path, names = write(files, tmp_path, config, kind, per_channel)
    c, stored, source = load(path), files.constants(path), random_llama(config)
    assert c.config == replace(config, n_kv_head=config.kv_heads)
    assert set(c.blocks) == set(names)
    for tensor, there in names.items():
        codes = stored[f"{there}_quantized"].astype(np.float64)
        zeros = stored[f"{there}_zero_point"].astype(np.float64)
        values = ((codes - zeros) * stored[f"{there}_scale"]).astype(np.float32)
        mine = c.tensors[tensor]
        if "attn_wq" in tensor or "attn_wk" in tensor:
            mine = halves(mine, config.n_head if "attn_wq" in tensor else config.kv_heads)
        np.testing.assert_array_equal(mine, values if tensor == "wte" else values.T)
        np.testing.assert_array_equal(c.blocks[tensor].dequantise(), c.tensors[tensor])
        assert c.blocks[tensor].codes.dtype == (np.uint8 if tensor == "wte" else codes_type(kind))
    for tensor in c.tensors.keys() - names.keys():
        np.testing.assert_array_equal(c.tensors[tensor], source.tensors[tensor])
    # The same weights without quantised activations, and then with them.
    found = forward(c, TOKENS)
    files.write(tmp_path / "again.onnx", c, len(TOKENS), kind, False)
    exact = files.logits(tmp_path / "again.float.onnx", TOKENS)
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)
    span = found.max() - found.min()
    assert abs(found - files.logits(path, TOKENS)).max() < QUANTISED * span


def test_a_file_with_biases_has_an_integer_model(files, tmp_path):
    path, _ = write(files, tmp_path, CONFIGS["all biases"], per_channel=True)
    c = load(path)
    expected = forward(c, TOKENS)
    found = integer_logits(quantize(c, Options(scales="row")), TOKENS, set())
    assert np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)) < 0.03


def codes_type(kind):
    return {"QInt8": np.int8, "QUInt8": np.uint8}[kind]


def test_the_tolerance_is_narrow(files, tmp_path):
    path, _ = write(files, tmp_path)
    c, theirs = load(path), files.logits(path, TOKENS)
    for tensor in ("layer0.attn_wq", "layer1.attn_wv", "layer1.mlp_fc1"):
        other = replace(c, tensors=c.tensors | {tensor: c.tensors[tensor][::-1].copy()})
        found = sequence_logits(other, TOKENS)
        assert abs(found - theirs).max() > 2 * QUANTISED * (found.max() - found.min()), tensor


def test_a_changed_code_changes_the_logits(files, tmp_path):
    path, names = write(files, tmp_path)
    before = load(path)
    model = files.load(path)
    there = names["layer1.mlp_fc2"] + "_quantized"
    (tensor,) = (t for t in model.graph.initializer if t.name == there)
    tensor.raw_data = bytes([tensor.raw_data[0] ^ 0x40]) + tensor.raw_data[1:]
    files.save(model, path)
    after = load(path)
    changed = [n for n in before.tensors if (before.tensors[n] != after.tensors[n]).any()]
    assert changed == ["layer1.mlp_fc2"]
    assert abs(sequence_logits(after, TOKENS) - sequence_logits(before, TOKENS)).max() > 1e-5


def test_a_float_file_is_read_too(files, tmp_path):
    write(files, tmp_path)
    c = load(tmp_path / "model_int8.float.onnx")
    assert not c.blocks
    assert c.digest == replace(random_llama(replace(BASE, n_kv_head=2)), name="x").digest


def test_configs_may_lie_above(files, tmp_path):
    (tmp_path / "onnx").mkdir()
    path, _ = write(files, tmp_path / "onnx")
    (tmp_path / "onnx" / "config.json").rename(tmp_path / "config.json")
    assert zoo.load("smollm2", path).name == "model_int8"
    (tmp_path / "config.json").unlink()
    with pytest.raises(WeftError, match=r"config.json is neither beside it nor in the folder abo"):
        load(path)


def refusal(path):
    with pytest.raises(WeftError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).count("\n") == 0
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_hidden_layers": 3}, "tensor layer2.attn_wq is missing"),
        ({"num_hidden_layers": 1}, "tensor layer1.attn_wq is unexpected"),
        ({"intermediate_size": 21}, "(layer0.mlp_gate) has shape (24, 20); expected (21, 24)"),
        ({"vocab_size": 12}, "(wte) has shape (11, 24); expected (12, 24)"),
        ({"model_type": "opt"}, "model_type is 'opt'; expected 'llama'"),
    ],
)
def test_other_configs(files, tmp_path, changes, sentence):
    assert sentence in refusal(write(files, tmp_path, **changes)[0])


def no_scale(files, model, names):
    for node in model.graph.node:
        if node.op_type == "Mul" and names["layer0.attn_wk"] + "_scale" in node.input:
            node.op_type = "Div"


def outside(files, model, names):
    tensor = model.graph.initializer[0]
    tensor.data_location = files.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")


def no_gather(files, model, names):
    model.graph.node[0].op_type = "GatherElements"


def backwards(files, model, names):
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def no_inputs(files, model, names):
    for node in model.graph.node:
        if node.op_type == "MatMulInteger":
            del node.input[1:]


def short(files, model, names):
    for tensor in model.graph.initializer:
        if tensor.name == names["layer0.attn_wk"] + "_quantized":
            tensor.raw_data = tensor.raw_data[:-1]


def large(files, model, names):
    for tensor in model.graph.initializer:
        if tensor.name == names["layer0.attn_wk"] + "_quantized":
            tensor.dims[0] = 1 << 40


def half_scales(files, model, names):
    for tensor in model.graph.initializer:
        if tensor.name == names["layer0.attn_wk"] + "_scale":
            values = np.ones(7, np.float32)
            tensor.CopyFrom(files.numpy_helper.from_array(values, tensor.name))


def wrong_type(files, model, names):
    for tensor in model.graph.initializer:
        if tensor.name == names["layer0.attn_wk"] + "_quantized":
            values = np.ones((24, 12), np.int32)
            tensor.CopyFrom(files.numpy_helper.from_array(values, tensor.name))


BAD = [
    (no_scale, "has a product whose scale is not found"),
    (outside, "is kept in another file; expected all in one"),
    (no_gather, "the embedding is missing"),
    (backwards, "/Mul_1196_output_0 too early"),
    (no_inputs, "_quant lacks inputs or outputs"),
    (short, "_quantized is damaged"),
    (large, "(layer0.attn_wk) has shape (1099511627776, 12); expected (12, 24)"),
    (half_scales, "_scale has 7 elements; expected one, or one for each of the 12 outputs"),
    (wrong_type, "(layer0.attn_wk) has type int32; expected float32"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD)
def test_other_graphs(files, tmp_path, change, sentence):
    path, names = write(files, tmp_path)
    model = files.load(path)
    change(files, model, names)
    path.write_bytes(model.SerializeToString())
    assert sentence in refusal(path)


@pytest.mark.parametrize(
    "content", [b"", b"no ONNX file", bytes(1000), b"\x0a\xff\xff\xff\xff\x0f"]
)
def test_no_onnx_file(files, tmp_path, content):
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    assert "is damaged or no ONNX file" in refusal(path)


def test_no_file(files, tmp_path):
    assert "No such file or directory; expected an ONNX file" in refusal(tmp_path / "none.onnx")
    with (tmp_path / "x.onnx").open("wb") as file:
        file.truncate(1 << 31)
    assert "it has 2,147,483,648 bytes; expected less than 2 GiB" in refusal(tmp_path / "x.onnx")


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_damage_never_ends_in_a_traceback(files, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "damage"
    if not folder.exists():
        folder.mkdir()
        write(files, folder, replace(BASE, n_layer=1))
    content = bytearray((folder / "model_int8.onnx").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "damaged.onnx").write_bytes(content)
    with suppress(WeftError):
        forward(load(folder / "damaged.onnx"), [0, 1])
