"""sim/serial_port.py on pseudo-terminals: what it carries, and every way in which it cannot."""

import errno
import os
from contextlib import closing

import pytest
import serial

from sim import serial_port
from sim.host import Link
from sim.replies import LinkError
from sim.serial_port import SerialPort

BAUD = 1_000_000
EVERY_BYTE = bytes(range(256))


class Terminal:
    """A pseudo-terminal: ``name`` is that of the port, and ``end`` the device's end."""

    def __init__(self):
        self.end, self._host = os.openpty()
        self.name = os.ttyname(self._host)

    def opened(self):
        port = SerialPort(lambda: self.name, BAUD)
        os.close(self._host)
        return port

    def unplug(self):
        os.close(self.end)


def test_every_byte_passes_unchanged():
    terminal = Terminal()
    with closing(terminal.opened()) as port:
        os.write(terminal.end, EVERY_BYTE)
        seen = b""
        while data := port.read(0.2):
            seen += data
        assert seen == EVERY_BYTE
        port.write(EVERY_BYTE)
        assert os.read(terminal.end, 1000) == EVERY_BYTE
    terminal.unplug()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/dev/nothing", "does not exist; plug the board in, or give another PORT"),
        ("/dev/null", "is no serial port; give another PORT"),
        ("/tmp", "is no serial port; give another PORT"),
    ],
)
def test_what_cannot_be_opened(name, said):
    with pytest.raises(LinkError, match=f"^the port {name} {said}$"):
        SerialPort(lambda: name, BAUD)


def test_a_port_that_this_user_may_not_open(monkeypatch):
    def refuse(*_, **__):
        raise serial.SerialException(errno.EACCES, "could not open port")

    monkeypatch.setattr(serial_port.serial, "Serial", refuse)
    with pytest.raises(LinkError, match="the port x may not be opened by this user; `sudo"):
        SerialPort(lambda: "x", BAUD)


def test_a_port_in_use():
    terminal = Terminal()
    said = "is in use by another program; end that one first"
    with closing(terminal.opened()), pytest.raises(LinkError, match=said):
        SerialPort(lambda: terminal.name, BAUD)
    terminal.unplug()


@pytest.mark.parametrize("use", [lambda port: port.read(0.1), lambda port: port.write(b"a")])
def test_a_port_that_is_unplugged_comes_back_under_another_name(use):
    terminals = [Terminal(), Terminal()]
    port = SerialPort(lambda: terminals[0].name, BAUD)
    old = terminals.pop(0)
    old.unplug()
    with pytest.raises(serial.SerialException):
        use(port)
    with closing(port):
        port.write(b"here")
        assert os.read(terminals[0].end, 9) == b"here"


def test_a_link_over_it_tells_what_broke():
    terminal = Terminal()
    with closing(terminal.opened()) as port:
        terminal.unplug()
        with pytest.raises(LinkError, match=r"^the connection to the device broke \(.*\); plug it"):
            Link(port).hello()
        terminal.name = "/dev/nothing"
        with pytest.raises(LinkError, match="the port /dev/nothing does not exist"):
            Link(port).hello()
