import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import zoo
from golden.errors import WeftError, reporting_errors
from golden.model import Checkpoint, ModelConfig
from golden.reference import forward
from golden.zoo import microgpt

SMALL = ModelConfig(n_layer=2, n_head=4, d_model=8, d_ff=12, n_vocab=27, n_ctx=5)


def tensors(config=SMALL, dtype=np.float32):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in config.shapes.items()}


def write(path, content, metadata=None):
    path.write_bytes(safetensors.numpy.save(content, metadata))
    return path


def test_the_committed_checkpoint():
    c = zoo.load("microgpt")
    assert c.config == ModelConfig(1, 4, 16, 64, 27, 16)
    assert c.config.parameters == 4192
    assert c.vocabulary == (*"abcdefghijklmnopqrstuvwxyz", "<BOS>")
    assert c.name == "microgpt"
    assert c.digest == "6115e8a00342b9a29e7e32d46fe06ae470af53a8fdeb4aeb6657cd0a381151c4"


def test_shapes_tell_the_model(tmp_path):
    c = zoo.load("microgpt", write(tmp_path / "mine.safetensors", tensors()))
    assert c.config == SMALL
    assert c.name == "mine"
    np.testing.assert_array_equal(c.tensors["layer1.mlp_fc2"], tensors()["layer1.mlp_fc2"])


def test_metadata_tells_the_rest(tmp_path):
    config = ModelConfig(1, 2, 6, 5, n_vocab=4, n_ctx=3, activation="gelu")
    metadata = {"n_head": "2", "vocab": "zé☃", "activation": "gelu"}
    c = microgpt.load(write(tmp_path / "x", tensors(config), metadata))
    assert c.config == config
    assert c.vocabulary == ("z", "é", "☃", "<BOS>")


@settings(max_examples=20, deadline=None)
@given(
    n_layer=st.integers(1, 3),
    n_head=st.integers(1, 3),
    d_head=st.integers(1, 4),
    d_ff=st.integers(1, 9),
    vocab=st.sets(st.characters(codec="utf-8"), min_size=1, max_size=6),
    n_ctx=st.integers(1, 4),
    activation=st.sampled_from(["relu", "gelu"]),
)
def test_round_trip(tmp_path_factory, n_layer, n_head, d_head, d_ff, vocab, n_ctx, activation):
    config = ModelConfig(
        n_layer, n_head, n_head * d_head, d_ff, len(vocab) + 1, n_ctx, activation=activation
    )
    c = Checkpoint(config, tensors(config), (*sorted(vocab), "<BOS>"), "x")
    path = tmp_path_factory.mktemp("round") / "x"
    path.write_bytes(microgpt.to_bytes(c, seed="1"))
    back = microgpt.load(path)
    assert (back.config, back.vocabulary, back.digest) == (c.config, c.vocabulary, c.digest)


def test_the_same_weights_are_the_same_bytes():
    # The library writes metadata in random order.
    c = zoo.load("microgpt")
    metadata = {letter: letter for letter in "abcdefgh"}
    files = {microgpt.to_bytes(c, **metadata) for _ in range(10)}
    assert len(files) == 1
    (file,) = files
    end = 8 + int.from_bytes(file[:8], "little")
    assert end % 8 == 0
    header = json.loads(file[8:end])
    assert list(header["__metadata__"]) == sorted(header["__metadata__"])
    assert safetensors.numpy.load(file).keys() == c.tensors.keys()


@pytest.mark.parametrize(
    "change",
    [{"config": replace(SMALL, norm_head=True)}, {"config": replace(SMALL, window=2)},
     {"vocabulary": tuple(map(str, range(27)))}],
)  # fmt: skip
def test_only_microgpt_can_be_written(change):
    c = Checkpoint(SMALL, tensors(), (*microgpt.ALPHABET, "<BOS>"), "x")
    assert microgpt.to_bytes(c)
    for other in (replace(c, **change), zoo.load("ailang")):
        with pytest.raises(WeftError, match=f"the model {other.name} is no microGPT"):
            microgpt.to_bytes(other)


def test_float16_is_exact(tmp_path):
    halves = tensors(dtype=np.float16)
    c = microgpt.load(write(tmp_path / "x", halves))
    for name, tensor in c.tensors.items():
        np.testing.assert_array_equal(tensor, halves[name].astype(np.float32))


def test_float64_is_rounded(tmp_path):
    doubles = tensors(dtype=np.float64)
    loaded = microgpt.load(write(tmp_path / "double.safetensors", doubles))
    for name, tensor in loaded.tensors.items():
        np.testing.assert_array_equal(tensor, doubles[name].astype(np.float32))
        assert tensor.dtype == np.float32


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    upper = {k: (t.view(np.uint32) >> 16).astype(np.uint16) for k, t in tensors().items()}
    file = safetensors.numpy.save(upper)
    (tmp_path / "x").write_bytes(file.replace(b'"U16" '.strip(), b'"BF16"'))
    with pytest.raises(WeftError):  # the header has grown: its length must be told
        microgpt.load(tmp_path / "x")
    end = 8 + int.from_bytes(file[:8], "little")
    header = file[8:end].replace(b'"U16"', b'"BF16"')
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + file[end:])
    c = microgpt.load(tmp_path / "x")
    for name, tensor in tensors().items():
        expected = (tensor.view(np.uint32) & 0xFFFF0000).view(np.float32)
        np.testing.assert_array_equal(c.tensors[name], expected)


def without(name):
    return lambda t: t.pop(name)


def put(name, change):
    return lambda t: t.update({name: change(t.get(name))})


def with_value(value):
    def change(tensor):
        tensor[1, 0] = value
        return tensor

    return change


BAD_TENSORS = [
    (without("wte"), "tensor wte is missing"),
    (without("wpe"), "tensor wpe is missing"),
    (without("layer0.mlp_fc1"), "tensor layer0.mlp_fc1 is missing"),
    (without("layer1.attn_wo"), "tensor layer1.attn_wo is missing"),
    (without("lm_head"), "tensor lm_head is missing"),
    (put("bias", lambda _: np.zeros(3, np.float32)), "tensor bias is unexpected"),
    (put("layer7.attn_wq", lambda _: np.zeros((8, 8), np.float32)), "tensor layer2.attn_wq"),
    (put("lm_head", lambda t: t[:-1].copy()), "tensor lm_head has shape (26, 8); expected (27, 8)"),
    (put("wte", lambda t: t.reshape(-1)), "tensor wte has shape (216,); expected two"),
    (put("wpe", lambda t: t[:0]), "tensor wpe has shape (0, 8); expected two dimensions, none"),
    (put("wpe", lambda t: t[:, :4].copy()), "tensor wpe has shape (5, 4); expected (5, 8)"),
    (put("layer1.mlp_fc2", lambda t: t.T.copy()), "layer1.mlp_fc2 has shape (12, 8); expected (8"),
    (put("wpe", lambda t: t.astype(np.int8)), "tensor wpe has type I8; expected one of F32, F64"),
    (put("wpe", lambda t: t * np.float64(1e200)), "tensor wpe holds"),
    (put("wpe", with_value(np.nan)), "tensor wpe holds nan at index [1, 0]; expected finite"),
    (put("layer0.attn_wq", with_value(np.inf)), "tensor layer0.attn_wq holds inf at index [1, 0]"),
]

BAD_METADATA = [
    ({"n_head": "3"}, "d_model 8 is not divisible by n_head 3"),
    ({"n_head": "four"}, "n_head is 'four'; expected a whole number"),
    ({"n_head": "0"}, "n_head is '0'"),
    ({"vocab": "abc"}, "tensor wte has 27 rows, but its metadata vocab lists 3 characters"),
    ({"vocab": "abcdefghijklmnopqrstuvwxyy"}, "the vocabulary lists 'y' twice"),
    ({"activation": "swish"}, "activation is 'swish'; expected one of 'relu', 'gelu'"),
]


def complaint(capsys, path):
    """What a user reads who runs a command on this checkpoint."""
    with pytest.raises(SystemExit) as end, reporting_errors():
        zoo.load("microgpt", path)
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert out == ""
    assert err.startswith("weft: ")
    assert err.count("\n") == 1
    assert str(path) in err
    return err


@pytest.mark.parametrize(("change", "sentence"), BAD_TENSORS)
def test_bad_tensors(capsys, tmp_path, change, sentence):
    content = tensors()
    change(content)
    assert sentence in complaint(capsys, write(tmp_path / "x.safetensors", content))


@pytest.mark.parametrize(("metadata", "sentence"), BAD_METADATA)
def test_bad_metadata(capsys, tmp_path, metadata, sentence):
    assert sentence in complaint(capsys, write(tmp_path / "x.safetensors", tensors(), metadata))


def test_missing_file(capsys, tmp_path):
    assert "No such file or directory" in complaint(capsys, tmp_path / "none.safetensors")
    assert "Is a directory" in complaint(capsys, tmp_path)


@pytest.mark.parametrize("length", [0, 4, 8, 100, -1])
def test_truncated_file(capsys, tmp_path, length):
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors.numpy.save(tensors())[:length])
    assert "is damaged or not a safetensors file" in complaint(capsys, path)


@pytest.mark.parametrize(
    "content",
    [
        b"a text file, and not a short one: its first bytes are an absurd length",
        (2**40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        (9).to_bytes(8, "little") + b'{"wte":0}',
    ],
)
def test_no_safetensors_file(capsys, tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    complaint(capsys, path)


def test_a_header_that_promises_too_much(capsys, tmp_path):
    entry = {"dtype": "F32", "shape": [1 << 30, 1 << 10], "data_offsets": [0, 1 << 42]}
    header = json.dumps({"wte": entry}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert "is damaged" in complaint(capsys, path)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_never_ends_in_a_traceback(tmp_path_factory, data):
    file = bytearray(microgpt.to_bytes(zoo.load("microgpt")))
    for _ in range(data.draw(st.integers(1, 3))):
        file[data.draw(st.integers(0, 900))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damage") / "x"
    path.write_bytes(file)
    with suppress(WeftError):
        forward(microgpt.load(path), [0, 1])


def test_unknown_model():
    with pytest.raises(WeftError, match="'gpt5' is unknown; known are microgpt, ailang"):
        zoo.load("gpt5")
    assert all(preset.description for preset in zoo.PRESETS.values())
