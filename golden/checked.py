"""Options that check what they are given: makers of typer's, with one way to tell every mistake.

A value that cannot be used is told as ``<option> is <value>; expected <what>``.  ``golden.cli``
puts the option's name in front, as the user typed it.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import typer
from typer.models import OptionInfo

from golden.words import shown


def whole(*names: str, least: int, most: int | None = None, help: str) -> OptionInfo:
    """A whole number from ``least`` to ``most``."""
    span = f"of at least {least}" if most is None else f"from {least} to {most}"
    expected = f"a whole number {span}"

    def parse(value: str | int) -> int:
        text = str(value).strip()
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise _refused(value, expected)
        number = int(text)
        if number < least or (most is not None and number > most):
            raise typer.BadParameter(f"is {number}; expected {expected}")
        return number

    shown = f"{least}..{'' if most is None else most}"
    return typer.Option(*names, parser=parse, metavar=shown, help=help)


def number(*names: str, expected: str, help: str) -> OptionInfo:
    """A number; the command decides which it takes, and ``expected`` says so."""

    def parse(value: str | float) -> float:
        try:
            return float(value)
        except ValueError:
            raise _refused(value, expected) from None

    return typer.Option(*names, parser=parse, metavar="NUMBER", help=help)


def choice(*names: str, of: Iterable[str | int], help: str) -> OptionInfo:
    """One of a few words, or of a few numbers."""
    words = {str(each): each for each in of}

    def parse(value: str | int) -> str | int:
        if str(value) not in words:
            raise _refused(value, f"one of {', '.join(words)}")
        return words[str(value)]

    return typer.Option(*names, parser=parse, metavar="|".join(words), help=help)


def file(*names: str, ends: tuple[str, ...] = (), help: str) -> OptionInfo:
    """The name of a file, with one of the suffixes ``ends`` if there are any."""
    expected = "the name of a file" + (f" that ends in {' or '.join(ends)}" if ends else "")
    return typer.Option(*names, parser=_file_parser(ends, expected), metavar="FILE", help=help)


def _file_parser(ends: tuple[str, ...], expected: str) -> Callable[[str | Path], Path]:
    def parse(value: str | Path) -> Path:
        path = Path(value)
        # Path("") is the current folder.
        if not str(value).strip() or (ends and path.suffix.lower() not in ends):
            raise _refused(value, expected)
        return path

    return parse


def _refused(value: object, expected: str) -> typer.BadParameter:
    said = shown(str(value)) if str(value).strip() else "empty"
    return typer.BadParameter(f"is {said}; expected {expected}")
