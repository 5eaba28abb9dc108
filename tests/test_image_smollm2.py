"""The image of SmolLM2: groups of its file, untouched; written and verified in seconds."""

import numpy as np
import pytest

from golden import zoo
from golden.quantize import Options, quantize
from hdl.external import image_file
from hdl.external.image_file import opened
from hdl.external.layout import Layout
from tests.memory_reader import Bits, read_groups

pytestmark = pytest.mark.models


@pytest.mark.parametrize("port", [128])
def test_groups_of_the_file_lie_in_the_memory(tmp_path, port):
    checkpoint = zoo.load("smollm2")
    layout = Layout(quantize(checkpoint, Options(scales="group")), port)
    path = tmp_path / "smollm2.weft"
    image_file.write(path, layout, checkpoint.digest)
    image = opened(path)
    image.check()
    assert image.header.data_bytes == 94_835_328
    for layer, stage, tensor in ((0, "k", "attn_wk"), (29, "v", "attn_wv"), (7, "k", "attn_wk")):
        blocks = checkpoint.blocks[f"layer{layer}.{tensor}"]
        memory = Bits(image.tensor(f"layer{layer}.{stage}"), port)
        codes, scales, minima = read_groups(memory, *blocks.shape)
        np.testing.assert_array_equal(codes, blocks.codes)
        np.testing.assert_array_equal(scales, blocks.scales.astype(np.float64) * 2**24)
        np.testing.assert_array_equal(minima, blocks.minima.astype(np.float64) * 2**24)
