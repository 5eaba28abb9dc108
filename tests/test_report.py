"""sim/report.py: the report names the version of the project."""

import tomllib
from pathlib import Path

from sim.report import VERSION


def test_the_version_is_that_of_the_project():
    project = Path(__file__).parent.parent / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == VERSION
