"""What joins units: dispatch to a shared unit, the route behind it, the loop over layers.

All of it is without latency: a beat passes in the cycle in which its reader is ready.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import Format
from hdl.stream import Tags, beat


def forward(m: Module, source, target, **changes) -> None:
    """Connect stream ``source`` to ``target``, field by field where their tags differ in width.

    ``changes`` replaces fields of the tag.  A field that one side does not have is zero.
    """
    m.d.comb += [target.valid.eq(source.valid), source.ready.eq(target.ready)]
    m.d.comb += copy_payload(source.p, target.p, **changes)


def copy_payload(source, target, **changes) -> list:
    """Assignments of every field of a payload; ``changes`` replaces fields of the tag."""
    assignments = []
    for name in target.shape().members:
        if name == "tag":
            for field in target.tag.shape().members:
                value = changes.get(field, source.tag[field])
                assignments.append(target.tag[field].eq(value))
        else:
            assignments.append(Value.cast(target[name]).eq(Value.cast(source[name])))
    return assignments


class Dispatch(wiring.Component):
    """Hands whole vectors of several jobs to one unit, one job at a time.

    Which job is next stands in a register, so that nothing is decided between a beat and the unit.
    After a job comes the one after it, which costs no cycle when it is the next that comes.  When
    another waits and it does not, the lowest number that waits is taken, a cycle later.  A job
    begins when all of its ports have a beat, and keeps the unit's ports until the last beat of each
    has passed.

    Parameters
    ----------
    forms: the (lanes, format) of every port of the unit, by port name.
    jobs: number of jobs.  tags: of the unit (with ``job`` bits); the jobs' tags have none.

    Members
    -------
    ``job<j>_<port>``: inputs.  ``<port>``: outputs, with ``tag.job`` filled in.
    """

    def __init__(self, forms: dict[str, tuple[int, Format]], jobs: int, tags: Tags):
        bare = Tags(tags.stream, tags.position, tags.layer)
        members = {}
        for port, (lanes, form) in forms.items():
            members[port] = Out(stream.Signature(beat(lanes, form, tags)))
            for j in range(jobs):
                members[f"job{j}_{port}"] = In(stream.Signature(beat(lanes, form, bare)))
        super().__init__(members)
        self._ports, self._jobs = tuple(forms), jobs

    def job(self, j: int, port: str):
        """The input stream of a job's port."""
        return getattr(self, f"job{j}_{port}")

    def elaborate(self, platform):
        m = Module()
        waiting, chosen = Signal(self._jobs), Signal(self._jobs, init=1)
        for j in range(self._jobs):
            m.d.comb += waiting[j].eq(Cat(self.job(j, p).valid for p in self._ports).all())
        begun, go = Signal(), Signal()
        m.d.comb += go.eq(begun | (waiting & chosen).any())
        done, finished = Signal(len(self._ports)), Signal(len(self._ports))
        for k, port in enumerate(self._ports):
            self._connect(m, port, chosen, go & ~done[k])
            out = getattr(self, port)
            m.d.comb += finished[k].eq(done[k] | (out.valid & out.ready & out.p.last))
        with m.If(go):
            m.d.sync += [done.eq(finished), begun.eq(1)]
            with m.If(finished.all()):
                m.d.sync += [done.eq(0), begun.eq(0), chosen.eq(chosen.rotate_left(1))]
        with m.Elif(waiting.any()):
            # Not `waiting & -waiting`: a chain of carries is slow.
            lowest = Cat(waiting[j] & ~waiting[:j].any() for j in range(self._jobs))
            m.d.sync += chosen.eq(lowest)
        return m

    def _connect(self, m: Module, port: str, chosen, open_):
        """The chosen job's stream to a port of the unit: an OR of gated streams."""
        out, several = getattr(self, port), len(self._ports) > 1
        payload, valid = 0, 0
        for j in range(self._jobs):
            job = self.job(j, port)
            here = Signal.like(out.p, name=f"{port}{j}")
            m.d.comb += [
                *copy_payload(job.p, here, job=j),
                job.ready.eq(chosen[j] & out.ready & (open_ if several else 1)),
            ]
            payload = payload | (Value.cast(here) & chosen[j].replicate(len(Value.cast(here))))
            valid = valid | (chosen[j] & job.valid)
        m.d.comb += [Value.cast(out.p).eq(payload), out.valid.eq(valid & (open_ if several else 1))]


class Route(wiring.Component):
    """Splits a shared unit's answers by ``tag.job``."""

    def __init__(self, lanes: int, form: Format, jobs: int, tags: Tags):
        bare = Tags(tags.stream, tags.position, tags.layer)
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes, form, tags))),
                "o": Out(stream.Signature(beat(lanes, form, bare))).array(jobs),
            }
        )
        self._jobs = jobs

    def elaborate(self, platform):
        m = Module()
        for j in range(self._jobs):
            o, here = self.o[j], self.i.p.tag.job == j
            m.d.comb += [*copy_payload(self.i.p, o.p), o.valid.eq(self.i.valid & here)]
            with m.If(here):
                m.d.comb += self.i.ready.eq(o.ready)
        return m


class Merge(wiring.Component):
    """Two streams of vectors into one, whole vectors at a time; ``back`` goes before ``i``."""

    def __init__(self, shape):
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "back": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        within, side, chosen = Signal(), Signal(), Signal()
        m.d.comb += chosen.eq(Mux(within, side, self.back.valid))
        for stream_, selected in ((self.back, chosen), (self.i, ~chosen)):
            with m.If(selected):
                m.d.comb += [self.o.valid.eq(stream_.valid), self.o.p.eq(stream_.p)]
                m.d.comb += stream_.ready.eq(self.o.ready)
        with m.If(self.o.valid):
            m.d.sync += [
                side.eq(chosen),
                within.eq(~(self.o.ready & self.o.p.last)),
            ]
        return m


class LayerExit(wiring.Component):
    """Where a vector goes from the last physical layer: round again, on to the head, or nowhere.

    Members
    -------
    i: the residual stream after the last instance.
    back: to the first instance, as the next layer, while layers are left.
    head: after the last layer, when a token is to be sampled.
    done: after the last layer otherwise: one beat of {token, tag}; the token means nothing.
    """

    def __init__(self, lanes: int, form: Format, tags: Tags, passes: int, done_shape):
        shape = beat(lanes, form, tags)
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "back": Out(stream.Signature(shape)),
                "head": Out(stream.Signature(shape)),
                "done": Out(stream.Signature(done_shape)),
            }
        )
        self._passes = passes

    def elaborate(self, platform):
        m = Module()
        i, tag = self.i, self.i.p.tag
        m.d.comb += copy_payload(i.p, self.back.p, layer=tag.layer + 1)
        m.d.comb += copy_payload(i.p, self.head.p, layer=0)
        m.d.comb += self.done.p.tag.eq(tag)
        with m.If(tag.layer != self._passes - 1):
            m.d.comb += [self.back.valid.eq(i.valid), i.ready.eq(self.back.ready)]
        with m.Elif(tag.sample):
            m.d.comb += [self.head.valid.eq(i.valid), i.ready.eq(self.head.ready)]
        with m.Else():
            m.d.comb += [
                self.done.valid.eq(i.valid & i.p.last),
                i.ready.eq(~i.p.last | self.done.ready),
            ]
        return m
