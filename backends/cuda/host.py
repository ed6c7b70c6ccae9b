"""The host's side as C++ text: loops around launches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rnnc.analysis.wave import Bound, CeilDiv, FloorDiv, Increment, Minimum, Polynomial
from rnnc.ir.poly import Floor, Poly

from .layout import Parameter, identifier


def c_polynomial(poly: Poly) -> str:
    """A polynomial in extents and waves as an int64_t expression."""
    parts: list[str] = []
    for monomial, coefficient in poly.terms:
        factors = [f"INT64_C({coefficient})"] if coefficient != 1 or not monomial else []
        for atom, power in monomial:
            factors += [_atom(atom)] * power
        parts.append(" * ".join(factors))
    return " + ".join(parts) or "INT64_C(0)"


def _atom(atom: str | Floor) -> str:
    if isinstance(atom, str):
        return identifier(atom)
    return f"rnnc_floordiv({c_polynomial(atom.numerator)}, {atom.denominator})"


def c_bound(value: Bound) -> str:
    """A bound of a loop as an int64_t expression."""
    match value:
        case Polynomial(poly):
            return c_polynomial(poly)
        case FloorDiv(numerator, denominator):
            return f"rnnc_floordiv({c_polynomial(numerator)}, {denominator})"
        case CeilDiv(numerator, denominator):
            return f"-rnnc_floordiv({c_polynomial(-numerator)}, {denominator})"
        case Increment(argument, amount):
            return f"{c_bound(argument)} + {amount}"
        case _:
            choose = "rnnc_min" if isinstance(value, Minimum) else "rnnc_max"
            result = c_bound(value.arguments[0])
            for argument in value.arguments[1:]:
                result = f"{choose}({result}, {c_bound(argument)})"
            return result


def argument(parameter: Parameter) -> str:
    """What the host passes for a parameter of a device function."""
    name = identifier(parameter.name)
    match parameter.kind:
        case "buffer":
            return f"at_{name}"
        case "pack":
            return f"pack_{name}"
        case "lengths":
            return f"lengths_{name}"
        case "stride":
            return f"stride_{name}[{parameter.axis}]"
        case "ends" | "flags":
            return parameter.kind
        case _:
            return name


class Host:
    """Lines of the host's function, indented."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._depth = 1

    def line(self, text: str) -> None:
        self.lines.append("  " * self._depth + text)

    @contextmanager
    def loop(self, variable: str, count: str) -> Iterator[None]:
        name = identifier(variable)
        self.line(f"const int64_t {name}_count = {count};")
        self.line(f"for (int64_t {name} = 0; {name} < {name}_count; ++{name}) {{")
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}")

    @contextmanager
    def block(self) -> Iterator[None]:
        self.line("{")
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}")

    @contextmanager
    def otherwise(self) -> Iterator[None]:
        """What is done where the launch at the end of the block before was not possible."""
        self.line("if (!launched) {")
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}")

    def launch_together(self, function: str, items: str, parameters: Sequence[Parameter]) -> None:
        """Sets `launched`: whether the whole grid can be resident."""
        given = ", ".join(argument(parameter) for parameter in parameters)
        self.line(f"launched = rnnc_launch_together({function}, {items}, stream, flags, {given});")

    def launch(self, function: str, items: str, parameters: Sequence[Parameter]) -> None:
        given = ", ".join(argument(parameter) for parameter in parameters)
        self.line(f"rnnc_launch({function}, {items}, stream, {given});")
