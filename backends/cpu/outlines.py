"""Kernels of one form are one function, which is called with what tells them apart.

Compiling takes about as long for each kernel, so many layers of one kind shall cost what one does.
Kernels of which there are few stay where they are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tvm import tirx

from rnnc.ir.poly import Poly
from rnnc.plan.plan import Kernel, Levels, Phase, Plan, Step, Waves

from ..tensorir.layout import MEMORY, Environment, Layout, Place, inner_shape, polynomial, volume
from ..tensorir.packing import Products, products
from ..tensorir.tir import Builder, Expr, Function, address, int64
from ..tensorir.words import word
from .forms import Form, Member, member
from .kernels import KernelEmitter, Tasks, Used, tiled
from .sparse import stored
from .target import CpuTarget

_FEWEST = 3  # kernels: a call has a price, and compiling two is soon done


@dataclass(frozen=True, slots=True)
class Group:
    """Kernels of one form; `turning`: inside waves or levels, with directions that alternate."""

    members: tuple[Member, ...]
    turning: bool


def groups(plan: Plan) -> tuple[Group, ...]:
    """The kernels of a plan of which many share a form; numbers in which all agree are known."""
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    found: dict[tuple[bool, Form], list[Member]] = {}
    for kernel, turning in placed_kernels(plan.steps, False):
        if kernel.serial is None and kernel.listed is None:
            made = member(kernel, buffers, plan.extents, {})
            found.setdefault((turning, made.form), []).append(made)
    shared: list[Group] = []
    for (turning, _), alike in found.items():
        if len(alike) >= _FEWEST:
            chosen = common(alike)
            again = [member(other.kernel, buffers, plan.extents, chosen) for other in alike]
            shared.append(Group(tuple(again), turning))
    return tuple(shared)


def common(members: Sequence[Member]) -> dict[str, Poly]:
    """For numbers in which all members agree, these; for numbers always equal, one name."""
    chosen: dict[str, Poly] = {}
    names: dict[tuple[Poly, ...], str] = {}
    for name in members[0].numbers:
        values = tuple(one.numbers[name] for one in members)
        if len({*values}) == 1 and values[0].constant is not None:
            chosen[name] = values[0]
        elif values in names:
            chosen[name] = Poly.of(names[values])
        else:
            names[values] = name
    return chosen


def placed_kernels(steps: Sequence[Step], turning: bool) -> Iterator[tuple[Kernel, bool]]:
    """Every kernel, and whether it is in a loop whose last turn left something in the caches."""
    for step in steps:
        if isinstance(step, Phase):
            for kernel in step.kernels:
                yield kernel, turning
        else:
            yield from placed_kernels(step.body, keeps_caches(step))
        if isinstance(step, Waves) and step.until is not None:
            yield from placed_kernels((step.until.rest,), turning)


def keeps_caches(step: Waves | Levels) -> bool:
    """Whether kernels find in the caches what the last turn left there: not behind a whole loop."""
    return all(isinstance(inner, Phase) for inner in step.body)


class Outline:
    """The function of one group, as it is called from one function of the library."""

    def __init__(self, name: str, group: Group, layout: Layout, target: CpuTarget) -> None:
        self.name, self.group, self.layout = name, group, layout
        self.members = {one.kernel.name: one for one in group.members}
        self.packs = {name: packs_of(o.kernel, layout, target) for name, o in self.members.items()}
        rows = [strides_of(one, layout) for one in group.members]
        self.known = [number_of(column) for column in zip(*rows, strict=True)]

    def call(self, b: Builder, kernel: str, env: Environment, tasks: Tasks) -> None:
        layout, one = self.layout, self.members[kernel]
        packs = [layout.packs[name] for name in self.packs[kernel]]
        memory = [layout.places[name].memory for name in one.buffers]
        arguments = [address(m, 0) for m in (*memory, *packs, *layout.lengths.values())]
        arguments += [*layout.extents.values(), layout.batch]
        strides = zip(strides_of(one, layout), self.known, strict=True)
        arguments += [stride for stride, known in strides if known is None]
        arguments += [polynomial(number, layout.extents) for number in one.numbers.values()]
        arguments += [env[name] for name in one.outer.values()]
        turn = (tasks.turn,) if tasks.turn is not None else ()
        b.call(self.name, *arguments, tasks.task, tasks.count, *turn)

    def function(self, target: CpuTarget, used: Used, single: bool) -> Function:
        """The parameters in the order of `call`, and the kernel."""
        one, b = self.group.members[0], Builder(self.name)
        kernel, buffers = one.form.kernel, {buffer.name: buffer for buffer in one.form.buffers}
        loaded = one.form.buffers[: len(one.buffers)]
        lanes = target.lanes("float32")
        memory = [b.pointer(buffer.name, MEMORY[buffer.dtype]) for buffer in loaded]
        weights = stored(kernel, buffers, self.layout.word.weights)
        made = products(kernel, buffers, lanes, weights, target.tilings)
        names = () if made is None else pack_names(made)
        packed = {name: b.pointer(name, word(weights).dtype) for name in names}
        lengths = {name: b.pointer(f"len_{name}", "int32") for name in self.layout.lengths}
        extents = {name: b.scalar(name) for name in self.layout.extents}
        given = b.scalar("batch")
        batch = int64(1) if single else given
        strides = [b.scalar("s") if known is None else int64(known) for known in self.known]
        numbers = {name: b.scalar(name) for name in one.numbers}
        outer = {name: b.scalar(name) for name in one.outer}
        task, count = b.scalar("task", "int32"), b.scalar("num_tasks", "int32")
        turn = b.scalar("turn") if self.group.turning else None
        places: dict[str, Place] = {}
        for buffer, pointer in zip(loaded, memory, strict=True):
            shape = inner_shape(buffer, lanes)
            inner = tuple(volume(shape[axis + 1 :]) for axis in range(len(shape)))
            dims = tuple(strides.pop(0) for _ in buffer.dims)
            places[buffer.name] = Place(buffer, pointer, dims, strides.pop(0), inner)
        env = {**extents, **numbers}
        layout = Layout(buffers, places, packed, self.layout.word, lengths, env, batch, lanes)
        emitter = KernelEmitter(b, layout, target, used, kernel, single)
        emitter.emit({**env, **outer}, Tasks(task, count, turn))
        return b.finish()


def pack_names(made: Products) -> tuple[str, ...]:
    return tuple(factor.pack for step in made.passes for factor in step.factors)


def packs_of(kernel: Kernel, layout: Layout, target: CpuTarget) -> tuple[str, ...]:
    """The packs that a kernel reads, in the order of its form."""
    made = tiled(kernel, layout, target)
    return () if made is None else pack_names(made)


def strides_of(one: Member, layout: Layout) -> list[Expr]:
    """Of the dims and the batch of every buffer."""
    places = [layout.places[name] for name in one.buffers]
    return [stride for place in places for stride in (*place.dims, place.batch)]


def number_of(values: Sequence[Expr]) -> int | None:
    """What all of them are, if it is one number."""
    numbers = {int(e.value) if isinstance(e, tirx.IntImm) else None for e in values}
    return numbers.pop() if len(numbers) == 1 else None
