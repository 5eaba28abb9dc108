"""``make image`` and ``make image-info``."""

import random
import zlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from golden.blocks import GROUP_BYTES, Blocks
from golden.cli import run
from golden.quantize import Options, outside_scales, quantize
from golden.resize import LONGEST
from hdl.external.image import memory_bytes
from hdl.external.image_file import opened
from hdl.external.layout import Layout
from sim import build
from sim.__main__ import app
from tests.llama import BASE, random_llama

CHECKPOINT = random_llama(replace(BASE, d_model=64, d_ff=96, n_layer=3))


def sim(capsys, *arguments):
    """Run ``python -m sim`` in this process: status, stdout, stderr."""
    try:
        run(app, "python -m sim", list(map(str, arguments)))
        status = 0
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "load", lambda model, checkpoint: CHECKPOINT)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "port", "options"),
    [
        ([], 128, Options(scales="row")),
        (["--port=16", "--scales=group", "--cache-bits=8"], 16, Options(None, 8, "group", 8)),
    ],
)
def test_an_image_is_written_and_shown(capsys, folder, words, port, options):
    status, out, err = sim(capsys, "image", "--model=stories15m", *words)
    assert (status, err) == (0, "")
    path = folder / "build/image/stories15m.weft"
    assert f"build/image/stories15m.weft  {path.stat().st_size:,} bytes, plan " in out
    layout = Layout(quantize(CHECKPOINT, options), port)
    found = opened(path)
    found.check_layout(layout)
    data = found.read(0, found.header.data_bytes)
    assert data == memory_bytes(layout).tobytes()
    status, out, err = sim(capsys, "image-info", f"--file={path}")
    assert (status, err) == (0, "")
    for said in ("random", layout.plan.digest(), CHECKPOINT.digest, "verified    yes",
                 "3 layers, d=64, 4 heads of 16, 2 of keys and values, ff=96, context 16, 11 tok",
                 f"port of {port} bits, {layout.end:,} beats", "layer1 to layer2",
                 f"{options.cache_bits}-bit keys and values, tied head"):  # fmt: skip
        assert said in out
    assert "layer1.q" not in out
    _, out, _ = sim(capsys, "image-info", f"--file={path}", "--every")
    assert all(entry.name in out for entry in found.header.entries)


@pytest.mark.parametrize(
    ("words", "slots"), [([], LONGEST), (["--context=100"], 100), (["--window=30"], 30)]
)
def test_an_image_is_of_the_plan_that_cores_have(capsys, folder, monkeypatch, words, slots):
    """A longer context than cores keep by themselves, another one, a window."""
    long = replace(CHECKPOINT, config=replace(CHECKPOINT.config, n_ctx=2 * LONGEST))
    monkeypatch.setattr(build, "load", lambda model, checkpoint: long)
    assert sim(capsys, "image", "--model=stories15m", *words)[0] == 0
    header = opened(folder / "build/image/stories15m.weft").header
    asked = {name.lstrip("-"): int(value) for name, value in (w.split("=") for w in words)}
    target = build.Target("stories15m", scales="row", **asked)
    assert header.shapes.slots == slots
    assert header.plan == build.make_design(target).plan.digest()


def test_the_cost_of_a_token(capsys, folder):
    sim(capsys, "image", "--scales=group")
    _, out, _ = sim(capsys, "image-info", "--file=build/image/smollm2.weft")
    matrices = 2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64
    weights = 3 * (matrices // 32 * 20 + 2 * 2 * 64) + 2 * 64 + 11 * (64 + 2)
    token = 3 * 2 * (2 * 16 * 2 + 2)
    for count in (weights + 66, weights + 66 + 2 * token, weights + 66 + 17 * token):
        assert f" {count:,} bytes  {count / 14.233:>12,.0f} cycles" in out


def test_a_damaged_image_is_shown_and_refused(capsys, folder):
    sim(capsys, "image", "--output=some.weft")
    path = folder / "some.weft"
    header, data = opened(path).header, bytearray(path.read_bytes())
    entry = next(each for each in header.entries if each.name == "layer2.gate")
    data[header.data_offset + entry.offset + 5] ^= 4
    path.write_bytes(data)
    status, out, err = sim(capsys, "image-info", "--file=some.weft")
    assert status == 2
    assert err.startswith("weft: some.weft is damaged: bits of tensor layer2.gate are not those ")
    assert err.count("\n") == 1
    assert "verified    NO" in out
    (line,) = (line for line in out.splitlines() if "DAMAGED" in line)
    assert line.split()[0] == "layer2.gate"


def test_a_header_that_lies_is_shown_or_refused(capsys, folder):
    sim(capsys, "image", "--output=some.weft")
    path, rng = folder / "some.weft", random.Random(1)
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    for at in rng.sample(range(24, length - 4), 150):
        spoilt = bytearray(data)
        spoilt[at] = rng.choice([0, 0x5B, 0xFF])
        spoilt[length - 4 : length] = zlib.crc32(spoilt[: length - 4]).to_bytes(4, "little")
        path.write_bytes(spoilt)
        status, _, err = sim(capsys, "image-info", "--file=some.weft")
        assert status in (0, 2), (at, err)
        assert err.count("\n") == (status == 2)


def test_models_of_other_families_are_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = sim(capsys, "image", "--model=microgpt")
    assert status == 2
    assert "llama family" in err
    assert not list(tmp_path.rglob("*.weft"))


@pytest.mark.parametrize(
    ("kinds", "scales"),
    [(["Q4_1", "Q4_0"], "group"), (["Q4_1", "Q8_0"], "row"), (["Q4_1", None], "row")],
)
def test_groups_of_the_file_are_kept_if_all_layers_have_them(kinds, scales):
    matrices = [name for name, shape in CHECKPOINT.config.shapes.items() if shape[1:]]
    matrices = [name for name in matrices if name.startswith("layer")]
    kept = {name: kinds[k % 2] for k, name in enumerate(matrices)}
    blocks = {name: Blocks(kind, np.zeros((1, 1, GROUP_BYTES[kind]), np.uint8))
              for name, kind in kept.items() if kind}  # fmt: skip
    found = SimpleNamespace(config=CHECKPOINT.config, blocks=blocks)
    assert outside_scales(found) == scales
