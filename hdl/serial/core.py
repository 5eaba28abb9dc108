"""The core of a ``serial`` schedule: the loop of tokens around one unit."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring

from golden import tables
from golden.plan import Plan
from golden.schedule import Schedule, sections
from golden.stage import Stage
from golden.stages.attention import SCORE_BITS
from hdl.core_base import CoreBase
from hdl.mac import MultiplierArray
from hdl.memory import Memories
from hdl.serial.unit import Serial
from hdl.stream import beat


class SerialCore(CoreBase):
    """One unit executes every stage; parameters and members as hdl.core.Core."""

    def __init__(self, plan: Plan, schedule: Schedule, memories: Memories, observe: bool = False):
        super().__init__(plan, schedule, observe)
        (self._entry,) = schedule.units
        self._unit = Serial(self._entry.name, plan, self._entry.rows, self.tags, memories)

    def elaborate(self, platform):
        m = Module()
        generator = self._begin(m)
        m.submodules[self._entry.name] = unit = self._unit
        m.submodules[f"{self._entry.array}_array"] = array = MultiplierArray([self._entry.rows])
        wiring.connect(m, unit.mul, array.users[0])
        wiring.connect(m, generator.accept, unit.i)
        wiring.connect(m, generator.noise_jobs, unit.noise_jobs)
        wiring.connect(m, unit.o, generator.done)
        jobs = self.schedule.jobs(self._entry)
        self._watch(m, self._entry.name, unit, unit.o.valid & ~unit.o.ready, len(jobs))
        if self.observe:
            self._tap_stages(m, unit)
        return m

    def _tap_stages(self, m: Module, unit: Serial) -> None:
        """Taps of every stage's answer, an element a beat; of scores and weights."""
        named = [(name, s) for name, part in sections(self.plan, 1) for s in part]
        for job, (section, stage) in enumerate(named):
            name, here = f"{section}.{stage.name}", unit.job == job
            if stage.kind == "sample":
                self._tap_token(m, name, unit)
                continue
            self._tap_answer(m, name, unit, stage, here & unit.wrote)
            if stage.kind == "attention":
                inner = {"scores": (unit.scored, signed(SCORE_BITS)),
                         "weights": (unit.weighed, unsigned(tables.UNIT))}  # fmt: skip
                for what, (valid, shape) in inner.items():
                    self._tap_inner(m, f"{name}.{what}", unit, here & valid, shape)

    def _tap_token(self, m: Module, name: str, unit: Serial) -> None:
        """The answer of the unit, when a token was sampled."""
        sampled = stream.Signature(unit.o.p.shape()).create()
        m.d.comb += [
            sampled.valid.eq(unit.o.valid & unit.o.p.tag.sample),
            sampled.ready.eq(unit.o.ready),
            sampled.p.eq(unit.o.p),
        ]
        self._tap(name, sampled)

    def _tap_answer(self, m: Module, name: str, unit: Serial, stage: Stage, valid) -> None:
        answer = stream.Signature(beat(1, stage.format, self.tags)).create()
        m.d.comb += [
            answer.valid.eq(valid),
            answer.ready.eq(1),
            answer.p.data[0].eq(unit.answer),
            answer.p.tag.eq(self._tag(m, unit)),
            answer.p.first.eq(unit.element == 0),
            answer.p.last.eq(unit.element == stage.output_size - 1),
        ]
        self._tap(name, answer)

    def _tap_inner(self, m: Module, name: str, unit: Serial, valid, shape) -> None:
        values = Signal(data.ArrayLayout(shape, 1))
        m.d.comb += values[0].eq(unit.answer)
        self._inner_tap(
            m, name, valid, slot=unit.slot, group=unit.head, data=values, tag=self._tag(m, unit)
        )

    def _tag(self, m: Module, unit: Serial):
        """That of the token inside, in the layer that is at work."""
        tag = Signal(self.tags.layout())
        m.d.comb += [tag.eq(unit.tag), tag.layer.eq(unit.layer)]
        return tag
