"""``python -m sim verilog``: the core as Verilog for anyone's design, with a table of its ports."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from golden import checked
from golden.errors import check_writable, write_whole
from golden.tokenizer import tokenizer_for
from golden.words import counted
from hdl.export import AxiCore, AxiStream, ports_table, top_name
from hdl.memory import Memories, verilog_name
from sim.build import BUILD, Design, Target, make_design
from sim.commands import options
from sim.engines import verilog as backend
from sim.engines.image import hex_lines, words_of

FOLDER = BUILD / "verilog"
PORTS = "ports.md"

INLINE_BITS = 1 << 18
"""Memories up to this size (32 KiB) are initialised word by word in the Verilog itself."""

INLINE = (
    "Every memory is initialised word by word in this file: no other file is needed, and no path\n"
    "can be wrong."
)
FILES = (
    "Small memories are initialised word by word in this file, large ones by $readmemh from\n"
    "{files}.\n"
    "Vivado: add these files to the project. Yosys looks beside this file too. Icarus and\n"
    "Verilator look in the folder in which the simulation runs. Treat a warning about such a\n"
    "file as an error: the memory would be empty."
)


@dataclass(frozen=True)
class Exported:
    """An export: name of the top module, its Verilog, hex files, table of ports, its streams."""

    name: str
    verilog: str
    files: dict[str, bytes]
    ports: str
    streams: tuple[AxiStream, ...]


@options.with_target
def verilog(
    target: Target,
    output: Annotated[
        Path | None,
        checked.file(
            ends=(".v",), help="The Verilog; its ports.md goes beside it. In build/verilog/<model>."
        ),
    ] = None,
) -> None:
    """Write the core as Verilog with AXI4-Stream ports, and a table of these."""
    model = target.model
    path = output or FOLDER / model / f"{top_name(model)}.v"
    for file in (path, path.with_name(PORTS)):
        check_writable(file)
    exported = export(make_design(target), model)
    written = {path.name: exported.verilog.encode(), **exported.files}
    written[PORTS] = exported.ports.encode()
    for name, content in written.items():
        write_whole(path.with_name(name), content)
    print(exported.ports)
    for name, content in written.items():
        print(f"{path.with_name(name)}  {len(content):,} bytes")


def export(design: Design, model: str) -> Exported:
    """The core of a design as Verilog; the same design gives the same bytes."""
    memories, name = Memories(), top_name(model)
    top = AxiCore(design.core(memories, observe=False))
    with tempfile.TemporaryDirectory() as folder:
        text = backend.translate(top, name, Path(folder), backend.EXPORTED)
    shapes = {verilog_name(memory): (memory, shape) for memory, shape in memories.shapes.items()}
    files: dict[str, bytes] = {}

    def contents(file: str, inside: str, depth: int) -> str:
        memory, (width, _) = shapes[file]
        lines = hex_lines(words_of(design.loaded(), memory, depth), width, depth)
        if width * depth > INLINE_BITS:
            files[f"{file}.hex"] = lines
            return backend.load_file(file, inside, depth)
        return _inline(inside, width, lines.decode().split())

    text, _ = backend.load_memories(text, contents)
    text = _plain_names(text, name)
    title = f"# `{name}`\n\n{_about(design)}\n{_tokens(design)}"
    ports = f"{title}\n{_markdown(files)}\n\n{ports_table(top)}"
    return Exported(name, _header(design, name, files) + text, files, ports, top.streams)


def _inline(memory: str, width: int, words: list[str]) -> str:
    lines = [f"    {memory} [{k}] = {width}'h{word};" for k, word in enumerate(words)]
    return "\n".join(("  initial begin", *lines, "  end"))


def _plain_names(text: str, name: str) -> str:
    """Escaped names with dots become ``weft_x__core__norm``: no tool has trouble with that."""
    found = sorted(set(re.findall(rf"\\({name}\.[\w.$]+) ", text)))
    plain = {module: module.replace(".", "__") for module in found}
    if len(set(plain.values())) < len(found):
        raise ValueError("two modules would have the same name")
    return re.sub(rf"\\({name}\.[\w.$]+) ", lambda m: plain[m[1]] + " ", text)


def _about(design: Design) -> str:
    s = design.schedule
    streams = f"{counted(s.streams, 'sequence')} in flight"
    source = {"rom": "in memories", "wires": "in logic", "stream": "streamed in"}[s.weights]
    return (
        f"Schedule {s.name}, {s.multipliers} multipliers, {streams}, weights {source}.\n"
        f"Plan {design.plan.digest()[:16]}."
    )


def _tokens(design: Design) -> str:
    """What a host must know of the vocabulary."""
    checkpoint = design.checkpoint
    tokenizer = tokenizer_for(checkpoint)
    said = f"Prompts begin with token {tokenizer.start}." if tokenizer.opens else ""
    if tokenizer.stop is not None:
        said += f" Token {tokenizer.stop} ends a text."
    if checkpoint.vocabulary and all(len(piece) == 1 for piece in checkpoint.vocabulary[:-1]):
        said += f" From token 0 on: `{''.join(checkpoint.vocabulary[:-1])}`."
    return f"\n{said.strip()}\n"


def _header(design: Design, name: str, files: dict[str, bytes]) -> str:
    said = "\n".join(
        (
            f"{name}: a language model as gateware. Made by Weft (Apache-2.0); see ports.md.",
            _about(design),
            "",
            "One clock, aclk; reset aresetn (active low, synchronous). Verilog-2005.",
            _memories(files),
        )
    )
    return "".join(f"// {line}".rstrip() + "\n" for line in said.split("\n")) + "\n"


def _memories(files: dict[str, bytes]) -> str:
    return FILES.format(files=", ".join(files)) if files else INLINE


def _markdown(files: dict[str, bytes]) -> str:
    return _memories(files).replace("$readmemh", "`$readmemh`")
