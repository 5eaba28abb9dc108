"""boards/dram: a memory is made ready, levelled, and written in LiteDRAM's manner."""

import itertools

import pytest
from amaranth.sim import Simulator

from boards.dram.level import Level
from boards.dram.phy import Phy
from boards.dram.sequence import HARDWARE, LOOP, Initialise, Write, writes
from boards.dram.write_queue import WriteQueue

WIDTH, ADDRESS = 64, 6
REGISTERS = {
    name: k
    for k, name in enumerate(
        ("rst0", "dly_sel0", "rdly_dq_rst", "rdly_dq_inc", "rdly_dq_bitslip_rst", "rdly_dq_bitslip",
         "wdly_dq_bitslip_rst", "wdly_dq_bitslip", "control0", "pi0_command0", "pi0_command_issue",
         "pi0_address0", "pi0_baddress0")
    )
}  # fmt: skip
NAMES = {k: name for name, k in REGISTERS.items()}
PHY = Phy(slips=4, delays=8, settle=2, beats=3)


class Lane:
    """Eight wires: they work with one slip each way and some delays, and garble all else."""

    def __init__(self, out, slip, delays):
        self.right, self.delays = (out, slip), delays
        self.out = self.slip = self.delay = 7

    def poke(self, name):
        match name:
            case "wdly_dq_bitslip_rst":
                self.out = 0
            case "wdly_dq_bitslip":
                self.out += 1
            case "rdly_dq_bitslip_rst":
                self.slip = 0
            case "rdly_dq_bitslip":
                self.slip += 1
            case "rdly_dq_rst":
                self.delay = 0
            case "rdly_dq_inc":
                self.delay += 1

    def written(self, byte):
        return byte if self.out == self.right[0] else byte ^ 0x21

    def read(self, byte):
        return byte if self.slip == self.right[1] and self.delay in self.delays else byte ^ 0x80


class Memory:
    """Behind a memory port and a bus of registers, beat by beat."""

    def __init__(self, lanes):
        self.lanes, self.beats, self.selected = lanes, {}, 0

    def poke(self, name, value):
        if name == "dly_sel0":
            self.selected = value
        for k, lane in enumerate(self.lanes):
            if self.selected >> k & 1:
                lane.poke(name)

    def _bytes(self, beat, change):
        old = beat.to_bytes(WIDTH // 8, "little")
        new = (getattr(self.lanes[k % len(self.lanes)], change)(b) for k, b in enumerate(old))
        return int.from_bytes(bytes(new), "little")

    async def serve(self, ctx, bus, port):
        written, answers = [], []
        ctx.set(port.command.ready, 1)
        ctx.set(port.wdata.ready, 1)
        while True:
            if ctx.get(bus.we):
                self.poke(NAMES[ctx.get(bus.adr)], ctx.get(bus.dat_w))
            if ctx.get(port.wdata.valid):
                written.append(ctx.get(port.wdata.p))
            answers.append(None)
            if ctx.get(port.command.valid):
                address = ctx.get(port.command.p.address)
                if ctx.get(port.command.p.write):
                    self.beats[address] = self._bytes(written.pop(0), "written")
                else:
                    answers[-1] = self._bytes(self.beats.get(address, 0), "read")
            late = answers[-3] if len(answers) > 2 else None
            await ctx.tick()
            ctx.set(port.rvalid, late is not None)
            ctx.set(port.rdata, late or 0)


def level(lanes, limit=60_000):
    """(whether it went well, settings of the lanes)."""
    dut, memory, found = Level(REGISTERS, PHY, ADDRESS, WIDTH), Memory(lanes), []

    async def serve(ctx):
        await memory.serve(ctx, dut.bus, dut.memory)

    async def run(ctx):
        ctx.set(dut.go, 1)
        for _ in range(limit):
            await ctx.tick()
            if ctx.get(dut.done):
                break
        assert ctx.get(dut.done), "levelling does not end"
        found.append(bool(ctx.get(dut.good)))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(serve, background=True)
    sim.add_testbench(run)
    sim.run()
    return found[0], [(lane.out, lane.slip, lane.delay) for lane in lanes]


def test_every_lane_is_set_to_the_middle_of_its_longest_run():
    lanes = [Lane(0, 3, range(1, 6)), Lane(2, 1, range(4, 8))]
    assert level(lanes) == (True, [(0, 3, 3), (2, 1, 6)])


def test_the_longer_of_two_runs_is_taken():
    lanes = [Lane(2, 0, (0, 1, 2, 4, 5, 6, 7)), Lane(0, 2, (0, 1, 2, 3, 7))]
    good, settings = level(lanes)
    assert good
    assert settings[0][2] in (5, 6)
    assert settings[1][2] in (1, 2)


@pytest.mark.parametrize("delays", [(), (3, 4)])
def test_a_lane_that_does_not_work_is_told(delays):
    good, _ = level([Lane(0, 0, range(8)), Lane(0, 0, delays)])
    assert not good


def test_what_the_bios_writes_is_written_in_order():
    commands = [
        {"control": 12, "address": 0, "bank": 0, "wait": 5},
        {"command": 15, "address": 0x920, "bank": 1, "wait": 2},
    ]
    steps = writes(REGISTERS, commands)
    steps = [Write(s.address, s.value, min(s.wait, 30)) for s in steps]
    dut, seen = Initialise(steps), []

    async def run(ctx):
        for cycle in range(1000):
            if ctx.get(dut.bus.we):
                seen.append((cycle, NAMES[ctx.get(dut.bus.adr)], ctx.get(dut.bus.dat_w)))
            await ctx.tick()
        assert ctx.get(dut.done)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(run)
    sim.run()
    assert [each[1:] for each in seen] == [
        ("rst0", 1), ("rst0", 0), ("control0", 0),
        ("pi0_address0", 0), ("pi0_baddress0", 0), ("control0", 12),
        ("pi0_address0", 0x920), ("pi0_baddress0", 1), ("pi0_command0", 15),
        ("pi0_command_issue", 1), ("control0", HARDWARE),
    ]  # fmt: skip
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(seen)]
    assert gaps == [3 + s.wait for s in steps[:-1]]
    assert 3 + 5 * LOOP in gaps


def test_a_write_command_waits_for_its_beat():
    dut = WriteQueue(ADDRESS, ADDRESS, WIDTH)

    async def run(ctx):
        port, native = dut.port, dut.native
        ctx.set(native.cmd_ready, 1)
        ctx.set(port.command.p.write, 1)
        ctx.set(port.command.valid, 1)
        await ctx.tick()
        assert not ctx.get(native.cmd_valid)  # closed
        ctx.set(dut.open, 1)
        await ctx.tick()
        assert not ctx.get(native.cmd_valid)  # no beat
        ctx.set(port.wdata.p, 77)
        ctx.set(port.wdata.valid, 1)
        await ctx.tick()
        ctx.set(port.wdata.valid, 0)
        assert ctx.get(native.cmd_valid) and ctx.get(port.command.ready)  # noqa: PT018
        assert ctx.get(native.wdata_valid)
        assert ctx.get(native.wdata_data) == 77
        await ctx.tick()
        assert not ctx.get(native.cmd_valid)  # a second command for the same beat
        ctx.set(port.command.p.write, 0)
        assert ctx.get(native.cmd_valid)  # reads need none
        ctx.set(native.wdata_ready, 1)
        await ctx.tick()
        assert not ctx.get(native.wdata_valid)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(run)
    sim.run()
