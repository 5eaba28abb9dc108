"""Numbers, lists and other people's text in sentences."""

from collections.abc import Collection

MOST = 80
"""Characters of a value that a sentence shows."""

FEW = 6
"""Names that a sentence lists."""


def counted(number: int, noun: str) -> str:
    """``1 name``, ``20 names``, ``1,600 names``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def listed(names: Collection[str]) -> str:
    """``a, b, c``; of many names the first, and how many more there are."""
    first, left = list(names)[:FEW], len(names) - FEW
    return ", ".join(map(shortened, first)) + (f" and {left:,} more" if left > 0 else "")


def shortened(text: str) -> str:
    """A text, or its beginning and dots."""
    return text if len(text) <= MOST else text[:MOST] + "..."


def shown(value: object) -> str:
    """A value as Python writes it; of a long one the beginning."""
    if isinstance(value, str) and len(value) > MOST:
        return repr(value[:MOST]) + "..."
    return shortened(repr(value))


def plain(text: str) -> str:
    """A text in a line, whoever wrote it: what cannot be printed shows as Python writes it."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
