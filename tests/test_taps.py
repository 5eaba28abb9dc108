import numpy as np
import pytest

from golden.errors import WeftError
from golden.numbers import Block, Fixed
from hdl.stream import Tags, beat
from sim import payload, taps
from sim.recorder import Design

BEATS = [
    payload.describe(beat(32, Block(16), Tags(2, 13, 5, 3))),  # 546 bits: whole bytes and more
    payload.describe(beat(3, Fixed(11, 4), Tags(0, 4, 0))),  # an odd number of digits
    payload.describe(beat(2, Fixed(32, 8), Tags(0, 1, 0))),
]
NAMES = ("wide", "odd", "silent")

DESIGN = Design(
    requests=BEATS[0],
    tokens=payload.describe(beat(1, Fixed(5, 0), Tags(0, 4, 0))),
    taps=tuple(zip(NAMES, BEATS, strict=True)),
    units=("linear", "norm"),
    counters=(("linear", 0), ("linear", 1), ("norm", 0)),
    memories={},
)


def line(tap, cycle, bits):
    return f"@{tap:03x} {cycle:08x} {bits:0{-(-payload.width(BEATS[tap]) // 4)}x}"


def recorded(count, seed=0):
    """Lines of two taps in turn, with other lines between them, and their payloads."""
    rng = np.random.default_rng(seed)
    lines, words = [], ([], [])
    for k in range(count):
        width = payload.width(BEATS[k % 2])
        word = int.from_bytes(rng.bytes(width // 8 + 1), "little") % (1 << width)
        words[k % 2].append(word)
        lines += [line(k % 2, 3 * k, word), f"t {k:08x} 003"]
    return lines, words


@pytest.mark.parametrize("count", [0, 1, 2, 2 * taps.CHUNK + 3])
def test_decoding_equals_unpacking_line_by_line(count):
    lines, words = recorded(count)
    found = taps.decode(DESIGN, lines)
    assert list(found) == list(NAMES)
    assert len(found["silent"]) == 0
    assert found["silent"].data.shape == (0, 2)
    for tap, name in enumerate(NAMES[:2]):
        recording = found[name]
        assert recording.cycles.tolist() == [3 * k for k in range(tap, count, 2)]
        for k in {*range(min(5, len(words[tap]))), len(words[tap]) - 1} - {-1}:
            expected = payload.unpack(BEATS[tap], words[tap][k])
            assert recording.data[k].tolist() == expected["data"]
            assert recording.exponent[k] == expected["exponent"]
            assert recording.first[k] == expected["first"]
            assert recording.last[k] == expected["last"]
            for field, value in expected["tag"].items():
                assert recording.tag(field)[k] == value


def test_bytes_of_a_log_are_as_good_as_lines():
    lines, _ = recorded(40)
    ours, theirs = taps.decode(DESIGN, lines), taps.decode(DESIGN, "\n".join(lines).encode())
    for name in NAMES:
        assert np.array_equal(ours[name].data, theirs[name].data)
        assert np.array_equal(ours[name].cycles, theirs[name].cycles)


def test_a_changed_digit_is_seen():
    lines, _ = recorded(10)
    changed = list(lines)
    changed[4] = changed[4][:-1] + ("0" if changed[4][-1] != "0" else "1")
    ours, theirs = taps.decode(DESIGN, lines)["wide"], taps.decode(DESIGN, changed)["wide"]
    assert any(not np.array_equal(ours[path], theirs[path]) for path in ours.fields)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (line(0, 5, 0)[:-1] + "x", "never defined"),
        (line(0, 5, 0)[:-1], "cut off"),
        (line(0, 5, 0) + "0", "tap wide"),
        ("@003 00000000 0", "no tap"),
    ],
)
def test_bad_lines_are_named(bad, said):
    lines, _ = recorded(6)
    with pytest.raises(WeftError, match=said) as raised:
        taps.decode(DESIGN, [*lines, bad])
    assert bad in str(raised.value)


def test_tokens_and_counters():
    word = payload.pack(DESIGN.tokens, {"data": [-7], "last": 1})
    lines = [f"t 0000001f {word:03x}", "c 001 00000000000a 000000000003", "d 00000020"]
    assert [(cycle, token["data"]) for cycle, token in taps.tokens(DESIGN, lines)] == [(31, [-7])]
    assert taps.counters(DESIGN, lines) == {("linear", 1): (10, 3)}
    assert taps.stuck(DESIGN, lines) == ""


def test_stuck_units_are_named():
    said = taps.stuck(DESIGN, ["u 000 1 1 0 0002", "u 001 0 0 1 0000", "h 00000100"])
    assert said.splitlines() == [
        "linear (job 2) holds work, is blocked",
        "norm (job 0) holds no work, is starved",
    ]
