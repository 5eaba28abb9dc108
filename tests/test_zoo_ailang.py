from pathlib import Path

import numpy as np
import pytest

from golden import zoo
from golden.errors import WeftError
from golden.reference import Cache, forward
from golden.tokenizer import tokenizer_for
from golden.zoo import ailang


def test_shape():
    c = zoo.load("ailang")
    assert (c.config.n_layer, c.config.n_head, c.config.d_model, c.config.d_ff) == (1, 4, 32, 128)
    assert (c.config.n_vocab, c.config.window, c.config.position) == (1000, 4, "none")
    assert (c.config.activation, c.config.norm_embedding) == ("gelu", True)
    assert c.config.parameters == 2 * 1000 * 32 + 4 * 32 * 32 + 2 * 32 * 128


def test_weights_are_the_same_everywhere():
    assert zoo.load("ailang").digest == (
        "f1afd3866bc28fbb40d0404a624466f0914401ac920f8b2274f647724fdb1957"
    )
    assert ailang.load(seed=1).digest != zoo.load("ailang").digest


def test_words_are_distinct_and_readable():
    words = ailang.vocabulary()
    assert len(set(words)) == len(words) == 1000
    assert all(len(word) == 6 and word.isalpha() for word in words)
    assert words[0] == "barana"
    assert words[123] == ailang.FIRST[1] + ailang.MIDDLE[2] + ailang.LAST[3] == "demilo"


def test_it_talks_without_end_and_without_repeating_one_word():
    c = zoo.load("ailang")
    tokenizer = tokenizer_for(c)
    token, cache, seen = tokenizer.start, Cache(), []
    for _ in range(40):
        token = int(np.argmax(forward(c, [token], cache)[-1]))
        seen.append(token)
    assert len(set(seen)) > 4
    assert tokenizer.encode(tokenizer.decode(seen)) == seen


def test_no_weights_from_a_file():
    with pytest.raises(WeftError, match="ailang has seeded weights and cannot take weights"):
        zoo.load("ailang", Path("weights"))
