"""The unit that executes a whole plan: a program, a machine of states, a datapath."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.plan import Plan
from hdl import mac, noise
from hdl.generator import position_bits
from hdl.memory import Memories
from hdl.serial import vectors
from hdl.serial.attention import Attention
from hdl.serial.datapath import Datapath
from hdl.serial.sample import Sample, Words
from hdl.serial.shape import KINDS, Shape, check
from hdl.serial.steps import RESTING, Steps
from hdl.stream import Tags
from hdl.units.sample import answer_layout


class Serial(wiring.Component):
    """Tokens in, tokens out: every stage of a plan, one after the other, on ``rows`` multipliers.

    Throughput: one token at a time; see :mod:`hdl.serial.vectors` and its neighbours for the cycles
    of each stage.  Back-pressure: ``i`` waits while a token is inside, ``o`` as long as it must.

    Parameters
    ----------
    name: prefix of the memories.  plan: of one stream, all formats static.
    rows: multipliers, a power of two.  tags, memories: see docs/architecture.md.

    Members
    -------
    i: tokens with their tags.  noise_jobs: one for every token to be sampled, in their order.
    o: the next token (when ``tag.sample``) with its tag.  mul: ``rows`` products.
    busy, job: a stage is being executed; which.  saturated: an answer was held to its format.
    layer, tag: of the stage; of the token inside.
    wrote, element: ``answer`` is an element of the stage's answer; its number.
    scored, weighed: it is a score, a weight of ``head`` and ``slot``.

    Raises
    ------
    ValueError
        For a stage or a format that it cannot execute.
    """

    def __init__(self, name: str, plan: Plan, rows: int, tags: Tags, memories: Memories):
        check(plan)
        self._shape = shape = Shape(plan, rows)
        self._plan, self._name = plan, name
        self._path = Datapath(name, shape, memories)
        self._program = memories.rom(
            f"{name}.program", shape.row.size, len(shape.program), synchronous=False
        )
        bits = position_bits(tags, plan.n_ctx)
        self._words = Words(plan.n_vocab, bits)
        answer = answer_layout(plan.n_vocab, tags)
        stage = shape.attention
        super().__init__(
            {
                "i": In(stream.Signature(answer)),
                "noise_jobs": In(stream.Signature(noise.job_layout(bits))),
                "o": Out(stream.Signature(answer)),
                "mul": Out(mac.Multiply(rows)),
                "busy": Out(1),
                "job": Out(range(len(shape.jobs))),
                "layer": Out(range(len(plan.layers))),
                "saturated": Out(1),
                "wrote": Out(1),
                "element": Out(range(shape.longest + 1)),
                "scored": Out(1),
                "weighed": Out(1),
                "head": Out(range(stage.n_head)),
                "slot": Out(range(stage.slots + 1)),
                "answer": Out(self._path.answer.shape()),
                "tag": Out(tags.layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = self._shape
        m.submodules.datapath = path = self._path
        m.submodules.program = program = self._program
        m.submodules.words = words = self._words
        wiring.connect(m, wiring.flipped(self.noise_jobs), words.jobs)
        wiring.connect(m, path.mul, wiring.flipped(self.mul))
        pc, token = Signal(range(len(shape.program))), Signal.like(self.i.p.token)
        m.d.comb += program.addr.eq(pc)
        row = data.View(shape.row, program.data)
        steps = Steps(m, shape, path, row)
        m.d.comb += [
            path.settings.eq(steps.settings),
            path.read.eq(Mux(steps.second, steps.other, steps.read)),
            path.write.eq(steps.write),
            path.weights.eq(steps.weights),
            path.at.eq(steps.at),
            path.embedding.eq(vectors.embedding(steps, token, self.tag.position)),
        ]
        final, offset = self._slots(m)
        attention = Attention(steps, final)
        sample = Sample(steps, words, self.noise_jobs.p.noise_scale, self.o.p.token)
        attention.follow()
        with m.FSM() as machine:
            self._machine(m, steps, row, pc, token, offset)
            vectors.embed(steps)
            vectors.norm(steps)
            vectors.linear(steps)
            vectors.relu(steps)
            vectors.residual(steps)
            attention.states()
            sample.states()
        with m.If(path.emitted & steps.settings.store):
            m.d.sync += steps.write.eq(steps.write + 1)
        racing = sample.racing & path.emitted
        m.d.comb += [
            path.compare.eq((attention.scored & path.emitted) | racing),
            path.best.eq(Mux(sample.racing, steps.i == 0, attention.opens)),
            self.busy.eq(~machine.ongoing("IDLE") & ~machine.ongoing("ANSWER_OUT")),
        ]
        self._show(m, steps, row, attention, machine)
        return m

    def _slots(self, m: Module):
        """(last slot that the token attends to, its own slot's place in a ring)."""
        stage = self._shape.attention
        slot, offset = Signal(range(stage.slots)), Signal(range(self._shape.cache_size))
        final = Signal(range(stage.slots))
        again = (slot == stage.slots - 1) | (self.i.p.tag.position == 0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                slot.eq(Mux(again, 0, slot + 1)),
                offset.eq(Mux(again, 0, offset + stage.output_size)),
                final.eq(
                    Mux(self.i.p.tag.position >= stage.slots - 1, stage.slots - 1,
                        self.i.p.tag.position)
                ),
            ]  # fmt: skip
        return final, offset

    def _machine(self, m: Module, steps: Steps, row, pc, token, offset) -> None:
        """Token by token, row by row."""
        shape, sampled = self._shape, self.tag.sample
        with m.State("IDLE"):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [pc.eq(0), self.tag.eq(self.i.p.tag), token.eq(self.i.p.token)]
            with m.If(self.i.valid):
                m.next = "ROW"
        with m.State("ROW"):
            m.d.sync += [
                steps.read.eq(row.x),
                steps.other.eq(row.y),
                steps.write.eq(row.d + Mux(row.cached, offset, 0)),
                steps.weights.eq(row.w),
                steps.i.eq(0),
                steps.out.eq(0),
                *steps.set(**RESTING),
            ]
            with m.Switch(row.kind):
                for kind in sorted(set(KINDS.values()), key=lambda each: each.value):
                    with m.Case(kind):
                        m.next = kind.name
        with m.State("NEXT"):
            m.d.sync += pc.eq(pc + 1)
            m.next = "ROW"
            done = Mux(sampled, len(shape.program) - 1, shape.layers_end - 1)
            with m.If(pc == done):
                m.next = "ANSWER_OUT"
        with m.State("ANSWER_OUT"):
            m.d.comb += [self.o.valid.eq(1), self.o.p.tag.eq(self.tag)]
            with m.If(self.o.ready):
                m.next = "IDLE"

    def _show(self, m: Module, steps: Steps, row, attention: Attention, machine) -> None:
        """What a simulation sees of the inside."""
        path = self._path
        element = Signal.like(self.element)
        inner = attention.scored | attention.weighed | attention.summing
        wrote = path.emitted & steps.settings.store
        m.d.comb += [
            self.job.eq(row.job),
            self.layer.eq(row.layer),
            self.answer.eq(path.answer),
            self.wrote.eq(wrote & ~inner),
            self.scored.eq(wrote & attention.scored),
            self.weighed.eq(wrote & attention.weighed),
            self.head.eq(attention.head),
            self.slot.eq((steps.write - self._shape.scores)[: len(self.slot)]),
            self.element.eq(element),
            self.saturated.eq(path.saturated & wrote & ~attention.weighed & ~attention.summing),
        ]
        with m.If(machine.ongoing("ROW")):
            m.d.sync += element.eq(0)
        with m.Elif(self.wrote):
            m.d.sync += element.eq(element + 1)
