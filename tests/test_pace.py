"""How slow a device is: said while it takes its prompt in, and of prompt and answer apart."""

import pytest

from boards.host.pace import Pace, duration, rate
from sim.replies import NoReply, Token

CLOCK_HZ = 50_000_000


class Watch:
    """A link whose device goes on by itself, and the time that passes."""

    def __init__(self):
        self.cycles, self.now = 0, 0.0

    def counters(self):
        return {"cycles": self.cycles}

    def go(self, seconds, cycles):
        self.now, self.cycles = self.now + seconds, self.cycles + cycles


@pytest.mark.parametrize("terminal", [False, True])
def test_a_slow_device_shows_how_slow_it_is(monkeypatch, capsys, terminal):
    watch = Watch()
    monkeypatch.setattr("boards.host.pace.time.monotonic", lambda: watch.now)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    pace, clear, end = Pace(watch, CLOCK_HZ, lambda tokens: 1e6 * tokens), "", "\n"
    if terminal:
        clear, end = "\r\x1b[K", ""
    pace.begin(5)
    watch.go(1, 1)
    pace.waiting()
    assert capsys.readouterr().err == ""  # not every second
    watch.go(99, 1e6 - 1)
    pace.waiting()
    said = "  5 tokens of prompt: 2 min, 20%, at least 7 min left (10,000 cycles a second)"
    assert capsys.readouterr().err == clear + said + end
    watch.go(900, 9e6)
    pace.hush()
    assert capsys.readouterr().err == clear
    said = pace.spoke(Token(1, 4, 2_000_000, False))
    assert said == (
        "prompt: 4 tokens before the last; about 2,000,000 cycles a token with the way over the "
        "link, 25 tokens/s at 50 MHz; 3 min a token here"
    )
    pace.waiting()
    assert capsys.readouterr().err == ""  # it speaks
    watch.go(500, 5e6)
    assert pace.spent([Token(1, 4, 2_000_000, False), Token(1, 5, 4_000_000, True)]) == (
        "simulated at 10,000 cycles a second, 5 min a sampled token"
    )
    pace.begin(5)
    watch.go(100, 1e6)
    pace.waiting()  # now it knows
    assert ", 10%, about 15 min left (10,000 c" in capsys.readouterr().err


def test_a_device_that_has_no_time_to_answer(monkeypatch, capsys):
    watch = Watch()
    monkeypatch.setattr("boards.host.pace.time.monotonic", lambda: watch.now)
    pace = Pace(watch, CLOCK_HZ)
    pace.begin(5)
    counters = watch.counters

    def silent():
        raise NoReply("nothing came")

    watch.go(100, 1000)
    watch.counters = silent
    pace.waiting()
    assert capsys.readouterr().err == ""
    watch.go(100, 1000)
    watch.counters = counters
    pace.waiting()
    assert capsys.readouterr().err.strip() == "5 tokens of prompt: 3 min (10 cycles a second)"


def test_durations():
    times = (0.0123, 4.5, 45, 200, 7200)
    assert [duration(t) for t in times] == ["0.012 s", "4.5 s", "45 s", "3 min", "2.0 h"]
    assert [rate(CLOCK_HZ, cycles) for cycles in (200, 5e6)] == ["250,000 tokens/s", "10 tokens/s"]
