"""sim/report.py: the report names the version of the project."""

import tomllib
from pathlib import Path

import pytest

from sim.report import VERSION

ROOT = Path(__file__).parent.parent


def test_the_version_is_that_of_the_project():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize("folder", ["golden", "hdl", "sim", "boards"])
def test_it_is_said_once(folder):
    said = f'= "{VERSION}"'  # packages that are fetched have versions of their own
    files = [file for file in (ROOT / folder).rglob("*.py") if said in file.read_text()]
    assert files == []
