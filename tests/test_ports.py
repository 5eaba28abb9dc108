"""boards/host/ports.py: which port is the board's."""

import re

import pytest
from serial.tools.list_ports_common import ListPortInfo

from boards.catalogue import BOARDS
from boards.host import ports
from sim.replies import LinkError

FTDI = 0x0403


def port(name, vendor=None, product=None, location=None):
    found = ListPortInfo(name)
    found.vid, found.pid, found.location = vendor, product, location
    return found


TWO = [port("/dev/ttyUSB0", FTDI, 0x6010, "1-2:1.0"), port("/dev/ttyUSB1", FTDI, 0x6010, "1-2:1.1")]
ONE = port("/dev/ttyUSB4", FTDI, 0x6015, "1-3")
OTHER = port("/dev/ttyACM0", 0x2341, 0x0043, "1-4:1.0")
BUILT_IN = port("/dev/ttyS0")


@pytest.fixture
def there(monkeypatch):
    found = []
    monkeypatch.setattr(ports.list_ports, "comports", lambda: list(found))
    return found


@pytest.mark.parametrize("name", ["arty", "arty-100", "icebreaker", "tangnano9k"])
def test_of_a_bridge_with_two_interfaces_it_is_the_second(there, name):
    there.extend([BUILT_IN, OTHER, *reversed(TWO), ONE])
    assert ports.find_port(BOARDS[name]) == "/dev/ttyUSB1"


def test_a_bridge_with_one_interface(there):
    there.extend([*TWO, ONE])
    assert ports.find_port(BOARDS["ulx3s"]) == "/dev/ttyUSB4"


@pytest.mark.parametrize(
    ("board", "found", "said"),
    [
        ("arty", [BUILT_IN], "no Digilent Arty A7-35T is attached (USB 0403:6010): plug it in, or"),
        ("arty", [TWO[0], OTHER], "the USB serial ports here: /dev/ttyACM0, /dev/ttyUSB0"),
        ("arty", [OTHER, BUILT_IN], "the USB serial ports here: /dev/ttyACM0"),
        ("ulx3s", [], "the USB serial ports here: none"),
        ("orangecrab", [ONE], "OrangeCrab r0.2 with ECP5-25F has no serial port of its own: give"),
        (
            "arty",
            [*TWO, port("/dev/ttyUSB3", FTDI, 0x6010, "1-9:1.1")],
            "several ports may be the Digilent Arty A7-35T: give one of /dev/ttyUSB1, /dev/ttyUSB3",
        ),
    ],
)
def test_no_port_or_too_many(there, board, found, said):
    there.extend(found)
    with pytest.raises(LinkError, match=re.escape(said)):
        ports.find_port(BOARDS[board])
