"""boards/host/memory.py and sim/chunks.py: an image into a memory, over bad lines and good ones."""

from dataclasses import replace
from functools import cache

import pytest

from boards.host import memory
from boards.host.memory import Loaded, flags, load, tensors
from golden.quantize import Options, quantize
from hdl.external import image_file
from hdl.external.image import memory_bytes
from hdl.external.image_file import opened
from hdl.external.layout import Layout
from sim.chunks import WINDOW, Sender, chunks
from sim.host import Link
from sim.replies import LinkError, Memory, NoReply, Refused
from tests.fake_memory import CHUNK_BEATS, CLOCK_HZ, FakeMemory
from tests.llama import BASE, random_llama
from tests.test_loader import Wire

PORT = 64


@cache
def layout():
    return Layout(quantize(random_llama(BASE), Options(scales="row")), PORT)


@cache
def content():
    return memory_bytes(layout()).tobytes()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "some.weft"
    image_file.write(path, layout(), "00" * 32)
    return opened(path)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(memory, "PIECE", 2048)


def device(**options):
    return FakeMemory(layout().plan.digest(), layout().end, PORT // 8, **options)


def link_to(port):
    return Link(port, timeout=0.5, token_timeout=1.0, clock=lambda: port.now)


def refusal(port, image):
    with pytest.raises(LinkError) as caught:
        load(link_to(port), image, 1_000_000)
    return str(caught.value)


def test_an_image_lies_in_the_memory(image):
    port, told = device(), []
    assert load(link_to(port), image, 1_000_000, told.append) == Loaded(len(content()), 0)
    assert port.memory[: len(content())] == content()
    assert not any(port.memory[len(content()) :])
    assert sum(told) == len(content()) == port.written
    # Again: nothing is sent, everything compared.
    assert load(link_to(port), image, 1_000_000) == Loaded(0, len(content()))
    assert port.written == len(content())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_over_a_bad_line(image, noise, seed):
    port, told = device(noise=noise, seed=seed), []
    load(link_to(port), image, 1_000_000, told.append)
    assert port.memory[: len(content())] == content()
    assert sum(told) == len(content())


def test_a_load_goes_on_where_it_was_interrupted(image):
    port, told = device(), []
    port.silent_after = len(content()) // 2
    assert "broke" in refusal(port, image)
    port.silent_after = None
    done = load(link_to(port), image, 1_000_000, told.append)
    assert done.kept > len(content()) // 2 - 2 * memory.PIECE
    assert done.sent == len(content()) - done.kept
    assert sum(told) == len(content())
    assert port.memory[: len(content())] == content()


def test_only_a_piece_with_a_flipped_bit_is_sent_again(image):
    port = device()
    load(link_to(port), image, 1_000_000)
    port.memory[5000] ^= 8
    assert load(link_to(port), image, 1_000_000).sent == memory.PIECE
    assert port.memory[: len(content())] == content()


def test_a_bit_that_does_not_stay_is_told_with_its_tensor(image):
    port = device()
    entry = next(e for e in image.header.entries if e.name == "layer1.gate")
    at = next(k for k in range(entry.offset, len(content())) if not content()[k] & 1)
    port.dead = (at,)
    said = refusal(port, image)
    assert "did not lie there afterwards" in said
    assert "layer1" in said
    (named,) = (e.name for e in image.header.entries if 0 <= at - e.offset < e.length)
    assert tensors(image, at, b"x") == named


def test_other_devices_are_refused(image):
    port = device()
    port.plan = "12" * 32
    assert "holds the plan 1212121212121212 and" in refusal(port, image)
    assert "no external memory" in refusal(FakeMemory(layout().plan.digest(), 0, 8), image)
    port = FakeMemory(layout().plan.digest(), layout().end - 1, 8)
    assert f"the device's memory has {layout().end - 1:,}" in refusal(port, image)
    port = FakeMemory(layout().plan.digest(), layout().end, 16)
    assert "port of 64 bits and the device's has 128" in refusal(port, image)
    port = device()
    port.busy = True
    assert "is busy" in refusal(port, image)


def test_a_device_that_falls_silent_is_given_up(image):
    port = device()
    link = link_to(port)
    sender = Sender(link, link.region(0, 0), 1)
    port._line = lambda data: b""
    with pytest.raises(NoReply, match="acknowledges nothing of what it was sent 4 times"):
        list(sender.send(some_chunks()))
    assert port.now < 10


def some_chunks():
    return chunks(Memory(0, 0, 1000, 8, CHUNK_BEATS), 5, bytes(8 * 50))


def test_chunks_are_what_a_device_can_take():
    found = list(some_chunks())
    assert [(c.address, len(c.data)) for c in found] == [(5, 160), (25, 160), (45, 80)]


def test_no_more_chunks_are_on_their_way_than_a_window(image):
    port = device()
    link = link_to(port)
    sender, most = Sender(link, link.region(0, 0), 1), []
    post = link.post

    def counting(*arguments):
        most.append(len(sender._pending))
        return post(*arguments)

    link.post = counting
    assert sum(sender.send(chunks(link.region(0, 0), 0, content()))) == len(content())
    assert max(most) == WINDOW - 1


def test_a_chunk_outside_the_memory_is_refused():
    port = device()
    link = link_to(port)
    sender = Sender(link, link.region(0, 0), 1)
    with pytest.raises(Refused, match="smaller than"):
        list(sender.send(chunks(link.region(0, 0), layout().end - 1, bytes(16))))


def test_time_to_copy_a_chunk():
    # 63 beats of 16 bytes: 4,048 cycles are 40.5 us, five bytes of a link of 1 Mbaud.
    assert flags(Memory(0, 0, 1, 16, 63), 100_000_000, 1_000_000) == 6
    assert flags(Memory(0, 0, 1, 16, 63), CLOCK_HZ, 1_000_000) == 10


class Paced(Wire):
    """A simulated device as a port: seconds are those of its clock."""

    def __init__(self, **options):
        super().__init__(**options)
        self.now = 0.0

    def read(self, timeout):
        data = super().read(min(timeout * 1e6, 20_000))
        self.now = self.cycles / 1e6
        return data


@pytest.mark.parametrize(("busy", "pace"), [(0.0, 12), (0.7, 4)])
def test_gateware_is_loaded(tmp_path, busy, pace, monkeypatch):
    """From a file through the host program and the gateware into a memory, with a resume."""
    small = replace(BASE, n_layer=1, d_model=8, n_head=2, n_kv_head=1, d_ff=6, n_ctx=4)
    shape = Layout(quantize(random_llama(small), Options(scales="row")), PORT)
    path = tmp_path / "some.weft"
    image_file.write(path, shape, "00" * 32)
    made, data = opened(path), memory_bytes(shape).tobytes()
    port = Paced(busy=busy, pace=pace, width=PORT, beats=shape.end)
    monkeypatch.setattr(memory, "PIECE", 512)
    link = Link(port, timeout=0.01, token_timeout=0.05, clock=lambda: port.now)
    region = link.region(0, 0)
    assert (region.beats, region.beat_bytes) == (shape.end, 8)
    header = replace(made.header, plan="00" * 8 + made.header.plan[16:])
    known = replace(made, header=header)  # the test's gateware says that its digest is 0
    baud = 10 * 12_000_000 // pace  # the gateware says that its clock has 12 MHz
    done = load(link, known, baud)
    assert done == Loaded(len(data), 0)
    assert port.memory.bytes()[: len(data)] == data
    port.memory.words[60] ^= 1
    assert load(link, known, baud) == Loaded(512, len(data) - 512)
    assert port.memory.bytes()[: len(data)] == data
