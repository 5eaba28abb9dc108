"""A netlist at its pins: a small one is what it was made of, and a damaged one is found out."""

import json
import re
from dataclasses import replace

import pytest

from boards import build, gatesim
from boards.catalogue import BOARDS
from boards.warnings import check_log
from golden.errors import WeftError
from golden.generate import Request
from hdl.soc import Soc
from sim.mismatch import Mismatch
from sim.netlist.check import Checker
from sim.netlist.pins import Pins
from sim.setup.paths import ROOT
from tests.host_core import N_CTX, N_VOCAB, HostCore, expected

BAUD, DIGEST = 1_000_000, bytes(range(8))
LATENCY = 40
REQUESTS = [Request((1, 2, 26), 3, seed=7), Request((3,), 2, sequence=1)]
MHZ = 50  # made of a crystal of 25 MHz


CACHE = ROOT / "build" / "cache" / "boards"


def order():
    def soc(mhz):
        return Soc(HostCore(latency=LATENCY), round(mhz * 1e6), BAUD, DIGEST, (1, 2, 3))

    return build.Order(BOARDS["ulx3s"], "host", soc, MHZ)


@pytest.fixture(scope="module")
def netlist():
    return gatesim.netlist_of(build.synthesise(order(), CACHE))


def checker(cycles):
    hello = {"digest": DIGEST.hex(), "clock_hz": MHZ * 10**6, "n_vocab": N_VOCAB, "n_ctx": N_CTX}
    return Checker(hello, expected, cycles)


def simulate(netlist, folder, cycles=(LATENCY + 1,) * 5):
    return gatesim.simulate(order(), netlist, checker(cycles), REQUESTS, folder, CACHE)


def test_a_netlist_is_what_it_was_made_of(netlist, tmp_path):
    result = simulate(netlist, tmp_path)
    assert [token.token for token in result.outcome.tokens] == [
        token for request in REQUESTS for token, *_ in expected(request)
    ]
    assert result.outcome.counters["tokens"] == 5
    assert result.cells["TRELLIS_FF"] > 100
    assert result.cells["EHXPLLL"] == 1


def test_cycles_are_compared(netlist, tmp_path):
    with pytest.raises(Mismatch, match="position 0, cycles of the token: expected 9, the netlist"):
        simulate(netlist, tmp_path, [*[LATENCY + 1] * 3, 9, 9])


def damaged(netlist, folder, kind, name, change):
    """The netlist with a parameter of every cell of a kind changed."""
    design = json.loads(netlist.read_text())
    found = 0
    for cell in design["modules"]["top"]["cells"].values():
        if cell["type"] == kind and "1" in cell["parameters"][name]:
            cell["parameters"][name] = change(cell["parameters"][name])
            found += 1
    assert found
    (folder / "top.json").write_text(json.dumps(design))
    return folder / "top.json"


def test_a_damaged_memory_is_found_out(netlist, tmp_path):
    """What the device says that it is comes out of a memory."""
    other = damaged(netlist, tmp_path, "DP16KD", "INITVAL_04", lambda bits: "0" * len(bits))
    with pytest.raises(Mismatch, match=r"gateware: expected|stopped|wrong answer") as error:
        simulate(other, tmp_path)
    assert error.value.exit_status == 1


def test_a_damaged_look_up_table_is_found_out(netlist, tmp_path):
    def change(bits):
        return bits[:5] + "10"[int(bits[5])] + bits[6:]

    with pytest.raises(Mismatch):
        simulate(damaged(netlist, tmp_path, "LUT4", "INIT", change), tmp_path)


def test_a_cell_that_nobody_modelled(netlist, tmp_path):
    text = netlist.read_text().replace('"type": "CCU2C"', '"type": "CCU9"')
    (tmp_path / "top.json").write_text(text)
    with pytest.raises(WeftError, match="there is no model of the cell CCU9 of ecp5"):
        simulate(tmp_path / "top.json", tmp_path)


def test_the_pins_must_be_those_of_the_board():
    pins = Pins("clk", 25, "rx", "tx", BAUD, {"alive": ("led", True)})
    text = pins.bench({"clk", "rx", "tx", "led"})
    assert "assign lights = (led ^ 3'b001) & 3'b001;" in text
    with pytest.raises(WeftError, match="are not those of the board: button"):
        pins.bench({"clk", "rx", "tx", "led", "button"})


UNDRIVEN = """
module \\top
  wire output 1 \\pin
  wire \\lost
  cell $not \\gate
    parameter \\A_SIGNED 0
    parameter \\A_WIDTH 1
    parameter \\Y_WIDTH 1
    connect \\A \\lost
    connect \\Y \\pin
  end
end
"""


def test_an_undriven_signal_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "elaborate", lambda *_: (UNDRIVEN, "", {}))
    said = re.escape("synthesis: Warning: Wire top.\\lost is used but has no driver. Put it right")
    with pytest.raises(WeftError, match=said):
        build.synthesise(replace(order(), gateware=lambda mhz: None), tmp_path)


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("Warning: multiple conflicting drivers for top.\\x:", True),
        ("Warning: Replacing memory \\m with list of registers.", True),
        ("ABC: Warning: The network is combinational.", False),
        ("Setting constant 0-bit", False),
    ],
)
def test_warnings_are_errors_unless_listed(line, refused):
    if not refused:
        check_log(line)
        return
    with pytest.raises(WeftError, match=r"list it with a reason in boards/warnings\.py"):
        check_log(line)
