from dataclasses import replace

import numpy as np
import pytest

from golden import zoo
from golden.reference import forward
from golden.tokenizer import tokenizer_for

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def stories():
    return zoo.load("stories15m")


def test_stories(stories):
    c = stories.config
    assert (c.n_layer, c.n_head, c.kv_heads, c.d_model, c.d_ff) == (6, 6, 6, 288, 768)
    assert (c.n_vocab, c.n_ctx, c.tied_head, stories.name) == (32000, 256, True, "stories15m")
    assert stories.digest == "77aa1d130e240bcd9a5ea51f4a8c9cb92654fc1c43e772061dab8c9e6fc1c057"


TOP = {29892: 18.35974, 727: 14.97888, 297: 11.36684, 263: 10.01749, 1023: 7.99323}
"""Logits of llama2.c's run.c after <s> and "Once upon a time"."""


def test_logits_are_those_of_llama2c(stories):
    tokens = [1, 9038, 2501, 263, 931]
    assert tokenizer_for(stories).encode("Once upon a time") == tokens[1:]
    found = forward(stories, tokens)[-1]
    assert np.argsort(-found)[:5].tolist() == list(TOP)
    assert {token: found[token] for token in TOP} == pytest.approx(TOP, abs=0.001)
    turned = replace(stories, config=replace(stories.config, rope_theta=1000.0))
    other = forward(turned, tokens)[-1]
    assert {token: other[token] for token in TOP} != pytest.approx(TOP, abs=0.001)


TEXTS = {
    "Hello,  wörld! 日本 🙂 don't": [
        15043, 29892, 29871, 281, 1340, 430, 29991, 29871, 30325, 30346, 29871, 243, 162, 156, 133,
        1016, 29915, 29873,
    ],
    "   lots   of     spaces": [1678, 14568, 259, 310, 268, 8162],
    "aaaaaaaaaaa bbb": [263, 27137, 27137, 7340, 289, 1327],
}  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_are_those_of_llama2c(stories, text):
    assert tokenizer_for(stories).encode(text) == TEXTS[text]
    assert tokenizer_for(stories).decode(TEXTS[text]) == text
