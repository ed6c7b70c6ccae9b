"""Executes a plan with NumPy, kernel by kernel and point by point: the oracle of plan building.

It shares nothing with the backends; with the interpreter it shares only the meaning of pointwise
ops. Reads of never-written elements are caught: buffers start as NaN (or a wild number). So are
reads that find another index than their own in a slot, slots that a phase reads and
reuses, and what buffers that share memory leave of one another.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnc.ir.domain import Constraint
from rnnc.ir.graph import Op
from rnnc.ir.poly import Poly
from rnnc.plan import expression as ex
from rnnc.plan.arena import rooms
from rnnc.plan.plan import Buffer, Kernel, Levels, Phase, Plan, Step, Store, Until, Waves, ended
from rnnc.plan.rows import shared

Array = NDArray[Any]  # values of three dtypes, combined as NumPy does
Evaluate = Callable[[Op, list[Array]], Array]
Shape = tuple[int, ...]
Write = tuple[str, tuple[Array, ...], Array]  # of a buffer's elements at a place
_VALID = "#valid"  # in an environment: whether the term that is computed counts
_NOBODY = -(10**9)  # the index in a slot that was never written
DTYPES = {"real": np.float64, "int": np.int64, "bool": np.bool_}


def tag_of(buffer: Buffer) -> str:
    """Where the simulator keeps which index the slots of a buffer hold."""
    return f"#{buffer.name}"


# What a buffer holds before anything was written.
UNWRITTEN: dict[str, float] = {"real": np.nan, "int": -12345, "bool": 0}


def does_follow(step: Step) -> bool:
    return isinstance(step, Phase) and step.follows


class Simulator:
    def __init__(
        self,
        plan: Plan,
        evaluate: Evaluate,
        batch: int,
        extents: Mapping[str, int],
        lengths: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> None:
        self.plan, self.evaluate, self.batch = plan, evaluate, batch
        self.extents = dict(extents)
        given = lengths or {}
        self.lengths = {
            name: np.asarray(given.get(name, np.full(batch, value)), np.int64)
            for name, value in extents.items()
        }
        self.memory = {buffer.name: self.allocate(buffer) for buffer in plan.buffers}
        self.listed = np.zeros((0, batch), np.bool_)  # points and rows of the level
        self.buffers = {buffer.name: buffer for buffer in plan.buffers}
        self.rooms = {buffer.name: room for room in rooms(plan) for buffer in room}
        for buffer in plan.buffers:
            if any(dim.slots is not None for dim in buffer.dims):
                self.memory[tag_of(buffer)] = np.full(self.memory[buffer.name].shape, _NOBODY)
        self.read: dict[str, Array] = {}  # in this phase: the index wanted of each slot
        self.waves: dict[str, int] = {}  # how often each loop was gone through, in all
        self.points_of: dict[str, int] = {}  # at how many points each kernel was computed
        self.in_chain = False
        self.only: tuple[dict[str, int], int | None] = {}, None  # points of loops, and the row
        # Where every row is as long as the arrays, no point computes what nobody asked for.
        self.tagged = all(np.all(self.lengths[name] == extents[name]) for name in extents)

    def allocate(self, buffer: Buffer) -> Array:
        dims = [max(0, dim.stored.evaluate(self.extents)) for dim in buffer.dims]
        shape = (*dims, *((self.batch,) if buffer.batched else ()), *buffer.shape)
        return np.full(shape, UNWRITTEN[buffer.dtype], DTYPES[buffer.dtype])

    def run(self) -> None:
        self.steps(self.plan.steps, dict(self.extents))

    def steps(self, steps: Sequence[Step], env: dict[str, int]) -> None:
        """Phases that follow others row by row, the last row first; all else in order."""
        for number, step in enumerate(steps):
            if not isinstance(step, Phase):
                self.step(step, env)
            elif not step.follows:
                rest = itertools.takewhile(does_follow, steps[number + 1 :])
                self.row_by_row([step, *(phase for phase in rest if isinstance(phase, Phase))], env)

    def row_by_row(self, phases: Sequence[Phase], env: dict[str, int]) -> None:
        loops = None if len(phases) == 1 else shared(phases, self.buffers)
        if loops is None:
            assert len(phases) == 1
            self.step(phases[0], env)
            return
        flat = loops.flat and loops.flat.name
        outer = replace(phases[0].kernels[0], loops=phases[0].kernels[0].loops[: loops.count])
        fixed = list(dict.fromkeys(here.get(flat or "", 0) for here in self.points(outer, env, 0)))
        for point, row in reversed([*itertools.product(fixed, range(self.batch))]):
            self.only = ({flat: point} if flat else {}), row
            for phase in phases:
                self.step(phase, env)
        self.only = {}, None

    def step(self, step: Step, env: dict[str, int]) -> None:
        if isinstance(step, Waves):
            for wave in range(step.count.evaluate(env)):
                self.steps(step.body, env | {step.variable: wave})
                self.waves[step.variable] = self.waves.get(step.variable, 0) + 1
                if step.until is not None and self.stopped(step.until, step.variable, env, wave):
                    self.leave_out(step, env, wave + 1)
                    self.step(step.until.rest, env | {ended(step.variable): wave + 1})
                    return
            return
        if isinstance(step, Levels):
            self.levels(step, env)
            return
        assert isinstance(step, Phase)
        written: list[Write] = []
        self.read = {}
        self.overwrite(step)
        for kernel in step.kernels:  # all reads of a phase before any write: they may run at once
            if kernel.serial is not None:
                written += self.chains(kernel, env)
                continue
            for point in self.points(kernel, env, 0):
                written += self.compute(kernel, point, {})[1]
        for name, place, value in written:
            if name in self.read:
                wanted = self.read[name][place]
                assert np.all((wanted == _NOBODY) | (wanted == value)), (name, wanted, value)
            self.memory[name][place] = value

    def leave_out(self, loop: Waves, env: dict[str, int], first: int) -> None:
        """Nobody looks at what the waves from `first` on would have written: it becomes nothing."""
        rest = () if loop.until is None else loop.until.rest.kernels
        filled = {store.value for kernel in rest for store in kernel.stores}
        for wave in range(first, loop.count.evaluate(env)):
            here = env | {loop.variable: wave}
            for step in loop.body:
                if isinstance(step, Waves):
                    self.leave_out(step, here, 0)
                    continue
                assert isinstance(step, Phase)
                for kernel in step.kernels:
                    for point in self.points(kernel, here, 0):
                        full, inside = self.space(kernel, point)
                        nothing = {
                            d.name: np.full(full, UNWRITTEN[d.dtype]) for d in kernel.defines
                        }
                        stores = tuple(s for s in kernel.stores if s.value not in filled)
                        for name, place, value in self.writes(stores, inside, nothing):
                            self.memory[name][place] = value

    def stopped(self, until: Until, variable: str, env: dict[str, int], wave: int) -> bool:
        """Whether the waves that are left have nothing to do."""
        tested = Kernel("", until.loops, (), True, (), (), ())
        buffer, rows = self.buffers[until.buffer], np.arange(self.batch)
        points = list(self.points(tested, env | {variable: wave - until.delay}, 0))
        for point in points:
            here = {name: np.asarray(value) for name, value in point.items()} | {"#row": rows}
            found = self.memory[buffer.name][self.place(buffer, until.index, (), here)]
            tag = self.slotted_index(buffer, until.index, here)
            own = self.memory.get(tag_of(buffer), np.asarray(0))
            assert tag is None or np.all(own[self.place(buffer, until.index, (), here)] == tag)
            beyond = np.zeros(self.batch, np.bool_)
            for dim, extent in until.limits:
                beyond |= here[dim] >= self.lengths[extent]
            ahead = np.zeros(self.batch, np.bool_)
            for dim, extent in until.begins:
                ahead |= here[dim] >= self.lengths[extent]
            if not np.all(((found == until.value) | beyond) & ~ahead):
                return False
        return bool(points)

    def overwrite(self, phase: Phase) -> None:
        """What a phase writes leaves nothing of the buffers that share its place."""
        for kernel in phase.kernels:
            for store in (*kernel.stores, *kernel.last):
                for other in self.rooms.get(store.buffer, ()):
                    if other.name != store.buffer:
                        self.memory[other.name][...] = UNWRITTEN[other.dtype]

    def levels(self, step: Levels, env: dict[str, int]) -> None:
        """Level by level; in each, its points and rows."""
        upper = step.upper.evaluate(env)
        lower = self.buffers[step.level].dims[0].lower.evaluate(env)
        level = self.memory[step.level][-lower:]
        own = np.arange(upper)[:, None] < np.minimum(
            upper, self.lengths[step.extent] if step.extent else upper
        )
        for wave in range(int(np.max(level, where=own, initial=-1)) + 1):
            self.listed = own & (level == wave)
            self.steps(step.body, env | {step.variable: wave})

    def chains(self, kernel: Kernel, env: dict[str, int]) -> list[Write]:
        """One chain after another; each sees its own writes at once, the others' not at all."""
        written: list[Write] = []
        before = self.memory
        self.in_chain = True
        outside = replace(kernel, loops=kernel.independent, constraints=())
        for outer in self.points(outside, env, 0):
            self.memory = {name: memory.copy() for name, memory in before.items()}
            full, inside = self.space(kernel, outer)
            carried = {
                carry.name: np.broadcast_to(self.value(carry.first, inside, {}), full)
                for carry in kernel.carries
            }
            for point in self.points(kernel, outer, len(outside.loops)):
                local, writes = self.compute(kernel, point, carried)
                carried = {carry.name: local[carry.value] for carry in kernel.carries}
                for name, place, value in writes:
                    self.memory[name][place] = value
                written += writes
            written += self.writes(kernel.last, inside, carried)
        self.memory, self.in_chain = before, False
        return written

    def points(self, kernel: Kernel, env: dict[str, int], depth: int) -> Iterator[dict[str, int]]:
        if depth == len(kernel.loops) and kernel.listed and kernel.listed not in env:
            for point in np.flatnonzero(self.listed.any(axis=1)):
                yield from self.points(kernel, env | {kernel.listed: int(point)}, depth)
            return
        if depth == len(kernel.loops):
            if all(constraint.holds(env) for constraint in kernel.constraints):
                yield env
            return
        loop = kernel.loops[depth]
        only = self.only[0].get(loop.name)
        for value in range(loop.lower.evaluate(env), loop.upper.evaluate(env)):
            if only is not None and value != only:
                continue
            yield from self.points(kernel, env | {loop.name: value}, depth + 1)

    def space(self, kernel: Kernel, point: dict[str, int]) -> tuple[Shape, dict[str, Array]]:
        """The shape of all rows and elements of a point, and the variables over it."""
        rows = np.arange(self.batch if kernel.batched else 1)
        if self.only[1] is not None:
            rows = rows[self.only[1] : self.only[1] + 1]
        if kernel.listed:
            rows = np.flatnonzero(self.listed[point[kernel.listed]])
        env: dict[str, Array] = {name: np.asarray(value) for name, value in point.items()}
        for axis, size in enumerate(kernel.shape):
            index = np.arange(size).reshape(-1, *(1,) * (len(kernel.shape) - axis - 1))
            env[ex.element(axis)] = index
        env["#row"] = rows.reshape(-1, *(1,) * len(kernel.shape))
        return (len(rows), *kernel.shape), env

    def compute(
        self, kernel: Kernel, point: dict[str, int], carried: dict[str, Array]
    ) -> tuple[dict[str, Array], list[Write]]:
        """The values of the defines, and what they write where."""
        full, env = self.space(kernel, point)
        self.points_of[kernel.name] = self.points_of.get(kernel.name, 0) + 1
        local = dict(carried)
        for define in kernel.defines:
            value = self.value(define.value, env, local)
            local[define.name] = np.broadcast_to(value, full).astype(DTYPES[define.dtype])
        return local, self.writes(kernel.stores, env, local)

    def writes(
        self, stores: tuple[Store, ...], env: dict[str, Array], local: dict[str, Array]
    ) -> list[Write]:
        """What stores of these values write where."""
        writes: list[Write] = []
        for store in stores:
            buffer = self.buffers[store.buffer]
            place = self.place(buffer, store.index, store.element, env, store=True)
            value = local[store.value]
            if not buffer.batched:
                value = value[0]
            if value.size == 1:
                value = value.reshape(np.broadcast_shapes(*(np.shape(at) for at in place)))
            kept = self.kept(buffer, store.index, env)
            value = np.where(kept, value, self.memory[store.buffer][place])
            writes.append((store.buffer, place, value))
            tag = self.slotted_index(buffer, store.index, env)
            if tag is not None:
                tag = np.where(kept, tag, self.memory[tag_of(buffer)][place])
                writes.append((tag_of(buffer), place, tag))
        return writes

    def slotted_index(
        self, buffer: Buffer, index: tuple[Poly | ex.Expression, ...], env: dict[str, Array]
    ) -> Array | None:
        """The index along the dim that has slots, if one has."""
        for dim, entry in zip(buffer.dims, index, strict=True):
            if dim.slots is not None:
                assert isinstance(entry, Poly), "what depends on data needs the whole dim"
                return np.asarray(entry.evaluate(env))  # type: ignore[arg-type]
        return None

    def kept(self, buffer: Buffer, index: tuple[Poly, ...], env: dict[str, Array]) -> Array:
        """Whether a store happens: not in a held dim beyond the end of the row."""
        result = np.asarray(True)
        for dim, entry in zip(buffer.dims, index, strict=True):
            if dim.held:
                assert dim.extent is not None
                at = np.asarray(entry.evaluate(env))  # type: ignore[arg-type]
                result = result & (at < self.lengths[dim.extent][env["#row"]])
        return result

    def place(
        self,
        buffer: Buffer,
        index: tuple[Poly | ex.Expression, ...],
        axes: tuple[Poly | ex.Expression, ...],
        env: dict[str, Array],
        store: bool = False,
        clamped: tuple[bool, ...] = (),
        local: dict[str, Array] | None = None,
    ) -> tuple[Array, ...]:
        row = env["#row"]
        found: list[Array] = []
        for number, (dim, entry) in enumerate(zip(buffer.dims, index, strict=True)):
            lower = dim.lower.evaluate(self.extents)
            upper = dim.upper.evaluate(self.extents)
            values = dict(env)
            if buffer.batched and not store:
                values |= {name: rows[row] for name, rows in self.lengths.items()}
            if isinstance(entry, Poly):
                at = np.asarray(entry.evaluate(values))  # type: ignore[arg-type]
            else:
                at = self.value(entry, env, local or {})
            if clamped and clamped[number]:
                if dim.extent is not None and buffer.batched:
                    own, whole = self.lengths[dim.extent][row], self.extents[dim.extent]
                    at = np.where(at >= own, at - own + whole, at)
                at = np.clip(at, lower, upper - 1)
            assert ((at >= lower) & (at < upper)).all(), (buffer.name, dim.name, at, lower, upper)
            at = at - lower
            found.append(at if dim.slots is None else at % dim.slots)
        if buffer.batched:
            found.append(row)
        for size, position in zip(buffer.shape, axes, strict=True):
            if isinstance(position, Poly):
                at = np.asarray(position.evaluate(env))  # type: ignore[arg-type]
            else:
                at = self.value(position, env, local or {})
            assert ((at >= 0) & (at < size)).all(), (buffer.name, at, size)
            found.append(at)
        if buffer.batched or not store:
            return tuple(found)
        return tuple(np.squeeze(at, 0) if at.ndim and at.shape[0] == 1 else at for at in found)

    def holds(self, constraints: tuple[Constraint, ...], env: dict[str, Array]) -> Array:
        verdict = np.asarray(True)
        for constraint in constraints:
            value = np.asarray(constraint.poly.evaluate(env))  # type: ignore[arg-type]
            verdict = verdict & ((value >= 0) if constraint.relation == ">=" else (value == 0))
        return verdict

    def value(
        self, expression: ex.Expression, env: dict[str, Array], local: dict[str, Array]
    ) -> Array:
        match expression:
            case ex.Constant(value, dtype):
                return np.asarray(value, DTYPES[dtype])
            case ex.IndexValue(poly, per_row):
                values = dict(env)
                if per_row:
                    row = env["#row"]
                    values |= {name: rows[row] for name, rows in self.lengths.items()}
                return np.asarray(poly.evaluate(values), np.int64)  # type: ignore[arg-type]
            case ex.Local(name, _):
                return local[name]
            case ex.Load(buffer, index, axes, _, clamped):
                place = self.place(
                    self.buffers[buffer], index, axes, env, clamped=clamped, local=local
                )
                own = self.buffers[buffer]
                tag = self.slotted_index(own, index, env) if self.tagged else None
                if tag is not None:
                    match = self.memory[tag_of(own)][place] == tag
                    assert np.all(match | ~env.get(_VALID, np.asarray(True))), (buffer, index, tag)
                    if not self.in_chain:  # which alone knows what it has written before
                        blank = np.full(self.memory[buffer].shape, _NOBODY)
                        self.read.setdefault(tag_of(own), blank)[place] = tag
                return np.asarray(self.memory[buffer][place])
            case ex.Apply(name, arguments, _, attributes):
                values_ = [self.value(argument, env, local) for argument in arguments]
                return self.evaluate(Op(name, attributes), values_)
            case ex.Branch(constraints, then, otherwise, dtype):
                return self.branch(constraints, then, otherwise, env, local)
            case ex.Contract(weight, vector, k):
                return self.contract(weight, vector, k, env, local)
            case ex.Reduce():
                return self.reduce(expression, env, local)
        raise AssertionError(expression)

    def branch(
        self,
        constraints: tuple[Constraint, ...],
        then: ex.Expression,
        otherwise: ex.Expression,
        env: dict[str, Array],
        local: dict[str, Array],
    ) -> Array:
        """Element by element, since the side not taken may lie outside its buffer."""
        axes = [name for name, value in env.items() if value.ndim]
        shape = np.broadcast_shapes(*(env[name].shape for name in axes))
        wide = {name: np.broadcast_to(env[name], shape) for name in axes}
        first: Array | None = None
        for place in itertools.product(*(range(size) for size in shape)):
            here = env | {name: wide[name][place].reshape((1,) * len(shape)) for name in axes}
            here_local = {
                name: np.broadcast_to(value, shape)[place].reshape((1,) * len(shape))
                for name, value in local.items()
            }
            side = then if bool(np.all(self.holds(constraints, here))) else otherwise
            value = self.value(side, here, here_local)
            if first is None:
                first = np.zeros(shape, value.dtype)
            first[place] = value.reshape(-1)[0]
        assert first is not None
        return first

    def contract(
        self,
        weight: ex.Weight,
        vector: ex.Load,
        k: str,
        env: dict[str, Array],
        local: dict[str, Array],
    ) -> Array:
        buffer = self.buffers[weight.param]
        index = [
            int(np.asarray(p.evaluate(env))) - d.lower.evaluate(self.extents)  # type: ignore[arg-type]
            for p, d in zip(weight.index, buffer.dims, strict=True)
        ]
        leading = [int(np.asarray(p.evaluate(env))) for p in weight.leading]  # type: ignore[arg-type]
        matrix = self.memory[weight.param][(*index, *leading)]
        matrix = matrix.T if weight.transposed else matrix
        block = matrix[
            weight.row : weight.row + weight.rows, weight.column : weight.column + weight.columns
        ]
        last = max(name for name in env if name.startswith("e") and name[1:].isdigit())
        total: Array = np.asarray(0.0)
        for position in range(weight.columns):
            value = self.value(vector, env | {k: np.asarray(position)}, local)
            total = total + block[:, position][env[last]] * value
        return total

    def reduce(self, reduce: ex.Reduce, env: dict[str, Array], local: dict[str, Array]) -> Array:
        neutral = {"sum": 0, "prod": 1, "max": -np.inf, "min": np.inf, "any": False, "all": True}
        total = np.asarray(-np.inf if reduce.kind == "argmax" else neutral[reduce.kind])
        best = np.asarray(0)

        # Where a loop names an extent, bounds and conditions mean each row's own lengths.
        if any(loop.extent is not None for loop in reduce.loops):
            own = {name: lengths[env["#row"]] for name, lengths in self.lengths.items()}
            whole = {name: env[name] for name in own}
        else:
            own = whole = {}

        def fold(depth: int, env: dict[str, Array]) -> None:
            nonlocal total, best
            if depth < len(reduce.loops):
                loop = reduce.loops[depth]
                lower = np.asarray(loop.lower.evaluate(env))  # type: ignore[arg-type]
                upper = np.asarray(loop.upper.evaluate(env))  # type: ignore[arg-type]
                for step in range(int(lower.min()), int(upper.max())):
                    fold(depth + 1, env | {loop.name: np.asarray(step)})
                return
            valid = self.holds(reduce.constraints, env)
            for loop in reduce.loops:
                at = env[loop.name]
                valid = valid & (at >= loop.lower.evaluate(env))  # type: ignore[arg-type]
                valid = valid & (at < loop.upper.evaluate(env))  # type: ignore[arg-type]
            inner = env | whole
            for loop in reduce.loops:  # an invalid term is computed somewhere harmless
                upper = np.asarray(loop.upper.evaluate(env))  # type: ignore[arg-type]
                lower = np.asarray(loop.lower.evaluate(env))  # type: ignore[arg-type]
                inner[loop.name] = np.clip(env[loop.name], lower, np.maximum(upper - 1, lower))
            inner[_VALID] = valid & env.get(_VALID, np.asarray(True))
            value = self.value(reduce.body, inner, local)
            match reduce.kind:
                case "sum":
                    total = total + np.where(valid, value, 0)
                case "prod":
                    total = total * np.where(valid, value, 1)
                case "max":
                    total = np.maximum(total, np.where(valid, value, -np.inf))
                case "min":
                    total = np.minimum(total, np.where(valid, value, np.inf))
                case "any":
                    total = total | (valid & value.astype(bool))
                case "all":
                    total = total & (~valid | value.astype(bool))
                case "argmax":
                    better = valid & (value > total)
                    best = np.where(better, env[reduce.loops[0].name], best)
                    total = np.where(better, value, total)

        fold(0, env | own)
        return best if reduce.kind == "argmax" else total
