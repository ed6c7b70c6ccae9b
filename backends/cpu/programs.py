"""The programs of a library as the runtime knows them: what each takes, in which order."""

from __future__ import annotations

from dataclasses import dataclass

from rnnc.passes.stream_steps import AFTER, BEFORE
from rnnc.plan.plan import Plan
from rnnc.plan.stream import Stream
from rnnc.runtime.manifest import Manifest, Pack, Port

from .manifest import ports, stored_numbers, weights
from .program import BEGIN, STEP
from .target import CpuTarget


@dataclass(frozen=True, slots=True)
class Program:
    """The entry point `rnnc_NAME`: `weights` and `packs` are those of a manifest."""

    name: str
    extents: tuple[str, ...]
    shared: frozenset[str]  # those in which rows have one length
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: tuple[int, ...]
    packs: tuple[Pack, ...]


@dataclass(frozen=True, slots=True)
class StateSlot:
    """Where a state is: an input and an output of the step, an output of the beginning (or -1)."""

    before: int
    after: int
    begin: int


@dataclass(frozen=True, slots=True)
class Steps:
    """The programs of a stream. `inputs` and `outputs` of the step are the user's."""

    step: Program
    begin: Program | None
    states: tuple[StateSlot, ...]

    @property
    def start(self) -> tuple[Port, ...]:
        """The inputs that decide how a stream begins."""
        return () if self.begin is None else self.begin.inputs

    @property
    def inputs(self) -> tuple[Port, ...]:
        taken = {slot.before for slot in self.states}
        return tuple(port for n, port in enumerate(self.step.inputs) if n not in taken)

    @property
    def outputs(self) -> tuple[Port, ...]:
        taken = {slot.after for slot in self.states}
        return tuple(port for n, port in enumerate(self.step.outputs) if n not in taken)


def forward(manifest: Manifest) -> Program:
    """What `rnnc_forward` takes."""
    m = manifest
    return Program(
        "forward", m.extents, frozenset(m.shared_ends), m.inputs, m.outputs, m.weights, m.packs
    )


def preparation(manifest: Manifest) -> Program | None:
    """What `rnnc_prepare` takes; its outputs are stored arrays, not ports."""
    made = manifest.preparation
    return (
        None
        if made is None
        else Program("prepare", (), frozenset(), (), (), made.weights, made.packs)
    )


def steps(plan: Plan, stream: Stream, target: CpuTarget) -> Steps:
    """The programs of a stream of this plan."""
    numbers = stored_numbers(plan)

    def program(name: str, part: Plan) -> Program:
        return Program(
            name, part.extents, frozenset(), *ports(part), *weights(part, target, numbers)
        )

    step = program(STEP, stream.step)
    begin = None if stream.beginning is None else program(BEGIN, stream.beginning)
    before = {port.name: number for number, port in enumerate(step.inputs)}
    after = {port.name: number for number, port in enumerate(step.outputs)}
    first = {} if begin is None else {p.name: number for number, p in enumerate(begin.outputs)}
    slots = (
        StateSlot(before[name + BEFORE], after[name + AFTER], first.get(name + AFTER, -1))
        for name in stream.states
    )
    return Steps(step, begin, tuple(slots))
