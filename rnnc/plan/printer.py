"""A plan as text, for people: `rnnc compile --emit=plan`.

state h: real [t in -1..T] * batch * [4]
for wave in 0..T:
    phase
        h.new for t in wave..wave + 1, rows, [4]
            a = U[0:4, 0:4] @ h[t - 1]
            h[t] = tanh(a + gates[t])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnc.analysis.wave import WaveLoop
from rnnc.ir.domain import Constraint
from rnnc.ir.poly import Poly
from rnnc.plan.expression import (
    Apply,
    Branch,
    Constant,
    Contract,
    Expression,
    IndexValue,
    Load,
    Local,
    Reduce,
    Weight,
)
from rnnc.plan.plan import Buffer, BufferDim, Kernel, Levels, Plan, Step, Store, Until, Waves

_OPERATORS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "^",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "and",
    "or": "or",
}


def print_plan(plan: Plan) -> str:
    """The preparation, if any; then buffers and steps in order."""
    lines = [] if plan.preparation is None else ["preparation", print_plan(plan.preparation)]
    lines += [f"plan {plan.name}"]
    lines += [f"weights {plan.weights}"] if plan.weights != "float32" else []
    lines += [f"extent {extent}" for extent in plan.extents]
    lines += [_buffer(buffer) for buffer in plan.buffers]
    for step in plan.steps:
        lines += _step(step, "")
    return "\n".join(lines) + "\n"


def _buffer(buffer: Buffer) -> str:
    parts = [f"[{_dim(dim)}]" for dim in buffer.dims]
    parts += ["batch"] if buffer.batched else []
    parts += [f"[{', '.join(map(str, buffer.shape))}]"] if buffer.shape else []
    parts += ["masked"] if buffer.masked else []
    return f"{buffer.role} {buffer.name}: {buffer.dtype} {' * '.join(parts)}".rstrip()


def _dim(dim: BufferDim) -> str:
    text = f"{dim.name} in {dim.lower}..{dim.upper}"
    text += "" if dim.slots is None else f", {dim.slots} slots"
    return f"{text}, held" if dim.held else text


def _step(step: Step, indent: str) -> Iterator[str]:
    inner = indent + "    "
    if isinstance(step, Waves):
        yield f"{indent}for {step.variable} in 0..{step.count}:"
        for own in step.body:
            yield from _step(own, inner)
        if step.until is not None:
            yield from _until(step.until, step.variable, indent)
        return
    if isinstance(step, Levels):
        yield f"{indent}for {step.variable} in levels of {step.dim} in 0..{step.upper}:"
        for own in step.body:
            yield from _step(own, inner)
        return
    yield f"{indent}phase{', row by row' if step.follows else ''}"
    for kernel in step.kernels:
        yield from _kernel(kernel, inner)


def _until(until: Until, variable: str, indent: str) -> Iterator[str]:
    points = ", ".join(_loop(loop) for loop in until.loops)
    wave = f"{variable} - {until.delay}" if until.delay else variable
    tested = f"{until.buffer}{_brackets(until.index, ())} is {until.value}"
    yield f"{indent}until {tested} for {points}, rows, at {wave}; then"
    for kernel in until.rest.kernels:
        yield from _kernel(kernel, indent + "    ")


def _kernel(kernel: Kernel, indent: str) -> Iterator[str]:
    independent = kernel.independent
    space = [_loop(loop) for loop in independent]
    space += [f"{kernel.listed} of the level"] if kernel.listed else []
    space += ["rows"] if kernel.batched else []
    space += [f"[{', '.join(map(str, kernel.shape))}]"] if kernel.shape else []
    condition = f" if {_constraints(kernel.constraints)}" if kernel.constraints else ""
    order = ", ".join(_loop(loop) for loop in kernel.loops[len(independent) :])
    order = f", then {order} in order" if order else ""
    yield f"{indent}{kernel.name} for {', '.join(space) or 'once'}{order}{condition}"
    for carry in kernel.carries:
        yield f"{indent}    carry {carry.name} = {_text(carry.first)}, then {carry.value}"
    for define in kernel.defines:
        yield f"{indent}    {define.name} = {_text(define.value)}"
    for store in kernel.stores:
        yield f"{indent}    {_store(store)}"
    for store in kernel.last:
        yield f"{indent}    at last {_store(store)}"


def _loop(loop: WaveLoop) -> str:
    if loop.exact:
        return f"{loop.name} = {loop.lower}"
    return f"{loop.name} in {loop.lower}..{loop.upper}"


def _store(store: Store) -> str:
    return f"{store.buffer}{_brackets(store.index, store.element)} = {store.value}"


def _constraints(constraints: Sequence[Constraint]) -> str:
    return " and ".join(str(constraint) for constraint in constraints)


def _brackets(index: Sequence[Poly | Expression], element: Sequence[Poly | Expression]) -> str:
    """Grid indices in the first bracket, axes in the second, as in the language."""
    text = f"[{', '.join(map(_entry, index))}]" if index else ""
    return text + (f"[{', '.join(map(_entry, element))}]" if element else "")


def _entry(entry: Poly | Expression) -> str:
    return str(entry) if isinstance(entry, Poly) else _text(entry)


def _text(expression: Expression) -> str:
    match expression:
        case Constant(value=value):
            return str(value)
        case IndexValue(value=value, per_row=per_row):
            return f"row({value})" if per_row else f"({value})"
        case Local(name=name):
            return name
        case Load(buffer=buffer, index=index, element=element):
            return buffer + _brackets(index, element)
        case Apply():
            return _apply(expression)
        case Reduce(kind=kind, loops=loops, constraints=constraints, body=body):
            over = ", ".join(f"{loop.name} in {loop.lower}..{loop.upper}" for loop in loops)
            condition = f" if {_constraints(constraints)}" if constraints else ""
            return f"{kind}({over}{condition}: {_text(body)})"
        case Branch(constraints=constraints, then=then, otherwise=otherwise):
            condition = _constraints(constraints)
            return f"({_text(then)} if {condition} else {_text(otherwise)})"
        case Contract(weight=weight, vector=vector):
            return f"{_weight(weight)} @ {_text(vector)}"


def _apply(expression: Apply) -> str:
    arguments = [_text(argument) for argument in expression.arguments]
    operator = _OPERATORS.get(expression.op)
    if operator and len(arguments) == 2:
        return f"({arguments[0]} {operator} {arguments[1]})"
    attributes = [f"{key}={value}" for key, value in expression.attributes]
    return f"{expression.op}({', '.join([*arguments, *attributes])})"


def _weight(weight: Weight) -> str:
    """`U[1][0:4, 0:8]`, with `.T` where the columns of the parameter are its rows here."""
    point = "".join(f"[{', '.join(map(str, part))}]" for part in (weight.index,) if part)
    leading = "".join(f"{index}, " for index in weight.leading)
    rows = f"{weight.row}:{weight.row + weight.rows}"
    columns = f"{weight.column}:{weight.column + weight.columns}"
    transposed = ".T" if weight.transposed else ""
    return f"{weight.param}{transposed}{point}[{leading}{rows}, {columns}]"
