"""Tools for boards: found on PATH if new enough, else pinned, checked and unpacked."""

import hashlib
import re
import subprocess

import pytest

from boards import tools
from boards.setup import debian, main
from golden.errors import WeftError
from sim.setup import stamp
from sim.setup.console import SetupError


def program(folder, name, said):
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("said", "usable"),
    [
        ('"nextpnr-ecp5" -- Next Generation Place and Route (Version nextpnr-0.9-3-gabc)', True),
        ('"nextpnr-ecp5" -- Next Generation Place and Route (Version 0.11.1+dfsg-5+b1)', True),
        ('"nextpnr-ecp5" -- Next Generation Place and Route (Version 0.4-1)', False),
        ("Segmentation fault", False),
    ],
)
def test_a_tool_on_path_is_used_if_new_enough(tmp_path, monkeypatch, said, usable):
    path = program(tmp_path, "nextpnr-ecp5", said)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert tools.on_path("nextpnr-ecp5") == (path if usable else None)


def test_a_file_that_is_no_program_is_not_used(tmp_path, monkeypatch):
    path = program(tmp_path, "nextpnr-ecp5", "")
    path.write_bytes(b"\x7fELF and nothing")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.on_path("nextpnr-ecp5") is None


def test_tools_on_path_need_no_set_up(tmp_path, monkeypatch):
    for name in ("nextpnr-ice40", "icepack"):
        program(tmp_path, name, f"{name} (Version 1.2.3)")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(main, "wheels", lambda: pytest.fail("set up"))
    found = tools.find(("nextpnr-ice40", "icepack"))
    assert found["icepack"] == tmp_path / "icepack"
    assert found.versions["nextpnr-ice40"] == "1.2.3"


def test_the_data_of_a_chip_becomes_a_path(tmp_path):
    found = tools.Tools({}, {}, tmp_path)
    assert found.path("chipdb-x.bin") == f"{tmp_path}/nextpnr/himbaechel/xilinx/chipdb-x.bin"
    assert found.path("--seed") == "--seed"


def test_the_lock_pins_versions_and_hashes_and_names_no_host():
    assert set(debian.ROOTS) <= set(debian.read_lock())
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for _, digest in debian.read_lock().values())
    assert "://" not in debian.LOCK.read_text()


def test_the_wheels_are_pinned_with_hashes_and_no_host():
    text = main.WHEELS.read_text()
    pins = re.findall(r"^[\w.-]+==[^\n]*\n(?=    --hash=sha256:)", text, re.M)
    assert len(pins) == len(re.findall(r"^[\w.-]+==", text, re.M)) > 0
    assert not re.search(r"://|^\s*-[^-]|^--", text, re.M)


def test_a_package_with_another_hash_is_refused(tmp_path):
    package = tmp_path / "tool_1_amd64.deb"
    package.write_bytes(b"what it is")
    debian._check(package, {"tool": ("1", hashlib.sha256(b"what it is").hexdigest())})
    with pytest.raises(SetupError, match="does not have the hash that"):
        debian._check(package, {"tool": ("1", "0" * 64)})


def test_the_mirror_can_be_given(monkeypatch):
    monkeypatch.setenv(debian.MIRROR, "somewhere/debian")
    assert debian.mirror() == "somewhere/debian"


def test_set_up_is_done_once(tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path))
    made = []
    lock = tmp_path / "lock"
    lock.write_text("one")

    def make(target, log):
        made.append(target)
        target.mkdir()

    for _ in range(2):
        assert main._once(tmp_path / "boards/x", (lock,), make) == tmp_path / "boards/x"
    assert len(made) == 1
    lock.write_text("two")
    main._once(tmp_path / "boards/x", (lock,), make)
    assert len(made) == 2


def test_a_set_up_that_fails_is_one_sentence_and_done_again(tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path))

    def fail(target, log):
        target.mkdir()
        raise SetupError("the mirror is away")

    for _ in range(2):
        with pytest.raises(WeftError, match="tools for boards could not be set up: the mirror is"):
            main._once(tmp_path / "boards/x", (), fail)
    assert stamp.read(tmp_path / "boards/x")["key"] is None


def test_wrapped_programs_run_with_their_own_libraries(tmp_path):
    library = tmp_path / "root/usr/lib/x86_64-linux-gnu"
    library.mkdir(parents=True)
    program(library, "ld-linux-x86-64.so.2", 'loader "$@"')
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin/bitread"
    wrapper.write_text(debian.WRAPPER.format(name="bitread"))
    said = subprocess.run(["sh", wrapper, "-y"], capture_output=True, text=True).stdout
    assert "loader" in said
