"""What of a PHY is to be set, and how it is read and written for that."""

from __future__ import annotations

import random
from dataclasses import dataclass

from amaranth.lib import data

SEED = 3
"""Of the test beats."""


@dataclass(frozen=True)
class Phy:
    """A PHY of LiteDRAM for the 7 series.

    Parameters
    ----------
    lanes: of 8 wires.  slips, delays: places of each.
    settle: cycles from a register that is written to its effect.  beats: of a trial.
    """

    lanes: int = 2
    slips: int = 8
    delays: int = 32
    settle: int = 32
    beats: int = 8

    def pattern(self, width: int) -> list[int]:
        """The beats of a trial."""
        rng = random.Random(SEED)
        return [rng.getrandbits(width) for _ in range(self.beats)]


SETTING = data.StructLayout({"out": 3, "slip": 3, "delay": 5})
"""Of a lane: slip of the written bits, slip of the read bits, and their delay."""
