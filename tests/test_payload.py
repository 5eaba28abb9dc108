import json

import numpy as np
import pytest
from amaranth.hdl import signed, unsigned
from amaranth.lib import data
from hypothesis import given
from hypothesis import strategies as st

from golden.numbers import Block, Fixed
from hdl.stream import Tags, beat
from sim import payload

BEAT = beat(5, Block(16), Tags(stream=2, position=13, layer=0))

NESTED = data.StructLayout(
    {
        "a": signed(3),
        "b": data.StructLayout({"c": unsigned(7), "d": data.ArrayLayout(signed(11), 3)}),
        "e": data.ArrayLayout(data.StructLayout({"f": unsigned(1), "g": signed(64)}), 2),
        "none": unsigned(0),
    }
)

LAYOUT = payload.describe(NESTED)


def numbers(field):
    low = -(1 << (field.width - 1)) if field.signed else 0
    high = (1 << (field.width - field.signed)) - 1 if field.width else 0
    one = st.integers(low, high)
    return one if field.count is None else st.lists(one, min_size=field.count, max_size=field.count)


values = st.fixed_dictionaries({field.path: numbers(field) for field in LAYOUT})


def flat(fields, path=""):
    result = {}
    for name, value in fields.items():
        inner = f"{path}{name}"
        result |= flat(value, f"{inner}.") if isinstance(value, dict) else {inner: value}
    return result


def as_bytes(words, layout):
    size = -(-payload.width(layout) // 8)
    rows = [np.frombuffer(word.to_bytes(size, "little"), dtype=np.uint8) for word in words]
    return np.array(rows).reshape(-1, size)


@given(values)
def test_unpack_is_the_inverse_of_pack(fields):
    assert flat(payload.unpack(LAYOUT, payload.pack(LAYOUT, fields))) == fields


@given(st.lists(values, max_size=4))
def test_vectorised_unpacking_equals_unpacking_one_by_one(rows):
    words = [payload.pack(LAYOUT, row) for row in rows]
    many = payload.unpack_many(LAYOUT, as_bytes(words, LAYOUT))
    for path, column in many.items():
        assert column.dtype == np.int64
        assert column.tolist() == [row[path] for row in rows]


def test_packing_agrees_with_amaranth():
    fields = {"a": -3, "b": {"c": 99, "d": [-1000, 5, 1023]}, "e": [{"f": 1, "g": -7}, {"g": 9}]}
    ours = {"a": -3, "b": fields["b"], "e": {"0": fields["e"][0], "1": fields["e"][1]}}
    assert payload.pack(LAYOUT, ours) == NESTED.const(fields).as_value().value
    assert payload.width(LAYOUT) == NESTED.size


def test_beat():
    layout = payload.describe(BEAT)
    fields = {"data": [1, -2, 3, -4, 5], "exponent": -9, "tag": {"position": 4000}, "last": 1}
    bits = payload.pack(layout, fields)
    assert bits == BEAT.const(fields).as_value().value
    unpacked = payload.unpack(layout, bits)
    assert unpacked["data"] == fields["data"]
    assert unpacked["exponent"] == -9
    assert unpacked["tag"]["position"] == 4000
    assert (unpacked["first"], unpacked["last"]) == (0, 1)


def test_static_exponent_has_no_bits():
    layout = payload.describe(beat(2, Fixed(8, 4), Tags(0, 4, 0)))
    assert payload.unpack(layout, payload.pack(layout, {"exponent": -4}))["exponent"] == 0


def test_single_number():
    layout = payload.describe(signed(6))
    assert payload.pack(layout, -5) == 59
    assert payload.unpack(layout, 59) == -5


def test_description_survives_json():
    assert payload.from_json(json.loads(json.dumps(payload.to_json(LAYOUT)))) == LAYOUT


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"a": 4}, "a: 4 is not in -4 to 3"),
        ({"b": {"c": 128}}, "b.c: 128 is not in 0 to 127"),
        ({"b": {"d": [0] * 4}}, "b.d: 4 elements do not fit 3"),
        ({"z": 1}, "no field z"),
    ],
)
def test_wrong_values_are_named(fields, said):
    with pytest.raises(ValueError, match=said):
        payload.pack(LAYOUT, fields)


def test_numbers_wider_than_64_bits_are_refused():
    layout = payload.describe(unsigned(65))
    with pytest.raises(ValueError, match="64"):
        payload.unpack_many(layout, as_bytes([0], layout))
