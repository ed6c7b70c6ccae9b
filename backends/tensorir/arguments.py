"""What a caller passes to a compiled model, and the C text that works with its sizes.

What stands where in their arguments is said in backends/cpu/entry.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnnc.ir.poly import Floor, Poly
from rnnc.plan.plan import Buffer, Plan

from .layout import BYTES, inner_shape, passed, volume
from .reserved import KEYWORDS

# What stands beside extents in the functions that use them.
_LOCALS = frozenset(("sizes", "offsets", "end", "count", "larger", "floordiv"))
_ALIGNMENT = 64
_SLACK = 64  # bytes behind each state buffer: vectors may be read beyond its last element


def external(plan: Plan) -> list[Buffer]:
    """The buffers that the caller passes, in the order of the call: inputs, outputs, params."""
    order = ("input", "output", "param")
    return [buffer for role in order for buffer in passed(plan) if buffer.role == role]


def strided(plan: Plan) -> list[Buffer]:
    """The buffers whose strides the caller passes: inputs, then outputs."""
    return [buffer for buffer in external(plan) if buffer.role != "param"]


def size_positions(plan: Plan) -> dict[str, int]:
    """Where the strides of each input and output begin among the sizes."""
    found: dict[str, int] = {}
    position = len(plan.extents) + 1
    for buffer in strided(plan):
        found[buffer.name] = position
        position += len(buffer.dims) + 1
    return found


def placement(room: Sequence[tuple[int, Buffer]], lanes: int) -> str:
    """Where the buffers of one place begin, each with its number, and how long the place is."""
    begins = " = ".join(f"offsets[{number}]" for number, _ in room)
    longest = "0"
    for _, buffer in room:
        longest = f"larger({longest}, {memory_size(buffer, lanes)})"
    rounded = f"({longest} + {_SLACK + _ALIGNMENT - 1}) / {_ALIGNMENT} * {_ALIGNMENT}"
    return f"  {begins} = end;\n  end += {rounded};"


def memory_size(buffer: Buffer, lanes: int) -> str:
    """How many bytes a state buffer has, as a C expression."""
    factors = [f"count({c_polynomial(dim.stored)})" for dim in buffer.dims]
    if buffer.batched:
        factors.append("batch")
    size = str(volume(inner_shape(buffer, lanes)) * BYTES[buffer.dtype])
    for factor in factors:
        size = f"rnnc_times({size}, {factor})"
    return size


def c_polynomial(poly: Poly) -> str:
    """A polynomial in extents as a C expression."""
    if not poly.terms:
        return "0"
    parts: list[str] = []
    for monomial, coefficient in poly.terms:
        factors = [f"{coefficient}"]
        for atom, power in monomial:
            factors += [c_atom(atom)] * power
        parts.append("*".join(factors))
    return " + ".join(parts)


def c_extent(name: str) -> str:
    """The variable of an extent in C, where names have no primes and some are taken."""
    own = name.replace("'", "_prime")
    return f"{own}_" if own in KEYWORDS | _LOCALS else own


def c_atom(atom: str | Floor) -> str:
    if isinstance(atom, str):
        return c_extent(atom)
    return f"floordiv({c_polynomial(atom.numerator)}, {atom.denominator})"
