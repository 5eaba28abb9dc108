"""Options: what every command refuses, how it says so, and what `make help` tells about them."""

import re
import shlex
from pathlib import Path

import pytest
import typer

import boards.__main__
import golden.__main__
import sim.__main__
from golden.cli import FROM_MAKE, application, run, typed
from golden.quantize import Options
from sim.build import Target
from sim.commands import options

ROOT = Path(__file__).parents[1]
PROGRAMS = {"golden": golden.__main__.app, "sim": sim.__main__.app, "boards": boards.__main__.app}
TARGETS = {
    "sim": ("sim", "run"),
    "wave": ("sim", "wave"),
    "verilog": ("sim", "verilog"),
    "image": ("sim", "image"),
    "image-info": ("sim", "image-info"),
    "results": ("sim", "results"),
    "memory": ("sim", "memory"),
    "bitstream": ("boards", "bitstream"),
    "boards": ("boards", "boards"),
    "program": ("boards", "program"),
    "load": ("boards", "load"),
    "chat": ("boards", "chat"),
    "count": ("boards", "count"),
    "gatesim": ("boards", "gatesim"),
    "train": ("golden", "train"),
    "accuracy": ("golden", "accuracy"),
    "graph": ("golden", "graph"),
}
"""The programs behind the targets of make that take options."""

BAD = {
    "a whole number": ["", " ", "x", "1.5", "-1", "1e3", "0x10", "٣", "9" * 30, "nan"],
    "one of": ["", "x", "1"],
    "0 (greedy)": ["", "x", "-0.1", "9", "0.001", "nan", "inf", "-inf"],
    "a positive number": ["", "x", "0", "-1", "nan", "inf"],
    "a frequency": ["", "x", "0", "-1", "nan", "inf"],
    "the name of a file": ["", " "],
}
"""Values that are refused, by what is expected."""

FILES = {"--output", "--picture", "--taps"}
"""Options that name files to write: their suffixes are checked."""


def parameters(target):
    """Options of a target's command, by name."""
    program, command = TARGETS[target]
    found = typer.main.get_command(PROGRAMS[program]).commands[command].params
    return {each.opts[0]: each for each in found}


def told(capsys, target, *arguments):
    """The one sentence with which a target's command refuses."""
    program, command = TARGETS[target]
    with pytest.raises(SystemExit) as end:
        run(PROGRAMS[program], f"python -m {program}", [command, *arguments])
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("weft: ")
    assert err.count("\n") == 1
    return err.removeprefix("weft: ").rstrip()


EVERY = [(target, option) for target in TARGETS for option in parameters(target)]


@pytest.mark.parametrize(("target", "option"), EVERY)
def test_what_an_option_cannot_be(capsys, tmp_path, monkeypatch, target, option):
    monkeypatch.chdir(tmp_path)
    if option in ("--prompt", "--quick", "--every"):
        return  # any text; flags
    sentence = told(capsys, target, f"{option}=")
    expected = sentence.removeprefix(f"{option} is empty; expected ")
    assert expected != sentence
    values = next(values for start, values in BAD.items() if expected.startswith(start))
    for value in values:
        shown = "empty" if not value.strip() else f"('{re.escape(value)}'|{re.escape(value)})"
        again = told(capsys, target, f"{option}={value}")
        assert re.fullmatch(f"{option} is {shown}; expected {re.escape(expected)}", again)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("target", "option"), [x for x in EVERY if x[1] in FILES])
def test_files_are_checked_before_the_work(capsys, tmp_path, monkeypatch, target, option):
    monkeypatch.chdir(tmp_path)
    suffixes = re.findall(r"\.[a-z]+", told(capsys, target, f"{option}=x.txt").partition(";")[2])
    assert suffixes
    for suffix in suffixes:
        sentence = told(capsys, target, f"{option}=/proc/x/y{suffix}")
        assert sentence.startswith(f"cannot write y{suffix} in the folder /proc/x: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "arguments", "sentence"),
    [
        ("sim", "--lanes=3", "--lanes is 3; expected a power of two"),
        ("sim", "--multipliers=1", "--multipliers is 1; for this model, folded, expected at "),
        ("sim", "--names=1366 --prompt=ab", "--names is 1,366; expected at most 1,365 "),
        ("sim", "--engine=amaranth --trace=fst", "--engine is amaranth, which cannot write "),
        ("wave", "--trace=vcd --output=x.fst", "--output is x.fst; expected a .vcd"),
        ("wave", "--engine=amaranth --output=x.fst", "--engine is amaranth, which cannot write "),
        ("verilog", "--multipliers=99999", "--multipliers is 99999; expected a whole number from "),
        ("count", "--streams=9999", "--streams is 9999; expected a whole number from 1 to 1024"),
        ("sim", "--cache-bits=8", "--cache-bits is 8; with scales of matrices expected 16"),
        ("verilog", "--scales=row", "--scales is 'row', which is for models of the llama family"),
        ("count", "--cache-bits=12", "--cache-bits is '12'; expected one of 8, 16"),
        ("verilog", "--line 3", "No such option: --line"),
        ("image-info", "", "--file is missing; expected a value"),
        ("image-info", "--file=none", "the image none cannot be read: No such file or directory; "),
    ],
)
def test_what_options_cannot_be_together(
    capsys, tmp_path, monkeypatch, target, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    assert told(capsys, target, *arguments.split()).startswith(sentence)


def test_a_mistake_in_a_name_points_to_the_help_of_the_command(capsys, monkeypatch):
    hint = "`python -m sim wave --help` lists what there is"
    assert told(capsys, "wave", "--cycle=3").endswith(hint)
    monkeypatch.setenv(FROM_MAKE, "wave CYCLES")
    hint = "`make wave ARGS=--help` lists what there is"
    assert told(capsys, "wave", "--cycle=3").endswith(hint)


def test_options_are_called_as_they_were_typed(capsys, monkeypatch):
    assert typed("weight_bits") == typed("--weight-bits") == "--weight-bits"
    monkeypatch.setenv(FROM_MAKE, "sim NAMES LANES")
    assert (typed("--names"), typed("lanes"), typed("sim")) == ("NAMES", "LANES", "--sim")
    assert told(capsys, "sim", "--names=x").startswith("NAMES is 'x'; expected a whole number")
    assert told(capsys, "sim", "--lanes=3").startswith("LANES is 3; expected a power of two")
    assert told(capsys, "sim", "--seed=x").startswith("--seed is 'x'")


# --- one list of options for every design ---------------------------------------------------------


def seen(*arguments):
    """The target and the other option that a command with both is called with."""
    calls = []
    app = application("a test")

    @app.command()
    @options.with_target
    def command(target: Target, prompt: options.Prompt = "none"):
        """Do it."""
        calls.append((target, prompt))

    run(app, "test", ["command", *arguments])
    return calls[0]


def test_without_options_the_target_is_the_default():
    assert seen() == (Target(), "none")


def test_every_field_of_a_target_has_an_option():
    words = "--model ailang --checkpoint c --numbers block --schedule pipelined --multipliers 48"
    more = "--lanes 4 --streams 2 --weights stream --scales row --cache-bits 8 --prompt ka"
    expected = Target("ailang", Path("c"), "block", "pipelined", 48, 4, 2, "stream", "row", 8)
    assert seen(*shlex.split(f"{words} {more}")) == (expected, "ka")
    assert expected.options == Options("block", scales="row", cache_bits=8)
    assert set(options.TARGET) == set(vars(Target()))


# --- make help ------------------------------------------------------------------------------------


def makefile():
    """Options of every target, and the comment of every option."""
    text = (ROOT / "Makefile").read_text()
    groups = dict(re.findall(r"^(machine|text) *:= (.*)", text, re.M))
    taken = dict(re.findall(r"^options\.([\w-]+) *:= (.*)", text, re.M))
    for target, names in taken.items():
        taken[target] = re.sub(r"\$\((\w+)\)", lambda m: groups[m[1]], names).split()
    said = re.findall(r"^option\.\w+ *:= (--\S+) +# (.*)", text, re.M)
    return taken, dict(said)


@pytest.mark.parametrize("target", TARGETS)
def test_make_help_tells_true_defaults_and_choices(target):
    taken, said = makefile()
    assert set(taken) == set(TARGETS)
    for option in (f"--{name.lower().replace('_', '-')}" for name in taken[target]):
        parameter = parameters(target)[option]
        behind = said[option].partition("default")[2]
        if parameter.default not in (None, ""):
            assert re.search(rf"(^|\s){re.escape(str(parameter.default))}\b", behind), option
        for choice in (parameter.metavar or "").split("|")[1:]:
            assert re.search(rf"\b{choice}\b", said[option]), (option, choice)
