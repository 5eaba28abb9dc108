import sys

import pytest

from golden import cache, pip
from golden.errors import WeftError


def test_what_is_there_is_not_installed(monkeypatch):
    monkeypatch.setattr(pip, "command", None)
    pip.ensure("numpy")


def test_what_is_missing_is_installed(tmp_path, monkeypatch, capsys):
    script = f"open({str(tmp_path / 'weft_test_module.py')!r}, 'w').write('')"
    monkeypatch.setattr(pip, "command", lambda: [sys.executable, "-c", script])
    monkeypatch.syspath_prepend(tmp_path)
    pip.ensure("weft_test_module")
    assert "weft: installing weft_test_module and what it needs (once)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("THESE PACKAGES DO NOT MATCH THE HASHES", "it does not have the known hash; run again"),
        ("ERROR: No matching distribution found", "the package index cannot be reached"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("one\ntwo", "was not installed: two"),
        ("", "its manager said nothing"),
    ],
)
def test_what_pip_says_becomes_one_sentence(monkeypatch, said, sentence):
    script = f"print({said!r}); raise SystemExit(1)"
    monkeypatch.setattr(pip, "command", lambda: [sys.executable, "-c", script])
    with pytest.raises(WeftError, match=sentence) as caught:
        pip.ensure("weft_no_such_module")
    assert "\n" not in str(caught.value)


def test_a_python_without_pip_takes_the_wheel_of_the_set_up(tmp_path, monkeypatch):
    assert pip.command() == [sys.executable, "-m", "pip"]
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.setattr(pip.importlib.util, "find_spec", lambda name: None)
    assert pip.command() == [sys.executable, "-m", "pip"]
    wheel = tmp_path / "pip/usr/share/python-wheels/pip-23.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.write_text("")
    assert pip.command() == [sys.executable, wheel / "pip"]


def test_the_lock_names_versions_and_hashes():
    text = pip.LOCK.read_text()
    assert "onnx==" in text
    assert "onnxruntime==" in text
    assert "--hash=sha256:" in text
