from dataclasses import replace

import gguf
import numpy as np
import pytest

from golden.accuracy import integer_logits
from golden.chat_template import Message, conversation_ids
from golden.config import LINEARS
from golden.errors import WeftError
from golden.model import Checkpoint
from golden.quantize import Options, quantize
from golden.reference import forward, sequence_logits
from golden.tokenizer import prompt_ids, tokenizer_for
from golden.zoo.gguf import file_name, load
from golden.zoo.gguf_file import GgufFile
from tests.gguf_files import GROUPED, TYPES, dequantised, pieces, refusal, write
from tests.llama import CONFIGS, logits, random_llama

SHAPES = {
    "grouped queries, tied head": GROUPED,
    "one kv head, separate head": replace(GROUPED, n_kv_head=1, n_head=3, tied_head=False),
    "all kv heads, biases": replace(
        GROUPED, n_kv_head=6, n_layer=1, biases=("attn_wq", "attn_wk", "attn_wv", "attn_wo")
    ),
}
TOKENS = [3, 0, 10, 1, 1, 7, 3, 9]


def entries(path):
    """(bytes, type, shape) of every tensor, as the package's own reader finds them."""
    return {
        t.name: (t.data.tobytes(), t.tensor_type.name, tuple(t.shape.tolist()[::-1]))
        for t in gguf.GGUFReader(path).tensors
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", TYPES)
def test_a_file_is_its_model(tmp_path, kind, shape):
    source = random_llama(SHAPES[shape])
    path = write(tmp_path / "small.gguf", source, kind)
    c, there = load(path), entries(path)
    eps = float(np.float32(1e-5))
    kv = SHAPES[shape].kv_heads
    assert c.config == replace(SHAPES[shape], norm_eps=eps, n_kv_head=kv)
    assert (c.name, c.vocabulary) == ("small", tuple(pieces(37)))
    for name, tensor in c.tensors.items():
        expected = dequantised(*there[file_name(name)])
        np.testing.assert_array_equal(tensor, expected, strict=True)
        assert abs(tensor - source.tensors[name]).max() < 0.6
    np.testing.assert_allclose(forward(c, TOKENS), logits(c, TOKENS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["odd sizes", "one kv head", "separate head", "all biases"])
@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_sizes_need_no_groups_where_nothing_is_quantised(tmp_path, name, kind):
    source = random_llama(CONFIGS[name])
    path = write(tmp_path / "x", source, kind)
    c, there = load(path), entries(path)
    for tensor in c.tensors:
        expected = dequantised(*there[file_name(tensor)])
        np.testing.assert_array_equal(c.tensors[tensor], expected)
    assert not c.blocks
    if kind == "F32":
        np.testing.assert_array_equal(forward(c, TOKENS), forward(source, TOKENS))


@pytest.mark.parametrize(("kind", "scales"), [("Q4_1", "group"), ("Q4_0", "group"), ("F32", "row")])
def test_a_file_with_biases_has_an_integer_model(tmp_path, kind, scales):
    config = replace(GROUPED, biases=LINEARS)
    c = load(write(tmp_path / "x", random_llama(config), kind))
    plan = quantize(c, Options(scales=scales))
    expected, found = forward(c, TOKENS), integer_logits(plan, TOKENS, set())
    assert np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)) < 0.02


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q4_1"])
def test_quantised_tensors_are_kept_as_they_are(tmp_path, kind):
    path = write(tmp_path / "x", random_llama(GROUPED), kind)
    c, there = load(path), entries(path)
    assert set(c.blocks) == {name for name, t in c.tensors.items() if t.ndim == 2}
    for name, blocks in c.blocks.items():
        data, _, shape = there[file_name(name)]
        assert blocks.raw.tobytes() == data
        assert blocks.shape == blocks.codes.shape == shape
        scales = np.repeat(blocks.scales.astype(float), 32, axis=1)
        minima = 0 if blocks.minima is None else np.repeat(blocks.minima.astype(float), 32, axis=1)
        assert (blocks.minima is None) == (kind != "Q4_1")
        rebuilt = (scales * blocks.codes + minima).astype(np.float32)
        np.testing.assert_array_equal(c.tensors[name], rebuilt)
    low, high = {"Q8_0": (-128, 127), "Q4_0": (-8, 7), "Q4_1": (0, 15)}[kind]
    codes = np.concatenate([blocks.codes.ravel() for blocks in c.blocks.values()])
    assert (codes.min() >= low, codes.max() <= high) == (True, True)
    assert codes.dtype == np.int8


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("tensor", ["blk.1.attn_q.weight", "blk.0.ffn_down.weight"])
def test_a_flipped_bit_changes_the_logits(tmp_path, kind, tensor):
    path = write(tmp_path / "x", random_llama(GROUPED), kind)
    before = load(path)
    with GgufFile(path) as file:
        info = file.tensors[tensor]
    content = bytearray(path.read_bytes())
    content[info.offset + info.size - 1] ^= 0x20  # in the last code, or the last exponent
    path.write_bytes(content)
    after = load(path)
    changed = [n for n in before.tensors if (before.tensors[n] != after.tensors[n]).any()]
    assert [file_name(name) for name in changed] == [tensor]
    assert (before.tensors[changed[0]] != after.tensors[changed[0]]).sum() == 1
    assert abs(sequence_logits(before, TOKENS) - sequence_logits(after, TOKENS)).max() > 1e-5
    assert before.digest != after.digest


def test_the_tokenizer_comes_along(tmp_path):
    path = write(tmp_path / "x", random_llama(GROUPED), "F32")
    tokenizer = tokenizer_for(load(path))
    assert (tokenizer.start, tokenizer.stop) == (1, 0)
    text = "hello hell11, or"
    ids = tokenizer.encode(text)
    names = [pieces(37)[token] for token in ids]
    assert names == ["hell", "o", "Ġhell", "1", "1", ",", "Ġ", "or"]
    assert tokenizer.decode(ids) == text == "".join(map(tokenizer.piece, ids))
    assert tokenizer.encode("<|begin|>a<|end|>") == [1, 5, 0]
    assert tokenizer.decode([1, 5, 0]) == "<|begin|>a<|end|>"
    for token in (-1, 37):
        with pytest.raises(WeftError, match=f"token {token} is not in the vocabulary; .* 0 to 36"):
            tokenizer.piece(token)


def chatting(source, **more):
    def change(fields, tensors):
        fields["tokenizer.chat_template"] = source
        fields.update({f"tokenizer.ggml.{name}": field for name, field in more.items()})

    return change


def test_the_chat_template_comes_along(tmp_path):
    source = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"
    change = chatting(("string", source), add_bos_token=("bool", False))
    path = write(tmp_path / "x", random_llama(GROUPED), "F32", change)
    tokenizer = tokenizer_for(load(path))
    assert conversation_ids(tokenizer, [Message("user", "hello")]) == [
        1, *tokenizer.encode("hello"), 0
    ]  # fmt: skip
    assert not tokenizer.opens
    assert prompt_ids(tokenizer, "hello") == tokenizer.encode("hello")
    assert prompt_ids(tokenizer, "") == [1]
    plain = tokenizer_for(load(write(tmp_path / "y", random_llama(GROUPED), "F32")))
    assert (plain.opens, plain.template) == (True, None)
    assert prompt_ids(plain, "hello") == [1, *plain.encode("hello")]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (("string", "x" * 70_000), "its chat template has 70,000 characters; expected at most"),
        (("uint32", 7), "field tokenizer.chat_template is '7'; expected a text"),
    ],
)
def test_a_chat_template_that_is_none(tmp_path, field, said):
    path = write(tmp_path / "x", random_llama(GROUPED), "F32", chatting(field))
    with pytest.raises(WeftError, match=said):
        load(path)


def scored(fields, tensors):
    """The tokenizer of llama 2: pieces with scores, and bytes for what no piece covers."""
    characters = ["▁", "a", "b", "c"]
    made = ["ab", "▁a", "▁ab", "abc", "bc"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *characters, *made]
    fields |= {
        "tokenizer.ggml.model": ("string", "llama"),
        "tokenizer.ggml.tokens": ("array", pieces),
        "tokenizer.ggml.token_type": ("array", [2, 3, 3] + [6] * 256 + [1] * 9),
        "tokenizer.ggml.scores": ("array", [0.0] * 263 + [-1.0, -3.0, -2.0, -4.0, -0.5]),
    }


def test_a_tokenizer_with_scores(tmp_path):
    model = random_llama(replace(CONFIGS["llama"], n_vocab=268))
    c = load(write(tmp_path / "x", model, "F32", scored))
    assert c.vocabulary[263:] == ("ab", "▁a", "▁ab", "abc", "bc")
    pieces = [c.vocabulary[token] for token in c.tokenizer.encode("ab abc abbc é")]
    # bc has the best score, then ab, then ▁ab of ▁ and ab.
    assert pieces == ["▁ab", "▁a", "bc", "▁ab", "bc", "▁", "<0xC3>", "<0xA9>"]
    for text in ("ab abc abbc é", "", " a", "日本"):
        assert c.tokenizer.decode(c.tokenizer.encode(text)) == text
    assert c.tokenizer.encode("<s>a")[0] == 1
    assert c.tokenizer.piece(264) == " a"

    def without_prefix(fields, tensors):
        scored(fields, tensors)
        fields["tokenizer.ggml.add_space_prefix"] = ("bool", False)

    c = load(write(tmp_path / "y", model, "F32", without_prefix))
    assert [c.vocabulary[token] for token in c.tokenizer.encode("ab")] == ["ab"]
    assert c.tokenizer.decode(c.tokenizer.encode(" ab")) == " ab"

    def without_scores(fields, tensors):
        scored(fields, tensors)
        del fields["tokenizer.ggml.scores"]

    with pytest.raises(WeftError, match=r"ggml.scores is missing or does not list one number a to"):
        load(write(tmp_path / "z", model, "F32", without_scores))


# --- what cannot be used --------------------------------------------------------------------------


def field(key, method, value):
    return lambda fields, tensors: fields.update({key: (method, value)})


def no_field(key):
    return lambda fields, tensors: fields.pop(key)


def no_tensor(name):
    return lambda fields, tensors: tensors.pop(name)


def tensor(name, change, kind="F32"):
    return lambda fields, tensors: tensors.update({name: (change(tensors.get(name)), kind)})


def spoilt(value):
    def change(entry):
        copy = entry[0].copy()
        copy[3, 1] = value
        return copy

    return change


Q, EPS = "blk.1.attn_q.weight", "llama.attention.layer_norm_rms_epsilon"
BAD = [
    (field("general.architecture", 0, "gpt2"), "its architecture is 'gpt2'; expected 'llama'"),
    (no_field("llama.block_count"), "field llama.block_count is missing; expected a whole number"),
    (field("llama.block_count", "uint32", 1 << 31), "says 2,147,483,648 layers, but there are 20 "),
    (field("llama.block_count", "uint32", 0), "n_layer is 0; expected a whole number"),
    (field("llama.block_count", "uint32", 1), "tensor blk.1.attn_q.weight is unexpected"),
    (field("llama.block_count", "uint32", 3), "tensor blk.2.attn_q.weight is missing"),
    (field("llama.embedding_length", "string", "96"), "embedding_length is '96'; expected a whole"),
    (field("llama.feed_forward_length", "uint32", 161), "ffn_gate.weight has shape (160, 96); exp"),
    (field("llama.attention.head_count", "uint32", 7), "d_model 96 is not divisible by n_head 7"),
    (field("llama.attention.head_count_kv", "uint32", 4), "n_head 6 is not divisible by n_kv_head"),
    (field("llama.attention.head_count_kv", "array", [2, 2]), "head_count_kv is '[2, 2]'"),
    (field(EPS, "float32", 0.0), "norm_eps is 0.0"),
    (field(EPS, "float32", float("nan")), "norm_eps is nan"),
    (field(EPS, "uint32", 1), "layer_norm_rms_epsilon is '1'; expected a number with a fraction"),
    (field("llama.rope.dimension_count", "uint32", 8), "rope.dimension_count is 8; expected 16"),
    (field("llama.rope.scaling.type", "string", "yarn"), "rope.scaling.type is 'yarn'; expected"),
    (field("llama.rope.scaling.factor", "float32", 4.0), "rope.scaling.factor is 4.0; expected"),
    (field("llama.rope.scale_linear", "float32", 4.0), "rope.scale_linear is 4.0; expected 1.0"),
    (field("llama.expert_count", "uint32", 8), "field llama.expert_count is 8; expected 0"),
    (no_field("tokenizer.ggml.model"), "its tokenizer is None with pre-tokenizer 'smollm'; exp"),
    (field("tokenizer.ggml.pre", "string", "mpt"), "with pre-tokenizer 'mpt'; expected 'llama', o"),
    (no_field("tokenizer.ggml.merges"), "tokenizer.ggml.merges is missing or no list of texts"),
    (field("tokenizer.ggml.merges", "array", ["h"]), "merges holds 'h'; expected two pieces"),
    (field("tokenizer.ggml.merges", "array", ["h z"]), "merges ('h', 'z'), but 'z' is none of"),
    (field("tokenizer.ggml.tokens", "array", pieces(36)), "does not list one number a token"),
    (field("tokenizer.ggml.tokens", "array", ["a"] * 37), "lists a piece twice"),
    (field("tokenizer.ggml.token_type", "uint32", 7), "does not list one number a token"),
    (field("tokenizer.ggml.bos_token_id", "uint32", 37), "bos_token_id is 37; expected 0 to 36"),
    (no_tensor("token_embd.weight"), "tensor token_embd.weight is missing"),
    (no_tensor(Q), f"tensor {Q} is missing"),
    (no_tensor("blk.0.ffn_norm.weight"), "tensor blk.0.ffn_norm.weight is missing"),
    (tensor("rope_freqs.weight", lambda _: np.ones(8, np.float32)), "rope_freqs.weight is unexp"),
    (tensor("blk.1.attn_k.bias", lambda _: np.ones(32, np.float32)), "attn_k.bias is unexpected"),
    (tensor(Q, lambda t: t[0][:-1]), f"tensor {Q} has shape (95, 96); expected (96, 96)"),
    (tensor(Q, lambda t: t[0].reshape(-1)), f"tensor {Q} has shape (9216,); expected (96, 96)"),
    (tensor(Q, lambda t: t[0], "Q5_0"), f"tensor {Q} has type number 6; expected one of F32 (0)"),
    (tensor(Q, spoilt(np.nan)), "tensor layer1.attn_wq holds nan at index [3, 1]"),
    (tensor(Q, spoilt(1e38), "Q8_0"), "tensor layer1.attn_wq holds"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), BAD)
def test_bad_models(tmp_path, change, sentence):
    with np.errstate(all="ignore"):
        path = write(tmp_path / "bad.gguf", random_llama(GROUPED), "F32", change)
    assert sentence in refusal(path)


@pytest.mark.parametrize("key", ["scaling.factor", "scale_linear"])
def test_positions_that_are_scaled_by_one(tmp_path, key):
    change = field(f"llama.rope.{key}", "float32", 1.0)
    source = random_llama(GROUPED)
    c = load(write(tmp_path / "x.gguf", source, "F32", change))
    np.testing.assert_array_equal(forward(c, TOKENS), forward(source, TOKENS))


def test_refusals_do_not_list_every_tensor(tmp_path):
    def spoil(fields, tensors):
        tensors["bad\n\x1b[31mname"] = (np.ones(8, np.float32), "F32")

    path = write(tmp_path / "bad.gguf", random_llama(GROUPED), "F32", spoil)
    with pytest.raises(WeftError) as caught:
        load(path)
    said = caught.value.told()
    assert (
        r"tensor bad\n\x1b[31mname is unexpected; expected the tensors token_embd.weight, " in said
    )
    assert said.endswith(" and 14 more")


def test_no_file(tmp_path):
    assert "No such file or directory; expected a GGUF file" in refusal(tmp_path / "none.gguf")
    assert "Is a directory" in refusal(tmp_path)


def test_blocks_must_fit_their_tensor(tmp_path):
    c = load(write(tmp_path / "x", random_llama(GROUPED), "Q4_1"))
    blocks = {"layer0.attn_wq": c.blocks["layer0.attn_wk"]}
    with pytest.raises(WeftError, match=r"quantised tensor layer0.attn_wq has shape \(32, 96\)"):
        Checkpoint(c.config, c.tensors, c.vocabulary, "x", blocks)
