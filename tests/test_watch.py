"""What a terminal shows of a run."""

import io

from golden.generate import Request
from sim.watch import PAUSE, Display, Watch, Work


class Clock:
    now = 10.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_work_of_requests():
    requests = [Request((1, 2, 3), 5), Request((1,), 100), Request((1, 2, 3), 2, start=2)]
    assert Work.of(requests, 16) == Work(2, 5 + 16 + 2)
    assert Work.of(requests, None, decode_cycles=9.0) == Work(2, 107, None, 9.0)


def test_prompt_and_sampled_tokens_apart():
    clock = Clock()
    watch = Watch(Work(2, 3), clock)
    assert watch.left() is None
    clock.now += 1000  # loading
    watch.accepted(10, sampled=False)
    watch.accepted(110, sampled=False)
    watch.accepted(210, sampled=True)
    watch.at(310)
    clock.now += 3
    assert watch.told() == "prompt 2 of 2, sampled 0 of 3, 0.0 M cycles, 0 k a second"
    watch.said(510)
    watch.accepted(511, sampled=True)
    watch.at(610)
    assert watch.rate() == 600 / 3
    assert abs(watch.left() - (3 / 600) * (2 * 300 - 99)) < 1e-9
    assert watch.told().endswith(
        "prompt 2 of 2, sampled 1 of 3, 0.0 M cycles, 0 k a second, 3 s left"
    )


def test_bounds_tell_before_a_token_is_done():
    clock = Clock()
    watch = Watch(Work(1, 10, 1000.0, 2000.0), clock)
    clock.now += 60  # loading
    watch.accepted(0, sampled=False)
    clock.now += 0.9
    watch.at(400)
    assert watch.left() is None
    assert watch.told() == "prompt 0 of 1, sampled 0 of 10, 0.0 M cycles"
    watch.at(500)
    clock.now += 0.1
    assert watch.left() == (500 + 20000) / 500
    clock.now += 1000
    assert watch.told().endswith("0 k a second, 11.4 h left")


def test_a_terminal_sees_a_line_below_the_text(capsys):
    clock, file = Clock(), Terminal()
    with Display(Work(0, 4), file, clock) as display:
        display.accepted(0, sampled=True)
        display.at(1000)
        assert file.getvalue() == ""
        clock.now += PAUSE
        display.at(1_000_000)
        assert file.getvalue().endswith("sampled 0 of 4, 1.0 M cycles\x1b8")
        clock.now += PAUSE
        display.at(4_000_000)
        shown = file.getvalue()
        assert "sampled 0 of 4, 4.0 M cycles, 4,000 k a second" in shown
        assert shown.count("\x1b7") == shown.count("\x1b8") == 2
        display.clear()
        display.clear()
    assert file.getvalue() == shown + "\x1b7\x1bD\r\x1b[K\x1b8"
    assert capsys.readouterr().out == ""


def test_a_file_sees_nothing():
    clock, file = Clock(), io.StringIO()
    with Display(Work(0, 4), file, clock) as display:
        clock.now += 10
        display.at(1000)
    assert file.getvalue() == ""
