"""The core: a plan and a schedule become units, streams, caches and the loop over layers.

``requests`` take prompts in, ``tokens`` give what was sampled (see ``hdl/generator.py``).  Between
them a token travels as beats: prologue, layers (each physical instance once for every pass), then
the head when a token is to be sampled.
"""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring

from golden.plan import Plan
from golden.schedule import Schedule, Unit, sections, value_order
from hdl.build import Job, input_ports, make_noise, make_unit, unit_jobs, unit_tags
from hdl.core_base import CoreBase
from hdl.edges import Edge, Endpoint, join
from hdl.fabric import Dispatch, LayerExit, Merge, Route, forward
from hdl.generator import Generator, position_bits
from hdl.mac import MultiplierArray
from hdl.memory import Memories
from hdl.stream import Fork, Queue
from hdl.waits import Waits

INNER_TAPS = {"attention": ("scores", "weights")}
"""Values inside a unit that are compared with the integer model too."""


class Core(CoreBase):
    """Units of their own for every kind of stage, or for every stage.

    Parameters
    ----------
    plan, schedule, observe: as in CoreBase, which tells the members too.
    memories: makes the loadable memories; without contents they are loaded at run time.
    """

    def __init__(self, plan: Plan, schedule: Schedule, memories: Memories, observe: bool = False):
        self.memories = memories
        super().__init__(plan, schedule, observe)

    def elaborate(self, platform):
        m = Module()
        generator = self._begin(m)
        self._sections = dict(sections(self.plan, self.schedule.instances))
        units = self.schedule.units
        self._jobs = {u.name: unit_jobs(self.plan, self.schedule, u) for u in units}
        self._components = {u.name: self._unit(m, u) for u in units}
        self._arrays(m)
        for port in self.weight_ports:
            port.join(m, self, self._components[port.unit])
        self._endpoints(m)
        self._join_sections(m)
        self._join_values(m)
        self._join_generator(m, generator)
        self._observe_units(m)
        return m

    # Units -----------------------------------------------------------------------------------

    def _unit(self, m: Module, unit: Unit):
        tags = unit_tags(self.tags, len(self._jobs[unit.name]))
        component = make_unit(
            self.plan, self.schedule, unit, tags, self.memories, taps=self.observe
        )
        m.submodules[unit.name] = component
        if unit.kind == "sample":
            bits = position_bits(self.tags, self.plan.n_ctx)
            m.submodules.noise = self._noise = make_noise(
                self.plan, self.schedule, unit, bits, self.memories
            )
        return component

    def _arrays(self, m: Module) -> None:
        """Every multiplier array with its users; noise comes last until its logits wait for it."""
        for name, users in self.schedule.arrays().items():
            ports = [port for port in map(self._multiply_port, users) if port is not None]
            if not ports:
                continue
            array = MultiplierArray([port.signature.lanes for port in ports])
            m.submodules[f"{name}_array"] = array
            for port, user in zip(ports, array.users, strict=True):
                wiring.connect(m, port, user)
            if users[-1].kind == "sample":
                sampler = self._components[users[-1].name]
                m.d.comb += array.hurry.eq(sampler.i.valid | sampler.busy)

    def _multiply_port(self, unit: Unit):
        """The port through which a unit forms products, or None if it forms none."""
        component = self._noise if unit.kind == "sample" else self._components[unit.name]
        return getattr(component, "mul", None)

    # Values ----------------------------------------------------------------------------------

    def _endpoints(self, m: Module) -> None:
        """Where each value comes out of a unit, and where each input goes into one."""
        self._made: dict[tuple[str, str], Endpoint] = {}
        self._wanted: dict[tuple[str, str], dict[tuple, list[Endpoint]]] = {}
        waits = Waits(self.plan, self.schedule)
        for unit in self.schedule.units:
            component, jobs = self._components[unit.name], self._jobs[unit.name]
            inputs = self._inputs(m, unit, component, jobs)
            outputs = self._outputs(m, unit, component, jobs)
            for j, job in enumerate(jobs):
                stage = job.template
                for (port, form), value in zip(input_ports(stage), stage.inputs, strict=True):
                    buffered = value != "token" and waits.must_wait(job.section, stage, value)
                    end = Endpoint(inputs[j, port], unit.lanes, form, buffered, port != "x")
                    groups = self._wanted.setdefault((job.section, value), {})
                    # Jobs that read nothing else may read it in turn.
                    together = (unit.name,) if len(stage.inputs) == 1 else (unit.name, j, port)
                    groups.setdefault(together, []).append(end)
                if outputs:
                    end = Endpoint(outputs[j], unit.rows, stage.format)
                    self._made[job.section, stage.output] = end
                    self._tap(f"{job.section}.{stage.name}", outputs[j])

    def _inputs(self, m: Module, unit: Unit, component, jobs: list[Job]) -> dict:
        """The input stream of every (job, port); a shared unit gets a dispatch."""
        ports = input_ports(jobs[0].template)
        if len(jobs) == 1:
            return {(0, port): getattr(component, port) for port, _ in ports}
        forms = {port: (unit.lanes, form) for port, form in ports}
        dispatch = Dispatch(forms, len(jobs), unit_tags(self.tags, len(jobs)))
        m.submodules[f"{unit.name}_dispatch"] = dispatch
        for port in forms:
            wiring.connect(m, getattr(dispatch, port), getattr(component, port))
        return {(j, port): dispatch.job(j, port) for j in range(len(jobs)) for port in forms}

    def _outputs(self, m: Module, unit: Unit, component, jobs: list[Job]) -> list:
        """The output stream of every job; a shared unit that has no own ones gets a route."""
        if unit.kind == "sample":
            return []
        if hasattr(component, "outputs"):
            return component.outputs
        if len(jobs) == 1:
            return [component.o]
        form, tags = jobs[0].template.format, unit_tags(self.tags, len(jobs))
        route = Route(unit.rows, form, len(jobs), tags)
        m.submodules[f"{unit.name}_route"] = route
        wiring.connect(m, component.o, route.i)
        return [route.o[j] for j in range(len(jobs))]

    def _join_values(self, m: Module) -> None:
        """Connect every value to its readers."""
        for key, groups in self._wanted.items():
            section, value = key
            if key == ("prologue", "token"):
                continue
            source = self._made[key]
            size = len(value_order(self._sections[section], section, self.schedule, value))
            streams = [source.stream]
            if len(groups) > 1:
                fork = Fork(source.stream.p.shape(), len(groups))
                m.submodules[f"{section}_{value}_fork"] = fork
                forward(m, source.stream, fork.i)
                streams = [fork.o[k] for k in range(len(groups))]
            for k, (stream, readers) in enumerate(zip(streams, groups.values(), strict=True)):
                edge = Edge(source, tuple(readers), size, self.schedule.streams, self.tags)
                join(m, f"{section}_{value}_{k}", edge, stream)

    # The way of a token ----------------------------------------------------------------------

    def _join_sections(self, m: Module) -> None:
        """Prologue -> layer instances -> (round again | head | done)."""
        last = self.schedule.instances - 1
        passes = len(self.plan.layers) // self.schedule.instances
        layer = self.plan.template
        entry = self._made["prologue", self.plan.prologue.output]
        for k in range(last):
            self._made[f"layer{k + 1}", layer.input] = self._made[f"layer{k}", layer.output]
        out = self._made[f"layer{last}", layer.output]
        exit_ = LayerExit(out.lanes, out.form, self.tags, passes, self._generator.done.p.shape())
        m.submodules.layer_exit = self._exit = exit_
        forward(m, out.stream, exit_.i)
        self._made["epilogue", self.plan.epilogue.input] = Endpoint(exit_.head, out.lanes, out.form)
        self._made["layer0", layer.input] = self._entry(m, entry, out, exit_)

    def _entry(self, m: Module, entry: Endpoint, out: Endpoint, exit_: LayerExit) -> Endpoint:
        """The first instance's input: from the prologue, or back from the last instance."""
        if self.schedule.instances == len(self.plan.layers):
            return entry
        m.submodules.layer_entry = merge = Merge(exit_.back.p.shape())
        target = Endpoint(merge.i, out.lanes, out.form)
        size = value_order(self.plan.template, "layer0", self.schedule, self.plan.template.output)
        streams = self.schedule.streams
        edge = Edge(entry, (target,), len(size), streams, self.tags)
        join(m, "layer_entry_prologue", edge, entry.stream)
        looped = Endpoint(merge.back, out.lanes, out.form, buffered=streams > 1)
        source = Endpoint(exit_.back, out.lanes, out.form)
        edge = Edge(source, (looped,), len(size), streams, self.tags)
        join(m, "layer_entry_back", edge, exit_.back)
        return Endpoint(merge.o, out.lanes, out.form)

    def _join_generator(self, m: Module, generator: Generator) -> None:
        """Accepted tokens to the embedding, noise jobs to the noise, answers back."""
        embed = self._component("embed")
        sample = self._component("sample")
        self._enter(m, generator.accept, embed)
        wiring.connect(m, generator.noise_jobs, self._noise.jobs)
        wiring.connect(m, self._noise.o, sample.noise)
        done = generator.done
        with m.If(sample.o.valid):
            m.d.comb += [done.valid.eq(1), done.p.eq(sample.o.p), sample.o.ready.eq(done.ready)]
        with m.Else():
            # Tokens of a prompt wait a cycle, so that no path leads round to the embedding.
            m.submodules.prefilled = prefilled = Queue(done.p.shape(), 2)
            wiring.connect(m, self._exit.done, prefilled.i)
            prefill = prefilled.o
            m.d.comb += [done.valid.eq(prefill.valid), done.p.eq(prefill.p)]
            m.d.comb += prefill.ready.eq(done.ready)
        self._tap("epilogue.sample", sample.o)

    def _enter(self, m: Module, accept, embed) -> None:
        """A token begins: its embedding."""
        wiring.connect(m, accept, embed.i)

    def _component(self, kind: str):
        return next(self._components[u.name] for u in self.schedule.units if u.kind == kind)

    # What is seen from outside ---------------------------------------------------------------

    def _observe_units(self, m: Module) -> None:
        for unit, component in self._components.items():
            answers = getattr(component, "outputs", None) or [component.o]
            stalled = Cat(o.valid & ~o.ready for o in answers).any()
            if hasattr(component, "mul"):
                stalled = stalled | (component.mul.valid & ~component.mul.ready)
            self._watch(m, unit, component, stalled, len(self._jobs[unit]))
            for job in self._jobs[unit] if self.observe else ():
                for inner in INNER_TAPS.get(job.template.kind, ()):
                    port = getattr(component, f"{inner}_tap")
                    fields = {n: getattr(port, n) for n in port.signature.members}
                    valid = fields.pop("valid")
                    name = f"{job.section}.{job.template.name}.{inner}"
                    self._inner_tap(m, name, valid, **fields)
