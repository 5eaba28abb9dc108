"""A cell of sim/cells, or of Yosys, under Icarus: values go in, a clock edge, values come out."""

import subprocess

from sim import tools
from sim.cells import CELLS, share_folder

BENCH = """
`timescale 1ps / 1ps
module bench;
  reg clock = 0;
  reg [{width}:0] rows [0:{last}];
  reg [{width}:0] row;
  wire [{out}:0] answer;
  integer n;
  {cell} #({parameters}) dut ({ports});
  initial begin
    $readmemh("rows.hex", rows);
    for (n = 0; n <= {last}; n = n + 1) begin
      row = rows[n];
      #5 clock = 1;
      #5 $display("= %b", answer);
      clock = 0;
    end
    $finish;
  end
endmodule
"""


def simulate(folder, family, cell, parameters, inputs, outputs, rows, clocks=()):
    """What the outputs are after every row's clock edge: text of 0, 1, x by name.

    ``inputs`` and ``outputs``: name -> bits; a name that ends in ``*`` stands for ports of one bit.
    """
    position, ports, lines = 0, [f".{clock}(clock)" for clock in clocks], []
    for name, bits in inputs.items():
        ports += connect(name, "row", position, bits)
        position += bits
    place = 0
    for name, bits in outputs.items():
        ports += connect(name, "answer", place, bits)
        place += bits
    for row in rows:
        value, shift = 0, 0
        for name, bits in inputs.items():
            value |= (int(row.get(name, 0)) & (1 << bits) - 1) << shift
            shift += bits
        lines.append(f"{value:x}")
    (folder / "rows.hex").write_text("\n".join(lines) + "\n")
    text = BENCH.format(
        cell=cell,
        parameters=", ".join(f".{name}({value})" for name, value in parameters.items()),
        ports=", ".join(ports),
        width=position - 1,
        out=place - 1,
        last=len(rows) - 1,
    )
    said = run(folder, family, cell, text)
    answers = [line.split()[1] for line in said.splitlines() if line.startswith("= ")]
    return [split(answer, outputs) for answer in answers]


def run(folder, family, cell, text):
    """What Icarus says of a bench; it takes no library, so the file is chosen here."""
    (folder / "bench.v").write_text(text)
    cells, share = CELLS[family], share_folder()
    own = any(f"module {cell} " in path.read_text() for path in cells.sources())
    command = [tools.iverilog(), "-g2012", "-s", "bench", "-o", "bench.vvp"]
    command += [f"-D{name}" for name in (*cells.defines, "NO_ICE40_DEFAULT_ASSIGNMENTS")]
    command += [f"-I{share / name}" for name in cells.includes]
    command += ["bench.v", *(cells.sources() if own else [share / name for name in cells.library])]
    for step in (command, [tools.vvp(), "-n", "bench.vvp"]):
        done = subprocess.run(
            [str(part) for part in step],
            cwd=folder, env=tools.environment(), capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)
    return done.stdout


def connect(name, bus, position, bits):
    """Ports of a name on bits of a bus."""
    if name.endswith("*"):
        return [f".{name[:-1]}{k}({bus}[{position + k}])" for k in range(bits)]
    return [f".{name}({bus}[{position + bits - 1}:{position}])"]


def split(answer, outputs):
    """A text of bits, the highest first, by output."""
    found, end = {}, len(answer)
    for name, bits in outputs.items():
        found[name] = answer[end - bits : end]
        end -= bits
    return found
