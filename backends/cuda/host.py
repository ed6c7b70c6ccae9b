"""The host's side as C++ text: loops around launches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rnnc.analysis.wave import Bound, CeilDiv, FloorDiv, Increment, Minimum, Polynomial

from ..tensorir.arguments import c_polynomial
from .layout import Parameter, identifier


def c_bound(value: Bound) -> str:
    """A bound of a loop as an int64_t expression."""
    match value:
        case Polynomial(poly):
            return c_polynomial(poly)
        case FloorDiv(numerator, denominator):
            return f"floordiv({c_polynomial(numerator)}, {denominator})"
        case CeilDiv(numerator, denominator):
            return f"-floordiv({c_polynomial(-numerator)}, {denominator})"
        case Increment(argument, amount):
            return f"{c_bound(argument)} + {amount}"
        case _:
            choose = "smaller" if isinstance(value, Minimum) else "larger"
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


@dataclass(frozen=True, slots=True)
class Grid:
    """Of a launch that stays: groups of `blocks` blocks, at most `groups` of them (a variable of
    the host); `threads` and bytes of `shared` memory of each block."""

    threads: int
    shared: int
    blocks: int
    groups: str


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
    def when(self, condition: str) -> Iterator[None]:
        self.line(f"if ({condition}) {{")
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}")

    @contextmanager
    def otherwise(self) -> Iterator[None]:
        """What is done where the launch at the end of the block before was not possible."""
        self.line("if (!launched) {")
        self._depth += 1
        self.line("rnnc_apart = 1;")
        yield
        self._depth -= 1
        self.line("}")

    def launch_together(self, function: str, grid: Grid, parameters: Sequence[Parameter]) -> None:
        """Sets `launched`: whether the whole grid may and can be resident."""
        given = ", ".join(argument(parameter) for parameter in parameters)
        sizes = f"{grid.threads}, {grid.shared}, {grid.blocks}, {grid.groups}"
        launch = f"rnnc_launch_together({function}, {sizes}, stream, {given})"
        self.line(f"launched = rnnc_together && {launch};")

    def launch(self, function: str, items: str, parameters: Sequence[Parameter]) -> None:
        given = ", ".join(argument(parameter) for parameter in parameters)
        self.line(f"rnnc_launch({function}, {items}, stream, {given});")
