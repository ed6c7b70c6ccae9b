"""Values that are computed where they are read, instead of stored in a phase of their own.

    phase: square[e0] = (x[e0] - mean) ^ 2
    phase: sum = sum(k in 0..N: square[k])         ->   phase: sum = sum(k: (x[k] - mean) ^ 2)
    phase: half[e0] = a[e0] * b[e0]
    phase: y[e0] = half[e0] + sum                  ->   phase: y[e0] = a[e0] * b[e0] + sum

*Folded*: a pointwise value goes into the only reduction that reads it, where each of its elements
is read once. *Sunk*: a pointwise kernel joins the only one that reads what it stores, each element
at its own place. Legal where both run in the same turn of the loops around, and nothing that the
value is made of is stored in between. Nothing is computed twice; but what is folded is computed by
whoever reduces: for backends whose threads have whole rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rnnc.analysis.wave import names_of
from rnnc.ir.poly import Poly, PolyLike
from rnnc.plan.arena import touched
from rnnc.plan.expression import (
    Apply,
    Constant,
    Contract,
    Expression,
    Load,
    Local,
    Reduce,
    children,
    element,
    rewritten,
    walk,
)
from rnnc.plan.plan import Define, Kernel, Levels, Phase, Plan, Step, Store, Waves

# Parts of an expression that is folded: what is used twice is written out twice.
_MOST_PARTS = 64


def fused(plan: Plan) -> Plan:
    """The plan, and its preparation, with fewer and larger kernels."""
    steps = Fusing(plan).inside(plan.steps)
    used = {name for step in steps for name in touched(step)}
    buffers = tuple(b for b in plan.buffers if b.role != "state" or b.name in used)
    first = None if plan.preparation is None else fused(plan.preparation)
    return replace(plan, steps=steps, buffers=buffers, preparation=first)


@dataclass(frozen=True, slots=True)
class Site:
    """A load, and the loops of the reductions around it."""

    load: Load
    loops: tuple[str, ...]


class Fusing:
    """Kernels of one plan, and who stores and loads each buffer."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.buffers = {buffer.name: buffer for buffer in plan.buffers}
        self.stored: dict[str, int] = {}
        self.loaded: dict[str, dict[str, list[Site]]] = {}  # by the buffer and the kernel
        self.extents = frozenset(plan.extents)
        for kernel in plan.kernels:
            for store in (*kernel.stores, *kernel.last):
                self.stored[store.buffer] = self.stored.get(store.buffer, 0) + 1
            self.enter(kernel)
        # What others than kernels read.
        self.kept = {name for step in plan.steps for name in read_by_loops(step)}

    def enter(self, kernel: Kernel) -> None:
        for value in kernel.expressions:
            for site in sites(value, ()):
                self.loaded.setdefault(site.load.buffer, {}).setdefault(kernel.name, []).append(
                    site
                )

    def leave(self, kernel: Kernel) -> None:
        for found in self.loaded.values():
            found.pop(kernel.name, None)

    # ---- steps --------------------------------------------------------------------------------

    def inside(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """The steps, with phases that follow one another fused."""
        found: list[Step] = []
        phases: list[list[Kernel]] = []
        for step in steps:
            if isinstance(step, Phase):
                phases.append(list(step.kernels))
                continue
            found += self.shortened(phases)
            phases = []
            found.append(step if isinstance(step, Levels) else self.waves(step))
        return (*found, *self.shortened(phases))

    def waves(self, waves: Waves) -> Waves:
        return replace(waves, body=self.inside(waves.body))

    def shortened(self, phases: list[list[Kernel]]) -> Iterator[Phase]:
        """Phases in a row, fewer if all that some of them stored is not stored any more."""
        for number, phase in enumerate(phases):
            for kernel in tuple(phase):
                self.move(phases, number, kernel)
        yield from (Phase(tuple(phase)) for phase in phases if phase)

    def move(self, phases: list[list[Kernel]], number: int, kernel: Kernel) -> None:
        """Takes what can be taken out of a kernel of a phase."""
        for store in kernel.stores:
            found = self.folded(phases, number, kernel, store)
            if found is None:
                continue
            place, reader, made = found
            self.change(phases[place], reader, made)
            left = without(kernel, store)
            self.change(phases[number], kernel, left)
            kernel = left
        if kernel.stores:
            sunk = self.sunk(phases, number, kernel)
            if sunk is not None:
                place, reader, made = sunk
                self.change(phases[place], reader, made)
                self.change(phases[number], kernel, replace(kernel, stores=()))

    def change(self, phase: list[Kernel], old: Kernel, new: Kernel) -> None:
        """In a phase, a kernel becomes another one, or nothing if that stores nothing."""
        at = next(number for number, kernel in enumerate(phase) if kernel.name == old.name)
        self.leave(old)
        if new.stores:
            phase[at] = new
            self.enter(new)
        else:
            del phase[at]

    # ---- what may move ------------------------------------------------------------------------

    def reader(
        self, phases: list[list[Kernel]], number: int, buffer: str
    ) -> tuple[int, Kernel] | None:
        """The only kernel that loads a buffer, in a later phase, if the buffer has no other use."""
        own = self.buffers[buffer]
        if own.role != "state" or self.stored[buffer] != 1 or buffer in self.kept:
            return None
        if any(dim.held for dim in own.dims):
            return None
        readers = self.loaded.get(buffer, {})
        if len(readers) != 1:
            return None
        [name] = readers
        for place in range(number + 1, len(phases)):
            for kernel in phases[place]:
                if kernel.name == name:
                    return place, kernel
        return None

    def lasts(self, phases: list[list[Kernel]], first: int, last: int, value: Expression) -> bool:
        """Whether what a value of phase `first` is made of is not stored up to phase `last`."""
        used = {part.buffer for part in walk(value) if isinstance(part, Load)}
        between = (kernel for phase in phases[first + 1 : last + 1] for kernel in phase)
        return not any(store.buffer in used for kernel in between for store in kernel.stores)

    def folded(
        self, phases: list[list[Kernel]], number: int, kernel: Kernel, store: Store
    ) -> tuple[int, Kernel, Kernel] | None:
        """The kernel that reduces what is stored, and the same with the value in its place."""
        found = self.reader(phases, number, store.buffer)
        if found is None or kernel.constraints or not plain(kernel) or not plain(found[1]):
            return None
        place, reader = found
        [first, *more] = self.loaded[store.buffer][reader.name]
        value = expanded(kernel, store.value)
        if more or value is None or kernel.batched != reader.batched:
            return None
        values = self.meets(kernel, store, reader, first)
        if values is None or not self.lasts(phases, number, place, value):
            return None
        moved = at(value, values)

        def change(part: Expression) -> Expression | None:
            return moved if part == first.load else None

        defines = tuple(replace(d, value=rewritten(d.value, change)) for d in reader.defines)
        spans = tuple(dict.fromkeys(reader.spans + kernel.spans))
        return place, reader, replace(reader, defines=defines, spans=spans)

    def meets(
        self, kernel: Kernel, store: Store, reader: Kernel, site: Site
    ) -> dict[str, Poly] | None:
        """What the loops and axes of a kernel are where another one loads what it stores: each
        element once, and of this turn of the loops around."""
        load = site.load
        if not site.loops or any(load.clamped):
            return None
        values: dict[str, Poly] = {}
        own = {loop.name: loop for loop in kernel.loops}
        axes = {element(axis) for axis in range(len(kernel.shape))}
        theirs = {loop.name: loop for loop in reader.loops}
        pairs = zip((*store.index, *store.element), (*load.index, *load.element), strict=True)
        for target, entry in pairs:
            name = target.names[0] if len(target.names) == 1 else ""
            if target != Poly.of(name) or name in values or not isinstance(entry, Poly):
                return None
            values[name] = entry
            if name in axes:
                continue
            loop = own.get(name)
            if loop is None:
                return None
            same = entry == Poly.of(name) and theirs.get(name) == loop
            whole = names_of(loop.lower) | names_of(loop.upper) <= self.extents
            if not (same or (whole and entry.names and entry.names[0] in site.loops)):
                return None
        if values.keys() != own.keys() | axes:
            return None
        once = {e.names[0] for e in values.values() if len(e.names) == 1 and is_shifted(e)}
        varies = {*site.loops, *theirs, *(element(axis) for axis in range(len(reader.shape)))}
        return values if varies <= once else None

    def sunk(
        self, phases: list[list[Kernel]], number: int, kernel: Kernel
    ) -> tuple[int, Kernel, Kernel] | None:
        """The kernel that reads all that a pointwise one stores, and the two as one."""
        found = self.reader(phases, number, kernel.stores[0].buffer)
        if found is None or not is_pointwise(kernel):
            return None
        place, reader = found
        if not same_space(kernel, reader):
            return None
        known: dict[Load, Local] = {}
        types = {define.name: define.dtype for define in kernel.defines}
        for store in kernel.stores:
            if self.reader(phases, number, store.buffer) != found:
                return None
            for site in self.loaded[store.buffer][reader.name]:
                load = site.load
                if (load.index, load.element) != (store.index, store.element) or any(load.clamped):
                    return None
                known[load] = Local(store.value, types[store.value])
        if not all(self.lasts(phases, number, place, define.value) for define in kernel.defines):
            return None

        def change(part: Expression) -> Expression | None:
            return known.get(part) if isinstance(part, Load) else None

        defines = tuple(replace(d, value=rewritten(d.value, change)) for d in reader.defines)
        spans = tuple(dict.fromkeys(kernel.spans + reader.spans))
        return place, reader, replace(reader, defines=kernel.defines + defines, spans=spans)


# ---- kernels ------------------------------------------------------------------------------------


def plain(kernel: Kernel) -> bool:
    """Whether all points of a kernel are independent, and in its loops."""
    return kernel.serial is None and kernel.listed is None


def is_pointwise(kernel: Kernel) -> bool:
    parts = (part for define in kernel.defines for part in walk(define.value))
    return plain(kernel) and not any(isinstance(part, (Reduce, Contract)) for part in parts)


def same_space(left: Kernel, right: Kernel) -> bool:
    """Whether two kernels have the same points, rows and elements."""
    return plain(right) and (left.loops, left.constraints, left.batched, left.shape) == (
        right.loops,
        right.constraints,
        right.batched,
        right.shape,
    )


def without(kernel: Kernel, store: Store) -> Kernel:
    """The kernel without a store, and without what is only needed for it."""
    stores = tuple(other for other in kernel.stores if other != store)
    needed = {other.value for other in stores}
    defines: list[Define] = []
    for define in reversed(kernel.defines):
        if define.name in needed:
            defines.insert(0, define)
            needed |= {part.name for part in walk(define.value) if isinstance(part, Local)}
    return replace(kernel, stores=stores, defines=tuple(defines))


# ---- expressions --------------------------------------------------------------------------------


def sites(value: Expression, loops: tuple[str, ...]) -> Iterator[Site]:
    """All loads in an expression."""
    if isinstance(value, Load):
        yield Site(value, loops)
    if isinstance(value, Reduce):
        loops = (*loops, *(loop.name for loop in value.loops))
    for child in children(value):
        yield from sites(child, loops)


def expanded(kernel: Kernel, name: str) -> Expression | None:
    """A value of a kernel in terms of what it loads, if it is a short one of real numbers."""
    known: dict[str, Expression] = {}
    for define in kernel.defines:
        value = rewritten(
            define.value, lambda part: known.get(part.name) if isinstance(part, Local) else None
        )
        if define.dtype == "real" and sum(1 for _ in walk(value)) <= _MOST_PARTS:
            known[define.name] = value
    found = known.get(name)
    if found is None or not all(is_elementary(part) for part in walk(found)):
        return None
    return found


def is_elementary(part: Expression) -> bool:
    match part:
        case Constant():
            return True
        case Load(dtype=dtype, index=index, element=axes, clamped=clamped):
            direct = all(isinstance(entry, Poly) for entry in (*index, *axes))
            return dtype == "real" and direct and not any(clamped)
        case Apply(dtype=dtype):
            return dtype == "real"
    return False


def at(value: Expression, values: Mapping[str, PolyLike]) -> Expression:
    """An elementary expression at another point and element."""

    def entries(parts: tuple[Poly | Expression, ...]) -> tuple[Poly | Expression, ...]:
        return tuple(p.substitute(values) if isinstance(p, Poly) else p for p in parts)

    def change(part: Expression) -> Expression | None:
        if not isinstance(part, Load):
            return None
        return replace(part, index=entries(part.index), element=entries(part.element))

    return rewritten(value, change)


def is_shifted(entry: Poly) -> bool:
    """Whether an index of one name is that name, or a fixed distance from it."""
    return (entry - Poly.of(entry.names[0])).constant is not None


def read_by_loops(step: Step) -> Iterator[str]:
    """What decides how often loops turn."""
    match step:
        case Levels():
            yield from (step.level, step.points, step.rows, step.ends)
        case Waves(body=body, until=until):
            if until is not None:
                yield until.buffer
            for inner in body:
                yield from read_by_loops(inner)
