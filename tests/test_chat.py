"""The conversation: what is said, what it costs, and what happens when link or person fail."""

import io
import re
from dataclasses import replace

import pytest

from boards.__main__ import app
from boards.commands import chat as command
from boards.host.chat import CONVERSATION_HELP, HELP, Chat
from golden.chat_template import Message, conversation_ids
from golden.cli import run
from golden.errors import WeftError
from golden.generate import sampled_steps
from golden.protocol import Type
from golden.quantize import Options, quantize
from golden.tokenizer import tokenizer_for
from golden.zoo.gguf import load
from sim import chip
from sim.host import Link
from sim.replies import LinkError, NoReply
from sim.workload import Sampling, make_requests
from tests.fake_device import CLOCK_HZ, CYCLES, FakeDevice
from tests.gguf_files import write
from tests.llama import BASE, random_llama
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


# --- conversations --------------------------------------------------------------------------------

TEMPLATE = (
    "{% for m in messages %}<|begin|>{{ m.role[0] }} {{ m.content }}<|turn|>{% endfor %}"
    "{% if add_generation_prompt %}<|begin|>a {% endif %}"
)
PIECES = ["<|end|>", "<|begin|>", "<|turn|>", "Ġ", *"abcdehlorsu<|>", "ll", "hell", "he"]
END, BEGIN, TURN = range(3)


def file_of(path, template=TEMPLATE, n_ctx=64):
    """A tiny GGUF file whose model converses."""

    def change(fields, tensors):
        fields |= {
            "tokenizer.chat_template": ("string", template),
            "tokenizer.ggml.add_bos_token": ("bool", False),
            "tokenizer.ggml.tokens": ("array", PIECES),
            "tokenizer.ggml.token_type": ("array", [3] * 3 + [1] * (len(PIECES) - 3)),
            "tokenizer.ggml.merges": ("array", ["l l", "h e", "he ll"]),
        }

    shape = replace(BASE, n_layer=1, d_model=32, d_ff=32, n_vocab=len(PIECES), n_ctx=n_ctx)
    return write(path, random_llama(shape, 4), "F32", change)


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    """(checkpoint, plan) of a model that converses."""
    checkpoint = load(file_of(tmp_path_factory.mktemp("talker") / "talker.gguf"))
    return checkpoint, quantize(checkpoint, Options(scales="row"))


def conversation(talker, tokens=5, **settings):
    device = FakeDevice(talker[1])
    link = Link(device, clock=lambda: device.now)
    chat = Chat(link, *talker, tokens=tokens, **settings)
    chat.meet()
    return chat, device


def answered(talker, said, sequence=0, tokens=5, **sampling):
    """(text, ids of the prompt) that the integer model gives."""
    tokenizer, settings = talker[0].tokenizer, Sampling(**sampling)
    (request,) = make_requests(talker[0], settings, 1, "", tokens)
    prompt = tuple(conversation_ids(tokenizer, said))
    request = replace(request, prompt=prompt, sequence=sequence, stop=TURN)
    ids = [step.sampled for step in sampled_steps(talker[1], request)]
    ids = ids[: ids.index(END) + 1] if END in ids else ids
    return tokenizer.decode(i for i in ids if i not in (END, TURN)), prompt


def test_a_conversation_is_told_as_a_whole(talker, capsys):
    chat, device = conversation(talker)
    said = []
    for number, line in enumerate(("hello", "<|end|> a<|turn|>", "bo")):
        said.append(Message("user", line))
        text, prompt = answered(talker, said, number)
        converse(chat, line, "")  # nothing is said to a model in an empty line
        out, err = capsys.readouterr()
        assert out == text + "\n"
        assert prompt.count(TURN) == len(said)
        assert END not in prompt
        again = ", the whole conversation again" * (number > 0)
        assert err.splitlines()[0] == f"  {len(prompt)} tokens to take in{again}"
        assert re.match(
            rf"  prompt: {len(prompt) - 1} tokens before the last; ", err.splitlines()[1]
        )
        said.append(Message("assistant", text))
    assert device.asked.count(Type.GENERATE) == 3


def test_commands_of_a_conversation(talker, capsys):
    chat, _ = conversation(talker)
    hello, system = Message("user", "hello"), Message("system", "be bold")
    first = answered(talker, [hello])[0]
    converse(chat, "hello", "/new", "hello")
    assert capsys.readouterr().out == first + "\n" + answered(talker, [hello], 1)[0] + "\n"
    converse(chat, "/system be bold", "/seed 7", "hello", "/seed 7", "hello")
    told = answered(talker, [system, hello], seed=7)[0]
    assert capsys.readouterr().out == f"{told}\n{told}\n"
    converse(chat, "/system", "/temperature 0", "hello")
    told = answered(talker, [Message("system", ""), hello], temperature=0, seed=7)[0]
    assert capsys.readouterr().out == told + "\n"
    converse(chat, "/seed 7", "/plain hello")
    (request,) = make_requests(talker[0], Sampling(0, 7), 1, "hello", 5)
    ids = [step.sampled for step in sampled_steps(talker[1], request)]
    ids = [token for token in ids if token != END]
    assert capsys.readouterr().out == "hello" + talker[0].tokenizer.decode(ids) + "\n"
    converse(chat, "/help")
    assert CONVERSATION_HELP in capsys.readouterr().err


def test_what_was_not_answered_was_not_said(talker, capsys):
    chat, device = conversation(talker)
    device.happens[0] = interrupt
    converse(chat, "bold", "hello", patient=True)
    assert capsys.readouterr().out == answered(talker, [Message("user", "hello")], 1)[0] + "\n"


def test_a_conversation_that_is_too_long(talker, capsys):
    chat, device = conversation(talker)
    with pytest.raises(WeftError, match=r"has 7\d tokens and the device has room for 64: begin "):
        converse(chat, "a" * 64)
    converse(chat, "a" * 64, "/new", "hello", patient=True)
    assert capsys.readouterr().out == answered(talker, [Message("user", "hello")], 2)[0] + "\n"
    assert device.asked.count(Type.GENERATE) == 1


def test_an_end_that_the_device_does_not_know(talker, capsys):
    """It stops at the end of a turn; the model may end its text as well."""
    chat, device = conversation(talker)
    for seed in range(1000):
        (request,) = make_requests(talker[0], Sampling(8.0, seed), 1, "", 5)
        prompt = tuple(conversation_ids(talker[0].tokenizer, [Message("user", "a")]))
        steps = sampled_steps(talker[1], replace(request, prompt=prompt, stop=TURN))
        ids = [step.sampled for step in steps]
        if END in ids[:-1] and ids.index(END) > 0:
            break
    chat.sampling = Sampling(8.0, seed)
    converse(chat, "a")
    expected = talker[0].tokenizer.decode(ids[: ids.index(END)])
    out, err = capsys.readouterr()
    assert out == expected + "\n"
    assert f"{ids.index(END) + 1} tokens; " in err
    assert device.asked[-1] == Type.ABORT
    assert not device.held


def test_every_end_that_the_file_names_ends_an_answer(talker, capsys, monkeypatch):
    for seed in range(1000):
        (request,) = make_requests(talker[0], Sampling(8.0, seed), 1, "", 5)
        prompt = tuple(conversation_ids(talker[0].tokenizer, [Message("user", "a")]))
        steps = sampled_steps(talker[1], replace(request, prompt=prompt, stop=TURN))
        ids = [step.sampled for step in steps]
        if len(ids) == 5 and len({END, TURN, *ids[:3]}) == 5:
            break
    monkeypatch.setattr(talker[0].tokenizer, "ends", (END, ids[2]))
    chat, device = conversation(talker, sampling=Sampling(8.0, seed))
    converse(chat, "a")
    out, err = capsys.readouterr()
    assert out == talker[0].tokenizer.decode(ids[:2]) + "\n"
    assert "3 tokens; " in err
    assert device.asked[-1] == Type.ABORT


def test_a_template_that_is_malformed(tmp_path, capsys):
    checkpoint = load(file_of(tmp_path / "x", "{% for"))
    chat, _ = conversation((checkpoint, quantize(checkpoint, Options(scales="row"))))
    with pytest.raises(WeftError, match="the model's chat template cannot be used: "):
        converse(chat, "hello")
    converse(chat, "/plain a")
    assert capsys.readouterr().out.startswith("a")


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


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_chip_with_its_memory_holds_a_conversation(monkeypatch, capsys, tmp_path, talker):
    """Through its pins, with weights, keys and values in the model of a board's memory."""
    words = ["--model=smollm2", f"--checkpoint={file_of(tmp_path / 'x.gguf')}", "--scales=row"]
    status, out, err = speak(monkeypatch, capsys, "hello\nbold\n", *words, "--tokens=5")
    hello = [Message("user", "hello")]
    first = answered(talker, hello)[0]
    said = [*hello, Message("assistant", first), Message("user", "bold")]
    second, prompt = answered(talker, said, 1)
    assert (status, out) == (0, f"{first}\n{second}\n")
    told = r"(\d+) tokens before the last; about ([\d,]+) cycles a token .*; [\d.]+ s a token here"
    before, cycles = zip(*re.findall(told, err), strict=True)
    assert int(before[1]) == len(prompt) - 1
    sampled = [float(mean) for mean in re.findall(r"tokens?; ([\d.]+) cycles a token", err)]
    assert len(sampled) == 2
    assert all(0 < int(each.replace(",", "")) < 4 * max(sampled) for each in cycles)
    assert len(re.findall(r"simulated at [\d,]+ cycles a second, [\d.]+ s a sampled", err)) == 2
    assert f"{len(prompt)} tokens to take in, the whole conversation again" in err


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
