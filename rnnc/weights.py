"""The types in which the weights of matrix products may be stored; imports nothing heavy.

float32: as they are given. bf16: rounded to the nearest bfloat16 when they are bound (half the
bytes) and widened again in registers; everything else stays in float32. int8: each row of weights
is divided by a scale and rounded to integers from -127 to 127, and so is what it is multiplied
with, at each product; products are summed exactly. sparse: as they are given, but zeros are neither
stored nor multiplied wherever enough of them stand together.

The *math* of a product is the type of both its operands where tensor cores multiply them, summed in
float32. bf16, fp16: rounded to the nearest. tf32: rounded to 10 bits behind the point. 3xtf32: each
as the sum of two tf32, three products for one. float32: no tensor cores.
"""

from __future__ import annotations

from typing import Literal, get_args

from rnnc.diagnostics import Diagnostic, DiagnosticError

WeightType = Literal["float32", "bf16", "int8", "sparse"]
MathType = Literal["float32", "tf32", "3xtf32", "bf16", "fp16"]
# How a packed factor is stored.
PackType = WeightType | Literal["fp16"]

# Of sparse weights it is what one of ten costs, with its place.
BYTES: dict[PackType, int] = {"float32": 4, "bf16": 2, "fp16": 2, "int8": 1, "sparse": 1}


def stored(weights: PackType, math: MathType) -> PackType:
    """How weights stand in memory: narrow operands of tensor cores as they are multiplied."""
    return math if math == "bf16" or math == "fp16" else weights


def check_math_type(name: str) -> None:
    """Raises RNN705 for what is none."""
    if name not in get_args(MathType):
        message = f"products cannot be computed in '{name}'"
        hints = (f"known: {', '.join(get_args(MathType))}",)
        raise DiagnosticError([Diagnostic("RNN705", message, hints=hints)])


def check_weight_type(name: str) -> None:
    """Raises RNN705 for what is none."""
    if name not in get_args(WeightType):
        message = f"weights cannot be stored as '{name}'"
        hints = (f"known: {', '.join(get_args(WeightType))}",)
        raise DiagnosticError([Diagnostic("RNN705", message, hints=hints)])
