"""golden/protocol.py: frames, their stuffing and CRC, and what a decoder makes of noise."""

import re

import pytest
from amaranth.lib.crc import catalog
from hypothesis import given
from hypothesis import strategies as st

from golden import protocol
from golden.protocol import Decoder, Frame, Refusal, Type, decode, encode, pack, unpack

FRAMES = st.builds(
    Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=40)
)  # fmt: skip


def decoded(data):
    return list(Decoder().feed(data))


def test_crc_check_value():
    """The catalogue's check value, for the library and for the gateware's generator."""
    check = b"123456789"
    algorithm = getattr(catalog, protocol.CRC_NAME)
    assert protocol.crc(check) == (0x29B1).to_bytes(2, "big")
    assert algorithm().compute(check) == 0x29B1


@given(st.binary(max_size=60))
def test_crc_of_host_and_gateware(data):
    gateware = getattr(catalog, protocol.CRC_NAME)()
    assert protocol.crc(data) == gateware.compute(data).to_bytes(2, "big")
    assert gateware.compute(data + protocol.crc(data)) == 0


@given(st.lists(FRAMES, max_size=4))
def test_frames_come_back(frames):
    assert decoded(b"".join(map(encode, frames))) == frames


def test_a_shared_flag_ends_one_frame_and_begins_the_next():
    frames = [Frame(1, 2), Frame(3, 4, b"\x7e")]
    assert decoded(encode(frames[0])[:-1] + encode(frames[1])) == frames


@pytest.mark.parametrize("value", range(256))
def test_every_byte_value(value):
    frame = Frame(value, value, bytes([value]) * 3)
    data = encode(frame)
    assert data.count(protocol.FLAG) == 2
    assert decoded(data) == [frame]


@given(st.binary(max_size=80), FRAMES)
def test_a_good_frame_after_noise(noise, frame):
    assert decoded(noise + bytes([protocol.FLAG]) + encode(frame))[-1] == frame


@given(FRAMES, st.data())
def test_a_flipped_bit_is_seen(frame, data):
    sent = bytearray(encode(frame))
    sent[data.draw(st.integers(1, len(sent) - 2))] ^= 1 << data.draw(st.integers(0, 7))
    assert frame not in decoded(bytes(sent))


def test_what_is_no_frame():
    good = encode(Frame(1, 7, b"abc"))
    for data, bad in [
        (good[:5] + good[-1:], 1),  # cut off
        (good[:-1] + b"\x7d\x7e", 1),  # an escape without a byte
        (b"\x7e" * 5, 0),
        (b"\x7ea\x7e", 1),
    ]:
        decoder = Decoder()
        assert list(decoder.feed(data)) == []
        assert decoder.bad == bad
    wrong = b"\x01\x07\x04\x00abc"
    assert decode(wrong + protocol.crc(wrong)) is None  # a wrong length
    right = b"\x01\x07\x03\x00abc"
    assert decode(right + protocol.crc(right)) == Frame(1, 7, b"abc")


def test_a_body_without_end_takes_no_memory():
    decoder = Decoder(capacity=10)
    assert list(decoder.feed(b"\x7e" + b"a" * 1000)) == []
    assert len(decoder._body) == 11
    assert list(decoder.feed(encode(Frame(1, 2)))) == [Frame(1, 2)]
    assert decoder.bad == 1


def test_fields():
    values = {"cycles": 1 << 31, "position": 5, "token": 0x1234, "last": 1}
    packed = pack(protocol.TOKEN, values)
    assert packed.hex() == "0000008005000000341201"
    assert unpack(protocol.TOKEN, packed) == values
    with pytest.raises(OverflowError):
        pack(protocol.ERROR, {"refusal": 256})
    with pytest.raises(ValueError, match=re.escape("2 bytes are not the 1 of refusal")):
        unpack(protocol.ERROR, b"ab")


def test_a_prompt():
    settings = {"stop": protocol.NO_STOP, "noise_scale": 3, "count": 4, "seed": 5, "sequence": 6}
    payload = protocol.prompt_bytes([1, 0x203], settings)
    assert payload.hex() == "01000302" + "ffff" + "0300" + "0400" + "05000000" + "06000000"
    assert len(payload) == 4 + protocol.size(protocol.SETTINGS)


def test_types_and_refusals_are_told_apart():
    assert all(0 < kind < protocol.REPLY for kind in Type)
    assert len({int(r) for r in Refusal}) == len(Refusal)
