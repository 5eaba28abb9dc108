"""The memory of tests/external_memory.py, as bytes."""

from tests.external_memory import Memory


class PlayedMemory(Memory):
    """``beats`` beats of ``width`` bits behind ``port``; all else as in Memory."""

    def __init__(self, port, beats, width, **options):
        super().__init__(port, dict.fromkeys(range(beats), 0), **options)
        self._beats, self._size = beats, width // 8

    def fill(self, data, first=0):
        """Put bytes into it, from a beat on."""
        for at in range(0, len(data), self._size):
            beat = int.from_bytes(data[at : at + self._size], "little")
            self.words[first + at // self._size] = beat

    def bytes(self):
        """All of it; nothing may have been written behind its end."""
        assert len(self.words) == self._beats
        beats = (self.words[k].to_bytes(self._size, "little") for k in range(self._beats))
        return b"".join(beats)
