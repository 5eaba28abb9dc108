"""A window of a VCD file, cut out while it is written."""

from typing import TextIO


class Window:
    """A text file that takes a whole VCD and keeps only what lies in a window of time.

    Values that changed before the window are written at its beginning. Whatever is written at once
    consists of whole lines.

    Parameters
    ----------
    file: where the window goes.
    start, end: of the window, in units of the VCD; ``end`` itself is outside.
    """

    def __init__(self, file: TextIO, start: int, end: int):
        self._file, self._start, self._end = file, start, end
        self._values: dict[str, str] = {}
        self._header, self._now, self._opened = True, 0, False

    def write(self, text: str) -> None:
        for line in text.splitlines():
            if self._header:
                self._file.write(line + "\n")
                self._header = not line.startswith("$enddefinitions")
            elif line.startswith("#"):
                self._at(int(line[1:]))
            elif not line.startswith("$"):
                self._change(line)

    def flush(self) -> None:
        self._file.flush()

    def _at(self, now: int) -> None:
        self._now = now
        if now >= self._start and not self._opened:
            self._opened = True
            self._file.write(f"#{self._start}\n")
            self._file.writelines(self._values.values())
        if self._opened and self._start < now <= self._end:
            self._file.write(f"#{now}\n")

    def _change(self, line: str) -> None:
        if self._opened:
            if self._now < self._end:
                self._file.write(line + "\n")
        else:  # a scalar is "1!", anything else "<value> <name>"
            name = line.rsplit(" ", 1)[1] if line[0] in "brs" else line[1:]
            self._values[name] = line + "\n"
