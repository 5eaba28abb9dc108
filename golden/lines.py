"""A line of stdout that is not finished: whoever has something else to say ends it first."""

import sys


class _Line:
    is_open = False


def leave_open() -> None:
    """More of the line that was printed will follow."""
    _Line.is_open = True


def close() -> bool:
    """What follows finishes the line; whether it is still open."""
    was, _Line.is_open = _Line.is_open, False
    return was


def note(text: str) -> None:
    """Say something on stderr, in a line of its own."""
    if close():
        print(flush=True)
    print(f"weft: {text}", file=sys.stderr, flush=True)
