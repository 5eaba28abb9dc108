"""Warnings of synthesis: each is an error, unless it is listed here with a reason."""

from __future__ import annotations

import re

from golden.errors import WeftError

HARMLESS = {
    r"keyword `bit' .*/abc9_map\.v:\d+\) is not recognized": "in a file of Yosys' own",
    r"ABC: Warning: The network is combinational": "abc9 hands over logic between registers only",
    r"ABC: Warning: AIG with boxes has internal fanout in \d+ complex flops and \d+ carries": (
        "carries that are used inside a box and behind it, which abc9 then duplicates"
    ),
    r"/gowin/brams_map\.v:\d+: Warning: Range .* out of bounds on signal `\\PORT_._WR_DATA'": (
        "the inputs of a block RAM behind those that a port of its width has are undefined"
    ),
}
"""Pattern of a line -> why it is harmless."""

_WARNING = re.compile(r"\bwarning: ", re.IGNORECASE)
"""Undriven, conflicting and constant signals, memories that became registers, resized ports, ..."""


def check_log(log: str) -> None:
    """Raise a WeftError at the first line of Yosys' log that warns of something not listed."""
    for line in log.splitlines():
        if _WARNING.search(line) and not any(re.search(form, line) for form in HARMLESS):
            raise WeftError(
                f"synthesis: {line.strip()} Put it right, or list it with a reason in "
                "boards/warnings.py"
            )
