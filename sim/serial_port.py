"""A serial port as a port of the host link; it comes back when its cable does."""

from __future__ import annotations

import errno
from collections.abc import Callable

import serial

from sim.replies import LinkError

WRITE_TIMEOUT = 5.0
"""Seconds for a request to leave."""

SETTINGS = {"timeout": 0, "write_timeout": WRITE_TIMEOUT, "exclusive": True}

WHY = {
    errno.ENOENT: "does not exist; plug the board in, or give another PORT",
    errno.EACCES: "may not be opened by this user; `sudo usermod -a -G dialout $USER`, and log in "
    "again",
    errno.EAGAIN: "is in use by another program; end that one first",
    errno.EBUSY: "is in use by another program; end that one first",
    errno.ENXIO: "has no device behind it; plug the board in, or give another PORT",
}
"""What is the matter with a port that cannot be opened."""

OTHERWISE = "is no serial port; give another PORT"


class SerialPort:
    """Carries bytes; see :class:`sim.host.Port`.

    Opened at once, and again by the next request after it broke.

    Parameters
    ----------
    find: the name of the port; asked again whenever it is opened.
    baud: its rate.

    Raises
    ------
    LinkError
        If it cannot be opened.
    """

    def __init__(self, find: Callable[[], str], baud: int):
        self._find, self._baud = find, baud
        self._serial: serial.Serial | None = None
        self._open()

    def read(self, timeout: float) -> bytes:
        """The bytes that have come; OSError if the cable was pulled."""
        port = self._open()
        try:
            port.timeout = timeout
            return port.read(1) + port.read(port.in_waiting)
        except OSError:
            self.close()
            raise

    def write(self, data: bytes) -> None:
        """Send bytes; OSError if the cable was pulled."""
        port = self._open()
        try:
            port.write(data)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the port."""
        port, self._serial = self._serial, None
        if port is not None:
            port.close()

    def _open(self) -> serial.Serial:
        if self._serial is None:
            name = self._find()
            try:
                self._serial = serial.Serial(name, self._baud, **SETTINGS)
            except (OSError, ValueError) as error:
                why = WHY.get(getattr(error, "errno", None), OTHERWISE)
                raise LinkError(f"the port {name} {why}") from None
        return self._serial
