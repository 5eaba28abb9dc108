"""hdl/external/image_file.py and image_header.py: files that are right, and all that are not."""

import random
import struct
import zlib
from contextlib import suppress
from dataclasses import replace
from functools import cache

import pytest

from golden.config import LINEARS
from golden.errors import WeftError
from golden.quantize import Options, quantize
from hdl.external import image_file, image_header
from hdl.external.image import memory_bytes
from hdl.external.image_file import opened
from hdl.external.image_header import CRC, ENTRY, OPENING, VERSION
from hdl.external.layout import Layout
from tests.llama import BASE, random_llama

CONFIG = replace(BASE, d_model=64, d_ff=96, n_vocab=37)


@cache
def checkpoint():
    return random_llama(CONFIG)


@cache
def layout_of(scales="group", port=64, seed=0, cache_bits=16, biases=()):
    made = checkpoint() if seed == 0 else random_llama(CONFIG, seed)
    made = random_llama(replace(CONFIG, biases=biases)) if biases else made
    return Layout(quantize(made, Options(scales=scales, cache_bits=cache_bits)), port)


def written(folder, layout=None):
    path = folder / "some.weft"
    image_file.write(path, layout or layout_of(), checkpoint().digest)
    return path


def refusal(path, act=opened):
    """The sentence with which a file is refused."""
    with pytest.raises(WeftError) as caught:
        act(path)
    said = str(caught.value)
    assert str(path) in said
    assert "\n" not in said
    return said


def test_what_was_written_is_read(tmp_path):
    layout, told = layout_of(), []
    path = tmp_path / "deep" / "some.weft"
    header = image_file.write(path, layout, checkpoint().digest, told.append)
    image = opened(path)
    assert image.header == header
    assert sum(told) == header.data_bytes == layout.weights_end * layout.port // 8
    assert header.data_offset % 4096 == 0
    assert path.read_bytes()[header.data_offset :] == memory_bytes(layout).tobytes()
    image.check()
    image.check_layout(layout)
    assert (header.model, header.port) == ("random", 64)
    assert (header.plan, header.checkpoint) == (layout.plan.digest(), checkpoint().digest)
    shapes = header.shapes
    assert (shapes.layers, shapes.heads, shapes.kv_heads, shapes.d_head) == (2, 4, 2, 16)
    assert (shapes.d_model, shapes.d_ff, shapes.n_vocab, shapes.slots) == (64, 96, 37, 16)
    assert (shapes.cache_bits, shapes.tied) == (16, True)
    assert header.memory_beats == layout.end


def test_the_bytes_that_the_documentation_tells(tmp_path):
    # Written without image_header: offsets as in docs/image.md.
    layout = layout_of()
    data = written(tmp_path).read_bytes()
    assert data[:8] == b"\x89WEFT\r\n\x1a"
    version, length, tensors, port = struct.unpack_from("<4I", data, 8)
    assert (version, tensors, port) == (1, len(layout.tensors), 64)
    assert length == 256 + 72 * tensors + 4
    offset, size = struct.unpack_from("<2Q", data, 24)
    assert offset + size == len(data)
    assert data[40:72].hex() == layout.plan.digest()
    assert data[72:104].hex() == checkpoint().digest
    assert data[136:200].rstrip(b"\0") == b"random"
    assert struct.unpack_from("<12I", data, 200) == (2, 4, 2, 16, 64, 96, 37, 16, 16, 1, 64, 24)
    assert struct.unpack_from("<Q", data, 248) == (layout.end,)
    assert struct.unpack_from("<I", data, length - 4) == (zlib.crc32(data[: length - 4]),)
    names = []
    for k in range(tensors):
        at = 256 + 72 * k
        names.append(data[at : at + 32].rstrip(b"\0").decode())
        kind, layer, rows, columns, exponent = struct.unpack_from("<4Ii", data, at + 32)
        first, count, crc = struct.unpack_from("<2QI", data, at + 52)
        tensor = layout.tensors[k]
        assert first == tensor.first * 8
        assert crc == zlib.crc32(data[offset + first :][:count])
        if names[-1] == "layer1.fc2":
            assert (kind, layer, rows, columns) == (3, 1, 64, 96)
            assert exponent == tensor.stage.weight_exponent
    assert names[:2] == ["layer0.norm_attention", "layer0.q"]
    assert names[-2:] == ["epilogue.norm_head", "epilogue.logits"]


def test_one_tensor_alone(tmp_path):
    layout = layout_of("row")
    path = written(tmp_path, layout)
    image, memory = opened(path), memory_bytes(layout).tobytes()
    for entry in image.header.entries:
        assert image.tensor(entry.name) == memory[entry.offset :][: entry.length]
    assert "no tensor layer9.q" in refusal(path, lambda path: image.tensor("layer9.q"))


def test_the_same_model_gives_the_same_bytes(tmp_path):
    assert written(tmp_path).read_bytes() == written(tmp_path / "again").read_bytes()


def test_biases_are_tensors_of_their_own(tmp_path):
    layout = layout_of(biases=LINEARS)
    path = written(tmp_path, layout)
    header, data = opened(path).header, path.read_bytes()
    biases = {t.stage.name: t.stage for t in layout.tensors if t.stage.kind == "bias"}
    entries = {e.name: e for e in header.entries if e.form == "biases"}
    assert set(entries) == {f"layer{i}.{name}" for i in range(2) for name in biases}
    stage, entry = biases["k_bias"], entries["layer1.k_bias"]
    assert (entry.kind, entry.layer, entry.rows, entry.columns) == (4, 1, 1, stage.output_size)
    assert entry.exponent == stage.format.exponent < 0
    assert entry.unpadded == entry.length == 4 * stage.output_size
    found = struct.unpack_from(f"<{entry.columns}i", data, header.data_offset + entry.offset)
    assert list(found) == stage.bias.tolist()


@pytest.mark.parametrize("biases", [(), LINEARS])
def test_a_flipped_bit_of_every_tensor_is_found_and_named(tmp_path, biases):
    path, rng = written(tmp_path, layout_of(biases=biases)), random.Random(1)
    data, header = path.read_bytes(), opened(path).header
    for entry in header.entries:
        spoilt = bytearray(data)
        spoilt[header.data_offset + entry.offset + rng.randrange(entry.length)] ^= 1 << 3
        path.write_bytes(spoilt)
        image = opened(path)
        assert image.damaged() == [entry.name]
        said = refusal(path, lambda path, image=image: image.check())
        assert f"tensor {entry.name} " in said
        assert entry.name in refusal(path, lambda path, i=image, e=entry: i.tensor(e.name))
        others = [each for each in header.entries if each != entry]
        image.tensor(rng.choice(others).name)


def test_several_damaged_tensors_are_counted(tmp_path):
    path = written(tmp_path)
    data = bytearray(path.read_bytes())
    header = opened(path).header
    for entry in header.entries[2:5]:
        data[header.data_offset + entry.offset] ^= 1
    path.write_bytes(data)
    assert "tensor layer0.k and 2 others" in refusal(path, lambda path: opened(path).check())


def small():
    """The layout of a file whose header is most of it."""
    return Layout(quantize(random_llama(replace(BASE, n_layer=1)), Options(scales="row")), 16)


def test_every_byte_of_the_header_counts(tmp_path):
    path = written(tmp_path, small())
    data = path.read_bytes()
    rng, offset = random.Random(2), opened(path).header.data_offset
    for at in (*range(image_header.header_bytes(len(small().tensors))), *range(1100, offset, 100)):
        spoilt = bytearray(data)
        spoilt[at] ^= rng.randrange(1, 256)
        path.write_bytes(spoilt)
        refusal(path)


def test_a_header_that_lies_is_no_traceback(tmp_path):
    # As above, with a CRC that is right: what is said must be possible, or is found in the data.
    path = written(tmp_path, small())
    data, tensors = path.read_bytes(), len(small().tensors)
    length = image_header.header_bytes(tensors)
    rng, refused = random.Random(3), 0
    for at in range(length - CRC.size):
        spoilt = bytearray(data)
        spoilt[at] ^= rng.randrange(1, 256)
        spoilt[length - 4 : length] = CRC.pack(zlib.crc32(spoilt[: length - 4]))
        path.write_bytes(spoilt)
        with suppress(WeftError):
            opened(path).check()
            continue
        refused += 1
    assert refused > tensors * 20


def lying(data, at, form, *values):
    """The file with other values in its header, and the CRC that fits them."""
    spoilt = bytearray(data)
    struct.pack_into(form, spoilt, at, *values)
    (length,) = struct.unpack_from("<I", data, 12)
    spoilt[length - 4 : length] = CRC.pack(zlib.crc32(spoilt[: length - 4]))
    return bytes(spoilt)


FIRST = OPENING.size


@pytest.mark.parametrize(
    ("at", "form", "values", "said"),
    [
        (0, "<8s", (b"GGUF\3\0\0\0",), "no weight image"),
        (8, "<I", (VERSION + 1,), "version 2; expected version 1"),
        (16, "<I", (0xFFFFFFFF,), "damaged header"),
        (16, "<I", (0,), "damaged header"),
        (12, "<2I", (256 + 72 * 65537 + 4, 65537), "damaged header"),
        (20, "<I", (48,), "port of 48 bits; expected one of 16, 32, 64, 128"),
        (24, "<Q", (8192,), "expected"),
        (32, "<Q", (1 << 60,), "bytes of data"),
        (136, "<B", (0xFF,), "no text"),
        (137, "<B", (10,), "no text"),
        (FIRST + 32, "<I", (5,), "kind 5; expected 1 to 4"),
        (FIRST + 40, "<I", (0,), "0 rows"),
        (FIRST + ENTRY.size + 44, "<I", (65,), "with rows of 65 codes; expected a multiple of 32"),
        (FIRST + ENTRY.size + 44, "<I", (96,), "as 2560 bytes"),
        (FIRST + ENTRY.size + 52, "<Q", (0,), "from 0 on; expected"),
        (FIRST + ENTRY.size + 60, "<Q", (1 << 63,), "expected"),
        (104, "<I", (7,), "SHA-256"),
    ],
)
def test_what_a_header_may_not_say(tmp_path, at, form, values, said):
    path = written(tmp_path)
    path.write_bytes(lying(path.read_bytes(), at, form, *values))
    assert said in refusal(path, lambda path: opened(path).check())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"", "no weight image"),
        (lambda data: data[:100], "cut short after 100 bytes"),
        (lambda data: data[:300], "cut short after 300 bytes"),
        (lambda data: data[:-1], "is cut short: it has"),
        (lambda data: data + b"\0", "goes on behind its end"),
        (lambda data: bytes(len(data)), "no weight image"),
    ],
    ids=["empty", "in the opening", "in the entries", "truncated", "oversized", "zeros"],
)
def test_files_of_a_wrong_size(tmp_path, change, said):
    path = written(tmp_path)
    path.write_bytes(change(path.read_bytes()))
    assert said in refusal(path)


def test_no_file(tmp_path):
    assert "`make image` writes one" in refusal(tmp_path / "none.weft")
    assert "cannot be read" in refusal(tmp_path)


def test_another_plan_or_port_is_refused(tmp_path):
    path = written(tmp_path)
    image = opened(path)
    for other in (layout_of(seed=1), layout_of("row"), layout_of(cache_bits=8)):
        said = refusal(path, lambda path, other=other: image.check_layout(other))
        assert other.plan.digest()[:16] in said
        assert layout_of().plan.digest()[:16] in said
    said = refusal(path, lambda path: image.check_layout(layout_of(port=128)))
    assert "64 bits; expected 128" in said


def test_a_write_that_fails_leaves_nothing(tmp_path):
    path = written(tmp_path)
    before = path.read_bytes()

    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image_file.write(path, layout_of(seed=1), "00" * 32, stop)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "kept"), [("ä" * 40, "ä" * 32), ("a\nb\0", "a?b?")])
def test_a_name_is_cut_and_printable(tmp_path, name, kept):
    named = Layout(replace(layout_of().plan, name=name), 64)
    assert opened(written(tmp_path, named)).header.model == kept
