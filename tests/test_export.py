"""The exported Verilog, used as anybody would: compiled with Icarus, linted with Verilator."""

import functools
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from amaranth.hdl import Fragment

from golden.generate import Request, sampled_steps
from golden.tokenizer import tokenizer_for
from hdl.export import AxiCore, ports_table, top_name
from hdl.memory import Memories
from sim import tools
from sim.commands import verilog as command
from sim.setup.paths import ROOT
from tests import models
from tests.random_models import BASE

BENCH = ROOT / "tests" / "export_bench.v"


@functools.cache
def exported():
    """The default microgpt core."""
    return command.export(models.microgpt(), "microgpt")


@functools.cache
def small(**options):
    return models.design(BASE, multipliers=4, **options)


def write(made, folder):
    (folder / f"{made.name}.v").write_text(made.verilog)
    for name, content in made.files.items():
        (folder / name).write_bytes(content)
    return folder / f"{made.name}.v"


def beats_of(stream, request):
    """``tdata`` of every beat of a prompt, packed by the table of fields."""
    values = {
        "count": request.count, "seed": request.seed, "sequence": request.sequence,
        "noise_scale": request.noise_scale, "stop": request.stop or 0,
        "has_stop": request.stop is not None,
    }  # fmt: skip
    return [
        sum(int({**values, "token": token}[f.name]) << f.offset for f in stream.fields)
        for token in request.prompt
    ]


def play(made, design, request, folder):
    """(token, tlast) of every beat that the exported core answers, in Icarus."""
    streams = {stream.name: stream for stream in made.streams}
    asks, answers = streams["s_axis_request"], streams["m_axis_token"]
    token = next(f for f in answers.fields if f.name == "token")
    beats = beats_of(asks, request)
    digits = asks.width // 4
    (folder / "prompt.hex").write_text("".join(f"{beat:0{digits}x}\n" for beat in beats))
    sizes = {"IN": asks.width, "OUT": answers.width, "BEATS": len(beats)}
    subprocess.run(
        [
            tools.iverilog(), "-g2005", "-o", "bench.vvp", "-s", "bench",
            *(f"-Pbench.{name}={value}" for name, value in sizes.items()),
            f"-DTOP={made.name}", f"-DTOKEN=tdata{token.bits}", BENCH, write(made, folder),
        ],
        cwd=folder, check=True,
    )  # fmt: skip
    ran = subprocess.run(
        [tools.vvp(), "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True, text=True
    )
    lines = [line.split() for line in ran.stdout.splitlines() if "finish" not in line]
    return [(int(line[0]), line[1] == "1") for line in lines]


def expected(design, request):
    steps = list(sampled_steps(design.plan, request))
    return [(s.sampled, s.last) for s in steps]


def test_icarus_generates_a_name_as_the_integer_model_does(tmp_path):
    design = models.microgpt()
    tokenizer = tokenizer_for(design.checkpoint)
    prompt = (tokenizer.start, *tokenizer.encode("an"))
    request = Request(prompt, 16, sequence=3, seed=7, noise_scale=1420, stop=tokenizer.stop)
    made = exported()
    assert made.files == {}
    assert play(made, design, request, tmp_path) == expected(design, request)


def test_large_memories_come_from_files(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "INLINE_BITS", 256)
    design = small()
    made = command.export(design, "tiny")
    assert "weft_linear__weights.hex" in made.files
    assert all(name in made.verilog.split("module")[0] for name in made.files)
    request = Request((26, 0), 2)
    assert play(made, design, request, tmp_path) == expected(design, request)


def test_other_contents_give_other_tokens(tmp_path, monkeypatch):
    """The check above can fail: one memory is emptied."""
    monkeypatch.setattr(command, "INLINE_BITS", 256)
    design = small()
    made = command.export(design, "tiny")
    name = "weft_embed__tokens.hex"
    emptied = bytes(b"0"[0] if c != b"\n"[0] else c for c in made.files[name])
    wrong = replace(made, files={**made.files, name: emptied})
    request = Request((26, 0), 6)
    assert play(wrong, design, request, tmp_path) != expected(design, request)


def test_verilator_accepts_it(tmp_path):
    path = write(exported(), tmp_path)
    quiet = ("-Wno-lint", "-Wno-UNOPTFLAT")  # style, and speed of simulation
    ran = subprocess.run(
        [tools.verilator(), "--lint-only", *quiet, "--top-module", "weft_microgpt", path],
        capture_output=True, text=True, env=tools.environment(),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""


def test_names_are_plain():
    text = exported().verilog
    assert "\\weft_" not in text
    assert re.search(r"^module weft_microgpt__core__norm\b", text, re.MULTILINE)
    assert top_name("a b-1.5") == "weft_a_b_1_5"


def test_the_same_design_gives_the_same_bytes():
    program = (
        "import hashlib\n"
        "from tests import test_export as t\n"
        "made = t.command.export(t.small(), 'tiny')\n"
        "print(hashlib.sha256((made.verilog + made.ports).encode()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True,
            env={**tools.environment(), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    "options", [{"weights": "stream"}, {"streams": 3}, {"name": "pipelined", "multipliers": 32}]
)
def test_fields_fill_whole_bytes_without_overlap(options):
    design = models.design(BASE, **{"multipliers": 4, **options})
    top = AxiCore(design.core(Memories(), observe=False))
    Fragment.get(top, None)  # unused components are mistakes elsewhere
    table = ports_table(top)
    for stream in top.streams:
        end = 0
        for field in stream.fields:
            assert field.offset % 8 == 0
            assert field.offset >= end
            end = field.offset + field.width
            assert f"| `{field.bits}` | `{field.name}` | {field.width} | " in table
        assert stream.width % 8 == 0
        assert 0 <= stream.width - end < 8
    assert len(top.streams) == (4 if options.get("weights") == "stream" else 2)


def test_command_writes_verilog_and_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "make_design", lambda target: small())
    output = tmp_path / "folder" / "mine.v"
    command.verilog(output=output)
    assert output.read_text().startswith("// weft_microgpt: a language model as gateware.")
    table = (output.parent / "ports.md").read_text()
    assert "`s_axis_request_tdata`" in table
    assert table in capsys.readouterr().out
