import struct
from dataclasses import replace

import numpy as np
import pytest

from golden.errors import WeftError
from golden.reference import forward, sequence_logits
from golden.tokenizer import WordTokenizer, tokenizer_for
from golden.zoo.llama2c import load
from tests.llama import BASE, CONFIGS, logits, random_llama

TOKENS = [3, 0, 10, 1, 1, 7, 3, 9]
FILES = {
    "tied": replace(BASE, n_vocab=270),
    "separate": replace(CONFIGS["separate head"], n_vocab=271),
    "one kv head": replace(CONFIGS["one kv head"], n_vocab=270),
    "odd sizes": replace(CONFIGS["odd sizes"], n_vocab=280),
}


def content(c):
    """A model as llama2.c's export writes it."""
    k, w = c.config, c.tensors
    sign = 1 if k.tied_head else -1
    sizes = (k.d_model, k.d_ff, k.n_layer, k.n_head, k.kv_heads, sign * k.n_vocab, k.n_ctx)
    kinds = ["norm_attention", "attn_wq", "attn_wk", "attn_wv", "attn_wo", "norm_mlp"]
    kinds += ["mlp_gate", "mlp_fc2", "mlp_fc1"]
    parts = [w["wte"]]
    parts += [np.stack([w[f"layer{i}.{kind}"] for i in range(k.n_layer)]) for kind in kinds]
    parts += [w["norm_head"], np.full(k.n_ctx * k.d_head, np.nan, np.float32)]
    parts += [] if k.tied_head else [w["lm_head"]]
    return struct.pack("<7i", *sizes) + b"".join(part.astype("<f4").tobytes() for part in parts)


def write(path, config=FILES["tied"]):
    path.write_bytes(content(random_llama(config)))
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_its_model(tmp_path, name):
    config = FILES[name]
    source = random_llama(config)
    c = load(write(tmp_path / "small.bin", config))
    assert c.config == replace(config, n_kv_head=config.kv_heads)
    assert c.name == "small"
    for tensor in source.tensors:
        np.testing.assert_array_equal(c.tensors[tensor], source.tensors[tensor], strict=True)
    np.testing.assert_allclose(forward(c, TOKENS), logits(source, TOKENS), rtol=1e-4, atol=1e-4)


def test_a_flipped_bit_changes_the_logits(tmp_path):
    path = write(tmp_path / "x.bin")
    before, spoilt = load(path), bytearray(path.read_bytes())
    spoilt[-4 * (16 * 6 + 24) - 7] ^= 0x80  # the last matrix, before the last norm and the angles
    path.write_bytes(spoilt)
    after = load(path)
    assert [n for n in before.tensors if (before.tensors[n] != after.tensors[n]).any()] == [
        "layer1.mlp_fc1"
    ]
    assert abs(sequence_logits(after, TOKENS) - sequence_logits(before, TOKENS)).max() > 1e-5


# --- tokenizers -----------------------------------------------------------------------------------


MADE = {"ab": -1, " a": -3, " ab": -2, "abc": -4, "bc": -0.5, "aa": -6, "aaa": -5}


def tokenizer(count=270):
    """Bytes of a tokenizer file, pieces and scores: bytes as the older files list them."""
    pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *(bytes([b]) for b in range(256))]
    scores = [0.0] * len(pieces)
    for text, score in {" ": 0, "a": 0, "b": 0, "c": 0, **MADE}.items():
        pieces.append(text.encode())
        scores.append(score)
    pieces += [f"x{i}".encode() for i in range(count - len(pieces))]
    scores += [-99.0] * (count - len(scores))
    rows = (struct.pack("<fi", s, len(p)) + p for p, s in zip(pieces, scores, strict=True))
    return struct.pack("<I", 7) + b"".join(rows), pieces, scores


def greedy(text, pieces, scores):
    """llama2.c's own algorithm: the leftmost of the best pairs merges, until none is left."""
    ids = {piece: token for token, piece in enumerate(pieces) if token >= 259}
    tokens = []
    for character in " " + text:
        found = ids.get(character.encode())
        tokens += [b + 3 for b in character.encode()] if found is None else [found]
    while True:
        best = None
        for i in range(len(tokens) - 1):
            pair = ids.get(pieces[tokens[i]] + pieces[tokens[i + 1]])
            if pair is not None and (best is None or scores[pair] > scores[best[0]]):
                best = pair, i
        if best is None:
            return tokens
        tokens[best[1] : best[1] + 2] = [best[0]]


@pytest.mark.parametrize("beside", [True, False])
def test_the_tokenizer_merges_the_best_score_first(tmp_path, beside):
    path = write(tmp_path / "small.bin")
    there, pieces, scores = tokenizer()
    other = tmp_path / ("tokenizer.bin" if beside else "other.bin")
    other.write_bytes(there)
    c = load(path) if beside else load(path, other, "named")
    assert c.name == ("small" if beside else "named")
    assert c.vocabulary[13] == "<0x0A>"
    made = tokenizer_for(c)
    assert (made.start, made.stop) == (1, 1)
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("aaabbc é"), 12)) for _ in range(200)]
    for text in texts:
        assert made.encode(text) == greedy(text, pieces, scores), text
        assert made.decode(made.encode(text)) == text
    assert len({len(made.encode(text)) for text in texts}) > 3
    assert made.piece(264) == " a"


def test_without_a_tokenizer_tokens_are_words(tmp_path):
    made = tokenizer_for(load(write(tmp_path / "x.bin")))
    assert isinstance(made, WordTokenizer)
    assert made.encode("3 0 269") == [3, 0, 269]


# --- what cannot be used --------------------------------------------------------------------------


def changed(index, value):
    """A number of the header replaced."""

    def change(content):
        struct.pack_into("<i", content, 4 * index, value)
        return content

    return change


def nan(content):
    struct.pack_into("<f", content, 28 + 4 * 25, np.nan)
    return content


BAD = [
    (lambda c: c[:0], "it has 0 bytes; expected a model of llama2.c"),
    (lambda c: c[:27], "it has 27 bytes; expected a model of llama2.c"),
    (lambda c: c[:28], "it has 28 bytes, but its header describes 52,156:"),
    (lambda c: c[:-1], "it is damaged, was not copied whole"),
    (lambda c: c + b"\0", "it is damaged, was not copied whole"),
    (lambda c: b"24ka" + c[4:], "it has a later format of llama2.c; expected the first one"),
    (changed(0, 0), "its header holds a size below 1"),
    (changed(5, -(1 << 31)), "but its header describes 412,"),
    (changed(2, 1 << 30), "it has 52,156 bytes, but its header describes 1"),
    (changed(3, 5), "d_model 24 is not divisible by n_head 5"),
    (changed(4, 3), "n_head 4 is not divisible by n_kv_head 3"),
    (changed(6, 1 << 30), "but its header describes 25,"),
    (nan, "tensor wte holds nan at index [1, 1]"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), BAD)
def test_bad_models(tmp_path, change, sentence):
    path = write(tmp_path / "bad.bin")
    path.write_bytes(change(bytearray(path.read_bytes())))
    with pytest.raises(WeftError) as caught:
        load(path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


BAD_TOKENIZERS = [
    (lambda c: c[:2], "it lists 0 tokens; expected 270, one a row of wte"),
    (lambda c: c[:-9], "it lists 269 tokens; expected 270"),
    (lambda c: c + b"\0", "it has 1 bytes after 270 tokens"),
    (lambda c: c[:8] + b"\xff\xff\xff\x7f" + c[12:], "token 0 would have 2,147,483,647 bytes; the"),
    (lambda c: c[:8] + b"\xff\xff\xff\xff" + c[12:], "token 0 would have -1 bytes"),
    (lambda c: c[:-1] + b"\xff", "token 269 is not UTF-8 text"),
    (lambda c: c.replace(b"x1", b"x0"), "the tokenizer lists a piece twice"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), BAD_TOKENIZERS)
def test_bad_tokenizers(tmp_path, change, sentence):
    path = write(tmp_path / "x.bin", replace(BASE, n_vocab=272))
    there = tokenizer(272)[0]
    (tmp_path / "tokenizer.bin").write_bytes(change(there))
    with pytest.raises(WeftError) as caught:
        load(path)
    assert sentence.replace("270", "272").replace("269", "271") in str(caught.value)
    assert str(tmp_path / "tokenizer.bin") in str(caught.value)


def test_no_file(tmp_path):
    for path in (tmp_path / "none.bin", tmp_path):
        with pytest.raises(WeftError, match="expected a file of llama2"):
            load(path)
