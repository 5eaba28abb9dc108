"""The conversation: what is said, what it costs, and what happens when link or person fail."""

import io
import re

import pytest

from boards.__main__ import app
from boards.commands import chat as command
from boards.host.chat import HELP, Chat
from golden.cli import run
from golden.errors import WeftError
from golden.generate import sampled_steps
from golden.protocol import Type
from golden.quantize import Options, quantize
from golden.tokenizer import tokenizer_for
from sim import chip
from sim.host import Link
from sim.replies import LinkError, NoReply
from sim.workload import Sampling, make_requests
from tests.fake_device import CLOCK_HZ, CYCLES, FakeDevice
from tests.models import microgpt, preset

MADE = microgpt()
CHECKPOINT, PLAN = MADE.checkpoint, MADE.plan


def names(count, prompt="", **sampling):
    """What `make sim` would say."""
    found = []
    for request in make_requests(CHECKPOINT, Sampling(**sampling), count, prompt):
        ids = [step.sampled for step in sampled_steps(PLAN, request)]
        found.append(prompt + tokenizer_for(CHECKPOINT).decode(ids))
    return found


@pytest.fixture
def device():
    return FakeDevice(PLAN)


@pytest.fixture
def chat(device):
    link = Link(device, clock=lambda: device.now)
    return Chat(link, CHECKPOINT, PLAN)


def converse(chat, *lines, patient=False):
    chat.converse(lines, patient)


def test_lines_are_beginnings_and_give_the_names_of_make_sim(chat, capsys):
    chat.meet()
    converse(chat, "", "\n", "  ")
    assert capsys.readouterr().out.split() == names(3)
    converse(chat, "ka")
    assert capsys.readouterr().out.startswith("ka")


def test_cost_is_that_of_the_hardware_at_its_own_clock(chat, capsys):
    chat.names = 2
    chat.meet()
    converse(chat, "a")
    tokens = sum(len(name) - 1 + 1 for name in names(2, "a"))
    assert capsys.readouterr().err.strip() == (
        f"{tokens} tokens; {CYCLES}.0 cycles a token ({CYCLES} to {CYCLES}), "
        f"{CLOCK_HZ // CYCLES:,} tokens/s at 50 MHz (board)"
    )


def test_tokens_are_shown_one_by_one(chat, device, monkeypatch):
    shown, text = [], names(1)[0]
    chat.meet()
    device.happens = {k: lambda: shown.append(out.getvalue()) for k in range(len(text) + 1)}
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    converse(chat, "")
    assert shown == [text[:k] for k in range(len(text) + 1)]


def test_commands(chat, capsys):
    chat.meet()
    converse(chat, "", "/seed 7", "", "/seed 7", "", "/temperature 0", "", "/temperature 0", "")
    said = capsys.readouterr().out.split()
    assert said == [*names(1), *names(1, seed=7) * 2, *names(1, temperature=0) * 2]
    converse(chat, "/counters", "/help", "/quit", "never said")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"^  tokens +\d+$", err, re.M)
    assert HELP in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/sed 3", "there is no command /sed; /help lists"),
        ("/seed x", "/seed takes a whole number, not 'x'"),
        ("/seed -1", "seed is -1; expected 0 to"),
        ("/temperature", "/temperature takes a number, not ''"),
        ("/temperature nan", "temperature is nan; expected 0"),
        ("Ka", "the character 'K' in 'Ka' is not in the vocabulary"),
        ("a" * 16, "has 17 tokens with the start token"),
    ],
)
def test_a_line_that_goes_wrong(chat, capsys, line, said):
    """A person goes on; a pipe ends."""
    chat.meet()
    converse(chat, line, "", patient=True)
    out, err = capsys.readouterr()
    assert err.startswith(f"weft: {said}") or said in err.splitlines()[0]
    assert out.split() == names(1)
    with pytest.raises(WeftError, match=re.escape(said)):
        converse(chat, line, "")
    assert capsys.readouterr().out == ""


def test_ctrl_c_aborts_on_the_device_and_the_next_line_is_answered(chat, device, capsys):
    chat.meet()
    device.happens[2] = interrupt
    converse(chat, "", "", patient=True)
    assert device.asked[-4:] == [Type.GENERATE, Type.HELLO, Type.ABORT, Type.GENERATE]
    first, second = capsys.readouterr().out.splitlines()
    assert names(2)[0].startswith(first)
    assert second == names(2)[1]
    device.happens[device.told + 1] = interrupt
    with pytest.raises(KeyboardInterrupt):
        converse(chat, "")
    assert device.asked[-1] == Type.ABORT


def interrupt():
    raise KeyboardInterrupt


def test_noise_before_every_reply(chat, device, capsys):
    device.before_reply = b"\x00~\xff\x7d~~U"
    chat.meet()
    converse(chat, "", "")
    assert capsys.readouterr().out.split() == names(2)


def test_a_device_that_is_reset_while_it_speaks(chat, device, capsys):
    chat.meet()
    device.happens[2] = device.reset
    converse(chat, "", "", patient=True)
    out, err = capsys.readouterr()
    assert "weft: the device did not send the next token within 30 s; check its power" in err
    assert names(1)[0].startswith(out.splitlines()[0])
    assert out.splitlines()[1] == names(2)[1]


def test_a_cable_that_is_plugged_in_again(chat, device, capsys):
    chat.meet()
    device.happens[2] = device.pull

    def typed():
        yield ""
        yield ""  # still pulled
        device.pulled = False
        yield ""

    chat.converse(typed(), patient=True)
    out, err = capsys.readouterr()
    assert err.count("weft: the connection to the device broke (device disconnected)") == 2
    assert out.splitlines()[-1] == names(3)[2]
    device.pulled = True
    with pytest.raises(LinkError, match="broke"):
        converse(chat, "")


def test_what_another_program_left_running_is_ended(chat, device, capsys):
    Link(device, clock=lambda: device.now).generate(make_requests(CHECKPOINT, Sampling(), 1)[0])
    assert device.held
    chat.meet()
    converse(chat, "")
    assert capsys.readouterr().out.split() == names(1)


def test_another_model():
    own = block_plan()
    digests = own.digest()[:16], PLAN.digest()[:16]
    said = "holds the plan {1} and that of microgpt is {0}: give MODEL".format(*digests)
    with pytest.raises(LinkError, match=said):
        Chat(Link(FakeDevice(PLAN)), CHECKPOINT, own).meet()


def block_plan():
    return quantize(preset("microgpt"), Options("block"))


# --- the command ----------------------------------------------------------------------------------


def speak(monkeypatch, capsys, text, *words):
    """(exit status, stdout, stderr) of the command, fed from a pipe."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    status = 0
    try:
        run(app, "python -m boards", ["chat", *words])
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


@pytest.fixture
def quick(monkeypatch):
    build = chip.build
    monkeypatch.setattr(chip, "build", lambda design: build(design, quick=True))


@pytest.mark.usefixtures("quick")
def test_a_simulated_chip_answers_every_line_of_a_pipe(monkeypatch, capsys):
    status, out, err = speak(monkeypatch, capsys, "\n\n/counters\n")
    assert (status, out.split()) == (0, names(2))
    told = r"tokens; \d+\.\d cycles a token \((\d+) to (\d+)\), .* 100 MHz \(assumed\)"
    fewest, most = zip(*re.findall(told, err), strict=True)
    counted = dict(re.findall(r"(fewest|most)_cycles +(\d+)", err))
    assert counted == {"fewest": min(fewest), "most": max(most)}
    assert len(fewest) == 2
    assert re.search(r"simulated at [\d,]+ cycles a second", err)
    status, out, _ = speak(monkeypatch, capsys, "not read\n", "--prompt=ka", "--names=2")
    assert (status, out.split()) == (0, names(2, "ka"))


@pytest.mark.usefixtures("quick")
def test_a_simulated_chip_that_dies_ends_even_a_patient_conversation(monkeypatch, capsys):
    meet = Chat.meet

    def kill(chat):
        device = meet(chat)
        chat.link._port._simulator.kill()
        return device

    monkeypatch.setattr(Chat, "meet", kill)
    monkeypatch.setattr(command, "typed_lines", lambda: iter(["", ""]))
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)
    with pytest.raises(SystemExit) as end:
        run(app, "python -m boards", ["chat"])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("weft: the simulated chip died (signal SIGKILL)") == 1


def test_a_board_is_spoken_to_over_its_port(monkeypatch, capsys):
    opened = []

    class Opened(FakeDevice):
        def __init__(self, find, baud):
            super().__init__(PLAN)
            opened.append((find(), baud))

    monkeypatch.setattr(command, "SerialPort", Opened)
    monkeypatch.setattr(command, "find_port", lambda board: f"the port of {board.name}")
    assert speak(monkeypatch, capsys, "\n", "--board=ulx3s")[:2] == (0, names(1)[0] + "\n")
    assert speak(monkeypatch, capsys, "\n", "--port=/dev/x", "--board=arty")[0] == 0
    assert opened == [("the port of ulx3s", 1_000_000), ("/dev/x", 1_000_000)]
    status, out, err = speak(monkeypatch, capsys, "\n", "--port=/dev/x", "--numbers=block")
    assert (status, out) == (2, "")
    assert err.startswith("weft: the device holds the plan ")
    status, out, err = speak(monkeypatch, capsys, "Q\n", "--port=/dev/x")
    assert (status, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port=/dev/nothing"], "the port /dev/nothing does not exist; plug the board in, or "),
        (["--port=/dev/null"], "the port /dev/null is no serial port; give another PORT"),
        (["--board=x"], "--board is 'x'; expected one of arty, "),
        (["--board=arty"], "no Digilent Arty A7-35T is attached (USB 0403:6010): plug it in, or "),
        (["--board=arty", "--lanes=4"], "--lanes is for a simulated chip; leave it out for a boa"),
        (["--temperature=9"], "--temperature is 9; expected 0 (greedy) or"),
        (["--lanes=3"], "--lanes is 3; expected a power of two"),
    ],
)
def test_bad_input(monkeypatch, capsys, words, said):
    monkeypatch.setattr("boards.host.ports.list_ports.comports", list)
    status, out, err = speak(monkeypatch, capsys, "\n", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"weft: {said}")


def test_nothing_answers():
    class Silent(FakeDevice):
        def _answer(self, frame):
            pass

    device = Silent(PLAN)
    with pytest.raises(NoReply, match="nothing answers like a device of Weft: load a bitstream"):
        Chat(Link(device, clock=lambda: device.now), CHECKPOINT, PLAN).meet()
