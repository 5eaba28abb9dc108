import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors

from golden import data, zoo
from golden.__main__ import app
from golden.cli import run
from golden.zoo import microgpt

ROOT = Path(__file__).parents[1]


def golden(capsys, *arguments):
    """Run ``python -m golden`` in this process: status, stdout, stderr."""
    try:
        run(app, "python -m golden", list(map(str, arguments)))
        status = 0
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


def refused(capsys, *arguments):
    """The one sentence that a mistake yields."""
    status, out, err = golden(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("weft: ")
    assert err.count("\n") == 1
    return err


@pytest.fixture
def names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "names.txt"
    path.write_text("anna\nbob\nzoë\n")
    return path


def test_train_writes_a_checkpoint_and_a_picture(capsys, names):
    status, out, err = golden(capsys, "train", "--data", names, "--steps", 7, "--seed", 3)
    assert status == 0
    checkpoint = Path("build/train/names.safetensors")
    assert checkpoint.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    c = zoo.load("microgpt", checkpoint)
    assert c.vocabulary == (*"abnozë", "<BOS>")
    with safetensors.safe_open(checkpoint, "numpy") as file:
        assert file.metadata() == {
            "n_head": "4", "vocab": "abnozë", "activation": "relu", "steps": "7", "seed": "3",
        }  # fmt: skip
    assert c.digest in out
    assert "nats a token over 3 names" in out
    assert "7/7" in err
    assert "loss" in err


def test_options_shape_the_model(capsys, names):
    options = "--n-layer 2 --n-embd 6 --n-head 3 --block-size 4 --d-ff 5 --activation gelu"
    paths = ("--output", "a/b.safetensors", "--picture", "c.png", "--hold-out", 3)
    more = ("--learning-rate", "0.02", "--steps", 3)
    status, out, _ = golden(capsys, "train", "--data", names, *options.split(), *paths, *more)
    assert status == 0
    config = microgpt.load(Path("a/b.safetensors")).config
    assert (config.n_layer, config.d_model, config.n_head) == (2, 6, 3)
    assert (config.n_ctx, config.d_ff, config.activation) == (4, 5, "gelu")
    assert "held-out loss" in out
    assert "over 1 name\n" in out
    assert Path("c.png").exists()


def test_the_committed_checkpoint_comes_from_train_without_options(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = golden(capsys, "train")
    assert status == 0
    assert "over 1,600 names" in out
    made = Path("build/train/microgpt.safetensors").read_bytes()
    assert made == microgpt.COMMITTED.read_bytes()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file or directory; expected a text file of names"),
        (b"", "holds no names; expected one name a line"),
        (b"\n  \n\t\r\n", "holds no names"),
        (b"anna\n\xff\xfe\n", "is not UTF-8 text (byte 5); expected a text file of names"),
    ],
)
def test_bad_data(capsys, names, content, sentence):
    names.unlink()
    if content is not None:
        names.write_bytes(content)
    err = refused(capsys, "train", "--data", names)
    assert str(names) in err
    assert sentence in err


def test_a_list_of_the_carried_lists_name_leaves_its_results_alone(capsys, names, monkeypatch):
    monkeypatch.setattr(data, "NAMES", names)
    assert golden(capsys, "train", "--steps", 2)[0] == 0
    (carried,) = Path("build/train").glob("*.safetensors")
    before = carried.read_bytes()
    assert golden(capsys, "train", "--data", names, "--steps", 3)[0] == 0
    assert carried.read_bytes() == before
    assert len(list(Path("build/train").iterdir())) == 4


def test_data_that_never_ends_is_refused(capsys, names, monkeypatch):
    assert "/dev/zero is no ordinary file" in refused(capsys, "train", "--data", "/dev/zero")
    os.mkfifo("pipe")
    assert "pipe is no ordinary file" in refused(capsys, "train", "--data", "pipe")
    with Path("large").open("wb") as file:
        file.truncate(data.MOST_BYTES + 1)
    assert "large has 67,108,865 bytes; expected" in refused(capsys, "train", "--data", "large")


def test_data_is_a_folder(capsys, names):
    assert "Is a directory" in refused(capsys, "train", "--data", names.parent)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--steps", "0"), "--steps is 0; expected a whole number of at least 1"),
        (("--steps", "many"), "--steps is 'many'; expected a whole number of at least 1"),
        (("--seed", "-1"), "--seed is -1; expected a whole number from 0 to 4294967295"),
        (("--n-embd", "10"), "--n-head is 4; expected a divisor of --n-embd, which is 10"),
        (("--activation", "tanh"), "--activation is 'tanh'; expected one of relu, gelu"),
        (("--learning-rate", "nan"), "--learning-rate is nan; expected a positive number"),
        (("--learning-rate", "1e200"), "training diverged at step"),
        (("--no-such-option",), "`python -m golden train --help` lists what there is"),
        (("--hold-out", "1"), "there are no names to train on"),
        (("--output", ""), "--output is empty; expected the name of a file that ends in .safe"),
        (("--output", "q.txt"), "--output is 'q.txt'; expected the name of a file that ends in"),
        (("--picture", "q.svg"), "--picture is 'q.svg'; expected the name of a file that ends in"),
        (("--output", "folder.safetensors"), "folder.safetensors is a folder; expected the name"),
        (("--output", "names.txt/x.safetensors"), "in the folder names.txt"),
        (("--output", "/proc/x/y.safetensors"), "in the folder /proc/x"),
        (("--picture", "/proc/y.png"), "in the folder /proc"),
        (("--output", f"{'x' * 250}.safetensors"), "File name too long"),
    ],
)
def test_bad_options(capsys, names, arguments, sentence):
    Path("folder.safetensors").mkdir()
    status, out, err = golden(capsys, "train", "--data", names, *arguments)
    # A run that diverges has drawn its progress bar before it says so.
    assert (status, out) == (2, "")
    assert err.count("weft: ") == 1
    assert sentence in err.splitlines()[-1]
    assert names.read_text() == "anna\nbob\nzoë\n"
    assert sorted(file.name for file in names.parent.rglob("*")) == [
        "folder.safetensors", names.name,
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [("--n-embd", 24, "--n-head", 5), ("--n-embd", 10_000)])
def test_a_shape_is_refused_before_there_is_a_bar(capsys, names, shape):
    refused(capsys, "train", "--data", names, *shape)


def test_names_that_are_cut_are_counted(capsys, names):
    told = "weft: warning: 2 names of 3 cut after 4 characters; --block-size 41 takes all\n"
    names.write_text(f"{'x' * 40}\nanna\nbob\n")
    _, _, err = golden(capsys, "train", "--data", names, "--steps", 1, "--block-size", 4)
    assert err.startswith(told)
    _, _, err = golden(capsys, "train", "--data", names, "--steps", 1, "--block-size", 41)
    assert "warning" not in err


def test_the_data_is_not_overwritten(capsys, names):
    data = names.rename("names.safetensors")
    told = refused(capsys, "train", "--data", data, "--output", data)
    assert "must be different files" in told
    assert data.read_text() == "anna\nbob\nzoë\n"


def test_unknown_command(capsys):
    err = refused(capsys, "trian")
    assert "'trian'" in err
    assert "`python -m golden --help` lists what there is" in err


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help(capsys, arguments):
    status, out, err = golden(capsys, *arguments)
    assert (status, err) == (0, "")
    assert "Weft" in out
    assert "train" in out


def test_interrupt(capsys, names, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("golden.train.loss_and_gradients", interrupt)
    status, out, err = golden(capsys, "train", "--data", names)
    assert (status, out) == (130, "")
    assert "Traceback" not in err


INTERRUPTED_IMPORT = """
import runpy, sys
class Interrupt:
    def find_spec(name, *_):
        if name == "numpy":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt)
runpy.run_module(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("program", ["golden", "sim", "boards"])
def test_an_interrupt_while_modules_are_loaded_is_quiet(program):
    command = [sys.executable, "-c", INTERRUPTED_IMPORT, program, "--help"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_as_a_program(tmp_path):
    command = [sys.executable, "-m", "golden", "train", "--data", str(tmp_path / "none")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("weft: cannot read ")
    assert "Traceback" not in result.stderr
