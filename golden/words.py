"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """``1 name``, ``20 names``, ``1,600 names``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
