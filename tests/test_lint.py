import pytest

from sim.setup import imports


def project(root, **files):
    """A project with the given files; ``golden__plan`` stands for golden/plan.py."""
    for name, text in files.items():
        path = root.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_this_project_keeps_the_rule():
    assert imports.violations() == []


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("golden__stages__linear", "import amaranth", "golden must not import amaranth"),
        ("golden__plan", "from hdl.core import Core", "golden must not import hdl"),
        ("golden__plan", "import numpy, sim.tools as t", "golden must not import sim"),
        ("hdl__units__linear", "import sim", "hdl must not import sim"),
        ("hdl__core", "def f():\n    from boards import arty", "hdl must not import boards"),
        ("sim__engine", "from boards.arty import board", "sim must not import boards"),
        ("sim__engine", "import importlib\nimportlib.import_module('boards')", "not import boards"),
        ("boards__build", "import tests.test_core", "boards must not import tests"),
    ],
)
def test_violation_is_found(tmp_path, capsys, monkeypatch, name, text, reason):
    (found,) = imports.violations(project(tmp_path, **{name: text}))
    assert reason in found
    assert found.startswith(name.replace("__", "/") + f".py:{text.count(chr(10)) + 1}:")
    monkeypatch.setattr(imports, "violations", lambda: [found])
    assert imports.main() == 1
    assert found in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hdl__core", "import amaranth\nfrom golden.plan import Plan"),
        ("sim__engine", "import hdl.core, golden.plan, cocotb"),
        ("boards__build", "from sim.tools import verilator"),
        ("golden__stages__linear", "from . import norm\nimport numpy"),
        ("golden__plan", "import hdlparse"),
        ("tests__test_core", "import boards, golden"),
    ],
)
def test_allowed_imports_pass(tmp_path, name, text):
    assert imports.violations(project(tmp_path, **{name: text})) == []
