"""What a board is: data over an amaranth-boards platform."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.build import Resource
from amaranth.build.plat import Platform


@dataclass(frozen=True)
class Bridge:
    """The USB chip that carries a UART: its ids, and which of its interfaces if it has several."""

    vendor: int
    product: int
    interface: int | None = None


FT2232H = Bridge(0x0403, 0x6010, interface=1)
"""Or what says that it is one. Interface 0 is for JTAG or the flash."""

FT231X = Bridge(0x0403, 0x6015)


@dataclass(frozen=True)
class Board:
    """A board.

    Parameters
    ----------
    name: as in ``BOARD=``.  title: for people.
    platform: class of amaranth-boards that knows pins and crystal.
    family: of chips, as in boards.families.  device: the chip, for people.
    place: arguments that tell nextpnr which chip it is.
    clock_mhz: what the gateware is to run at.
    available: how much of every resource of a report the chip has.
    leds: what is shown (alive, busy, error) -> resource, its number and its part.
    resources: that amaranth-boards does not name.
    reset: resource of a reset button.
    bridge: carries the UART, if the board has one.
    loader: what openFPGALoader calls the board.
    memory: beside the chip, as in boards.dram.files; None if there is none that Weft can use.
    """

    name: str
    title: str
    platform: type[Platform]
    family: str
    device: str
    place: tuple[str, ...]
    clock_mhz: float
    available: dict[str, int]
    leds: dict[str, tuple]
    loader: str
    resources: tuple[Resource, ...] = ()
    reset: str | None = None
    bridge: Bridge | None = None
    memory: str | None = None

    @property
    def crystal_mhz(self) -> float:
        """Frequency of the clock that the board gives to the chip."""
        name = self.platform.default_clk
        resource = next(each for each in self.platform.resources if each.name == name)
        return resource.clock.frequency / 1e6
