"""Writes registers of LiteDRAM one by one, with pauses: what makes a memory chip ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amaranth.hdl import Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import Out

ADDRESS_BITS, DATA_BITS, WAIT_BITS = 6, 16, 20
"""Of a register, of what is written, and of the cycles to wait."""

LOOP = 4
"""Cycles that one turn of LiteDRAM's own waiting loop takes at most: its BIOS has a processor."""

PAUSE = 1_000
"""Cycles for which the PHY is in reset, and then left alone."""

RESET = 40_000
"""Cycles for which the chip is in reset: 200 us at least, at 100 MHz, as JEDEC's DDR3 asks for."""

HARDWARE = 0b1111
"""Register control0: the controller is the chip's master; clock, termination and no reset stay."""


@dataclass(frozen=True)
class Write:
    """A register, what is written, and how many cycles pass until the next."""

    address: int
    value: int
    wait: int = 0


def writes(registers: Mapping[str, int], commands: Sequence[Mapping[str, int]]) -> list[Write]:
    """What LiteDRAM's BIOS writes before it levels, from generate.py's litedram.json."""

    def write(name: str, value: int, wait: int = 0) -> Write:
        return Write(registers[name], value, wait)

    found = [write("rst0", 1, PAUSE), write("rst0", 0, PAUSE), write("control0", 0, RESET)]
    for step in commands:
        found += [write("pi0_address0", step["address"]), write("pi0_baddress0", step["bank"])]
        wait = LOOP * step["wait"]
        if "control" in step:
            found.append(write("control0", step["control"], wait))
        else:
            found.append(write("pi0_command0", step["command"]))
            found.append(write("pi0_command_issue", 1, wait))
    return [*found, write("control0", HARDWARE, PAUSE)]


class Registers(wiring.Signature):
    """Writes of LiteX's bus of registers: a cycle each."""

    def __init__(self):
        super().__init__({"adr": Out(ADDRESS_BITS), "we": Out(1), "dat_w": Out(DATA_BITS)})


class Initialise(wiring.Component):
    """Writes a list of registers after reset.

    Cycles: three and its wait for every write.

    Members
    -------
    bus: of the registers.  done: all are written.
    """

    def __init__(self, steps: Sequence[Write]):
        self._steps = steps
        super().__init__({"bus": Out(Registers()), "done": Out(1)})

    def elaborate(self, platform):
        m = Module()
        layout = data.StructLayout({"address": ADDRESS_BITS, "value": DATA_BITS, "wait": WAIT_BITS})
        words = [{"address": s.address, "value": s.value, "wait": s.wait} for s in self._steps]
        m.submodules.steps = steps = memory.Memory(shape=layout, depth=len(words), init=words)
        read = steps.read_port()
        step, left = Signal(range(len(words))), Signal(WAIT_BITS)
        m.d.comb += [
            read.addr.eq(step),
            self.bus.adr.eq(read.data.address),
            self.bus.dat_w.eq(read.data.value),
        ]
        with m.FSM():
            with m.State("READ"):
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += self.bus.we.eq(1)
                m.d.sync += left.eq(read.data.wait)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.d.sync += step.eq(step + 1)
                    m.next = "READ"
                    with m.If(step == len(words) - 1):
                        m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
        return m
