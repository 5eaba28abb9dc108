"""The memory of one port: what it holds, on every kind of chip."""

import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator
from amaranth_boards.icebreaker import ICEBreakerPlatform

from hdl.single_port import SinglePort
from tests.cells import run

WIDTH, DEPTH = 20, 37

BENCH = """
module bench;
  reg clk = 0, rst = 0, write;
  reg [{last}:0] rows [0:{count}];
  reg [{bits}:0] addr;
  reg [{width}:0] data;
  wire [{width}:0] o;
  integer n;
  top dut (.clk(clk), .rst(rst), .addr(addr), .write(write), .data(data), .o(o));
  initial begin
    $readmemh("rows.hex", rows);
    for (n = 0; n <= {count}; n = n + 1) begin
      {{write, addr, data}} = rows[n];
      #5 clk = 1;
      #5 if (!write) $display("= %h", o);
      clk = 0;
    end
    $finish;
  end
endmodule
"""


@pytest.fixture(scope="module")
def steps():
    """(write, address, data): every word is written, then words are written and read at random."""
    rng = random.Random(5)
    word = lambda: rng.randrange(1 << WIDTH)  # noqa: E731
    first = [(1, address, word()) for address in range(DEPTH)]
    return first + [(rng.randrange(2), rng.randrange(DEPTH), word()) for _ in range(400)]


def expected(steps):
    """What is read."""
    words, seen = {}, []
    for write, address, data in steps:
        if write:
            words[address] = data
        else:
            seen.append(words[address])
    return seen


def test_portable(steps):
    dut, seen = SinglePort(WIDTH, DEPTH), []

    async def drive(ctx):
        for write, address, data in steps:
            ctx.set(dut.write, write)
            ctx.set(dut.addr, address)
            ctx.set(dut.data, data - (data >> (WIDTH - 1) << WIDTH))
            await ctx.tick()
            if not write:
                seen.append(ctx.get(dut.o) % (1 << WIDTH))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert seen == expected(steps)


def test_sb_spram256ka(steps, tmp_path):
    dut = SinglePort(WIDTH, DEPTH)
    bits = len(dut.addr)
    text = verilog.convert(dut, name="top", platform=ICEBreakerPlatform(), ports=[
        dut.addr, dut.write, dut.data, dut.o
    ])  # fmt: skip
    assert text.count("SB_SPRAM256KA") == 2
    rows = [write << bits + WIDTH | address << WIDTH | data for write, address, data in steps]
    (tmp_path / "rows.hex").write_text("".join(f"{row:x}\n" for row in rows))
    bench = BENCH.format(last=bits + WIDTH, count=len(rows) - 1, bits=bits - 1, width=WIDTH - 1)
    said = run(tmp_path, "ice40", "SB_SPRAM256KA", text + bench)
    assert [int(line.split()[1], 16) for line in said.splitlines() if line[0] == "="] == expected(
        steps
    )
