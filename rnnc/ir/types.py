"""Types of the values that live at grid points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rnnc.ir.poly import Poly, PolyLike

DType = Literal["bool", "int", "real", "complex"]
DTYPES: tuple[DType, ...] = ("bool", "int", "real", "complex")  # in order of promotion


@dataclass(frozen=True, slots=True)
class TensorType:
    """A dense tensor at each grid point and batch row; precision is chosen when compiling.

    `range` is the half-open interval of an int value, as declared (`int in -1..n`); its bounds may
    name the grid indices of the node that carries the type.
    """

    dtype: DType
    shape: tuple[Poly, ...] = ()
    range: tuple[Poly, Poly] | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    def substitute(self, values: Mapping[str, PolyLike]) -> TensorType:
        shape = tuple(size.substitute(values) for size in self.shape)
        if self.range is None:
            return TensorType(self.dtype, shape)
        lower, upper = self.range
        return TensorType(self.dtype, shape, (lower.substitute(values), upper.substitute(values)))

    def __str__(self) -> str:
        text = f"{self.dtype}[{', '.join(str(size) for size in self.shape)}]"
        return text if self.range is None else f"{text} in {self.range[0]}..{self.range[1]}"


def promote(*dtypes: DType) -> DType:
    """The widest of bool < int < real < complex."""
    return DTYPES[max(DTYPES.index(dtype) for dtype in dtypes)]
