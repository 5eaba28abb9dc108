import numpy as np
import pytest

from golden.blocks import GROUP_BYTES, KINDS, Blocks, Rows
from tests.gguf_files import dequantised


@pytest.mark.parametrize("kind", KINDS)
def test_every_code_at_every_place(kind):
    # 64 groups: each of the 256 bytes of codes stands in many places, beside scales of all sizes.
    rng = np.random.default_rng(3)
    raw = rng.integers(0, 256, (8, 8, GROUP_BYTES[kind]), np.uint8)
    halves = (2, 4)[kind == "Q4_1"]
    floats = rng.standard_normal((8, 8, halves // 2)) * 2.0 ** rng.integers(-14, 12, (8, 8, 1))
    raw[..., :halves] = floats.astype("<f2").view(np.uint8)
    blocks = Blocks(kind, raw)
    assert blocks.shape == blocks.codes.shape == (8, 256)
    assert blocks.scales.shape == (8, 8)
    expected = dequantised(raw.tobytes(), kind, (8, 256))
    np.testing.assert_array_equal(blocks.dequantise(), expected, strict=True)
    raw[3, 4, -1] ^= 0x10
    assert (Blocks(kind, raw).dequantise() != expected).sum() == 1


def test_scales_that_are_no_numbers_are_left_to_others():
    raw = np.zeros((1, 1, 18), np.uint8)
    raw[..., :2] = np.array([np.inf], "<f2").view(np.uint8)
    assert np.isinf(Blocks("Q4_0", raw).dequantise()).all()
    assert np.isnan(Blocks("Q8_0", np.pad(raw, ((0, 0), (0, 0), (0, 16)))).dequantise()).all()


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_rows(kind):
    rng = np.random.default_rng(4)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max + 1
    codes, zeros = (rng.integers(low, high, size, kind) for size in ((5, 300), 5))
    scales = rng.standard_normal(5).astype(np.float32)
    rows = Rows(codes, scales, zeros)
    assert rows.shape == (5, 300)
    exact = (codes.astype(float) - zeros.astype(float)[:, None]) * scales.astype(float)[:, None]
    np.testing.assert_array_equal(rows.dequantise(), exact.astype(np.float32), strict=True)
