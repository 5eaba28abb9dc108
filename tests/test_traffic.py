from dataclasses import replace

import pytest

from golden.config import LINEARS
from golden.quantize import Options, quantize
from golden.traffic import cache_bytes, float_bytes, weight_bytes
from tests.gguf_files import GROUPED
from tests.llama import random_llama
from tests.random_models import CONFIGS, random_checkpoint

D, KV, FF, VOCAB = 96, 32, 160, 37
MATRICES = 2 * (2 * D * D + 2 * KV * D + 3 * FF * D)
ROWS = 2 * (2 * D + 2 * KV + 2 * FF + D)
GAINS = 2 * D * 5
HEAD = VOCAB * (D + 2) + D + 2


def plan_of(scales, cache_bits=16, config=GROUPED):
    return quantize(random_llama(config), Options(scales=scales, cache_bits=cache_bits))


def test_weights_by_hand():
    assert weight_bytes(plan_of("group")) == MATRICES // 32 * 20 + GAINS + HEAD
    assert weight_bytes(plan_of("row")) == MATRICES + 2 * ROWS + GAINS + HEAD
    assert weight_bytes(plan_of("row", 8)) == weight_bytes(plan_of("row"))
    matrix = 2 * (4 * D * D + 3 * FF * D) + VOCAB * D  # heads of keys are repeated, gains folded
    assert weight_bytes(plan_of("matrix")) == matrix + 2 * D


@pytest.mark.parametrize("scales", ["group", "row"])
def test_biases_by_hand(scales):
    some, every = (replace(GROUPED, biases=names) for names in (LINEARS[:3], LINEARS))
    plain = weight_bytes(plan_of(scales))
    assert weight_bytes(plan_of(scales, config=some)) - plain == 2 * 4 * (D + 2 * KV)
    assert weight_bytes(plan_of(scales, config=every)) - plain == 2 * 4 * (3 * D + 2 * KV + 2 * FF)


def test_a_token_of_a_prompt_does_not_read_the_head():
    for scales in ("row", "group"):
        plan = plan_of(scales)
        without = weight_bytes(plan) - weight_bytes(plan, sampled=False)
        assert without == VOCAB * (D + 2) + 2 * D  # with its scales, and the gains before it


def test_tables_of_small_models():
    plan = quantize(random_checkpoint(CONFIGS["microgpt"]))
    assert weight_bytes(plan) == 4 * 16 * 16 + 2 * 16 * 64 + 27 * 16 + 2 * 16 * 2


@pytest.mark.parametrize(("bits", "entry"), [(16, 2 * 2 * (2 * 16 + 1)), (8, 2 * 2 * (16 + 1))])
@pytest.mark.parametrize("position", [0, 1, 15])
def test_keys_and_values_by_hand(bits, entry, position):
    # Two layers of two heads: what is in sight is read, and an entry is written.
    assert cache_bytes(plan_of("row", bits), position) == 2 * entry * (position + 2)


def test_a_window_bounds_them():
    plan = plan_of("row", config=replace(GROUPED, window=4))
    assert cache_bytes(plan, 3) == cache_bytes(plan, 15) > cache_bytes(plan, 2)


def test_the_float_model_by_hand():
    weights, cache = float_bytes(GROUPED, 9)
    assert weights == 4 * (MATRICES + GAINS // 2 + VOCAB * D + D)
    assert cache == 4 * 2 * 2 * KV * 11
    separate = replace(GROUPED, tied_head=False)
    assert float_bytes(separate, 9)[0] == weights
    assert float_bytes(replace(GROUPED, window=4), 9)[1] == 4 * 2 * 2 * KV * 5
    learned = CONFIGS["microgpt"]
    assert float_bytes(learned, 0)[0] == 4 * (4 * 16 * 16 + 2 * 16 * 64 + 27 * 16 + 2 * 16)


def test_smaller_formats_are_smaller():
    sizes = [
        float_bytes(GROUPED, 9)[0],
        weight_bytes(plan_of("row")),
        weight_bytes(plan_of("group")),
    ]
    assert sizes == sorted(sizes, reverse=True)
