import struct
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.errors import WeftError
from golden.reference import forward
from golden.zoo.gguf import load
from golden.zoo.gguf_file import GgufFile
from tests.gguf_files import GROUPED, refusal, write
from tests.llama import random_llama


def test_rows_that_are_no_groups(tmp_path):
    # The writer refuses such rows, so the entry of the tensor is changed afterwards.
    path = write(tmp_path / "x", random_llama(GROUPED), "Q4_1")
    content = path.read_bytes()
    entry = b"blk.1.ffn_down.weight" + struct.pack("<IQQ", 2, 160, 96)
    assert content.count(entry) == 1
    path.write_bytes(content.replace(entry, entry[:-16] + struct.pack("<QQ", 150, 96)))
    sentence = "tensor blk.1.ffn_down.weight has rows of 150 elements; expected a multiple of 32"
    assert sentence in refusal(path)


def put(offset, code, value):
    return lambda content: struct.pack_into(f"<{code}", content, offset, value)


def after(text, code, value, skip=0):
    def change(content):
        struct.pack_into(f"<{code}", content, content.index(text) + len(text) + skip, value)

    return change


HEADERS = [
    (put(0, "I", 0), "it does not begin as a GGUF file does"),
    (put(4, "I", 1), "it has version 1 of GGUF; expected 2 or 3"),
    (put(4, "I", 3 << 24), "it has version 50331648 of GGUF; expected 2 or 3, little endian"),
    (put(8, "Q", 1 << 60), "1,152,921,504,606,846,976 tensors, 16 fields would take"),
    (put(16, "Q", 1 << 60), "20 tensors, 1,152,921,504,606,846,976 fields would take"),
    (put(24, "Q", 1 << 62), "the name of field 0 would take 4,611,686,018,427,387,904 bytes"),
    (after(b"general.architecture", "I", 99), "architecture holds values of type number 99"),
    (after(b"general.architecture", "Q", 1 << 50, 4), "field general.architecture would take"),
    (after(b"llama.block_count", "I", 13), "llama.block_count holds values of type number 13"),
    (after(b"tokenizer.ggml.tokens", "I", 9, 4), "tokens holds values of type number 9"),
    (after(b"tokenizer.ggml.tokens", "Q", 1 << 59, 8), "field tokenizer.ggml.tokens would take"),
    (after(b"tokenizer.ggml.token_type", "Q", 1 << 61, 8), "tokenizer.ggml.token_type would take"),
    (after(b"tokenizer.ggml.bos_token_i", "B", ord("x")), "bos_token_ix is not"),
    (after(b"blk.1.attn_q.weight", "I", 1 << 31), "attn_q.weight has 2,147,483,648 dimensions"),
    (after(b"blk.1.attn_q.weight", "Q", 0, 4), "attn_q.weight has shape (96, 0) and begins"),
    (after(b"blk.1.attn_q.weight", "Q", 1 << 62, 12), "attn_q.weight would end at byte 276,7"),
    (after(b"blk.1.attn_q.weight", "Q", 1 << 62, 24), "attn_q.weight would end at byte 4,611,686,"),
    (after(b"blk.1.attn_q.weight", "Q", 33, 24), "attn_q.weight has shape (96, 96) and begins at"),
    (after(b"blk.1.attn_", "B", ord("v")), "tensor blk.1.attn_v.weight is there twice"),
    (after(b"llama.attention.head_count", "B", 0xFF, -3), "the name of field 5 is not UTF-8 text"),
    (lambda content: content.extend(bytes(64)), "it has 64 bytes after the end of its tensors"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), HEADERS)
def test_bad_headers(tmp_path, change, sentence):
    path = write(tmp_path / "bad.gguf", random_llama(GROUPED), "Q4_1")
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    if "is not" in sentence and "UTF" not in sentence:
        assert load(path).tokenizer.start == 0  # a name that is not known is passed over
    else:
        assert sentence in refusal(path)


def test_truncated_files(tmp_path):
    path = write(tmp_path / "short.gguf", random_llama(replace(GROUPED, n_layer=1)), "Q4_0")
    content = path.read_bytes()
    with GgufFile(path) as file:
        start = min(info.offset for info in file.tensors.values())
    for length in (*range(0, start, 97), start, (start + len(content)) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        sentence = refusal(path)
        assert "was not copied whole" in sentence, length


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damage_never_ends_in_a_traceback(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "x"
    content = bytearray(write(path, random_llama(replace(GROUPED, n_layer=1)), "Q4_1").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, 2600))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(WeftError):
        forward(load(path), [0, 1])
