"""``make load``."""

import pytest

from boards.__main__ import app
from boards.commands import load
from golden.cli import run
from hdl.external import image_file
from hdl.external.image_file import opened
from sim.host import Link
from tests.test_load import content, device, layout


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "some.weft"
    image_file.write(path, layout(), "00" * 32)
    return path


@pytest.fixture
def attached(monkeypatch):
    """A device behind a played serial port."""
    port = device()
    port.close = lambda: None
    monkeypatch.setattr(load, "SerialPort", lambda find, baud: (find(), port)[1])
    monkeypatch.setattr(
        load, "Link", lambda port, token_timeout: Link(port, clock=lambda: port.now)
    )
    return port


def boards(capsys, *words):
    try:
        run(app, "boards", ["load", *map(str, words)])
        status = 0
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


def test_an_image_is_verified_and_loaded(capsys, image, attached):
    status, out, err = boards(capsys, f"--file={image}", "--port=/dev/x", "--board=ulx3s")
    assert (status, err) == (0, "")
    assert attached.memory[: len(content())] == content()
    assert out.endswith(
        f"{len(content()):,} bytes sent, 0 lay there already; all of them are right\n"
    )
    _, out, _ = boards(capsys, f"--file={image}", "--port=/dev/x")
    assert f"0 bytes sent, {len(content()):,} lay there already" in out


def test_a_damaged_image_is_not_loaded(capsys, image, attached):
    data = bytearray(image.read_bytes())
    data[opened(image).header.data_offset + 7] ^= 1
    image.write_bytes(data)
    status, _, err = boards(capsys, f"--file={image}", "--port=/dev/x")
    assert status == 2
    assert "tensor layer0.norm_attention are not those" in err
    assert attached.written == 0


def test_no_board_is_told(capsys, image):
    status, _, err = boards(capsys, f"--file={image}", "--port=/dev/none")
    assert status == 2
    assert err == (
        "weft: the port /dev/none does not exist; plug the board in, or give another PORT\n"
    )
