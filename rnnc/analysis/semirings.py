"""What "linear" can mean: pairs of operations under which linear steps compose.

    h[t] = a[t] * h[t-1] + b[t]                sums of products
    h[t] = logaddexp(a[t] + h[t-1], b[t])      the same of logarithms
    h[t] = max(a[t] + h[t-1], b[t])            the largest sum, or with min the smallest

One step behind another is a step of the same form, of the factor a2 x a1 and the addend
(a2 x b1) + b2, if `times` distributes over `plus`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Semiring:
    """`plus` and `times` are ops of the IR; `zero` is neutral to `plus`, `one` to `times`.

    Where `times` is "add", `sub` undoes it; of the ring of numbers `plus` can be undone as well.
    """

    plus: str
    times: str
    zero: float
    one: float

    @property
    def step(self) -> str:
        """A linear step as text."""
        scaled = "a * h" if self.times == "mul" else "a + h"
        return f"{scaled} + b" if self.plus == "add" else f"{self.plus}({scaled}, b)"


# By the form of the steps. The first that fits is taken.
SEMIRINGS = {
    "affine": Semiring("add", "mul", 0.0, 1.0),
    "logarithmic": Semiring("logaddexp", "add", -math.inf, 0.0),
    "largest": Semiring("max", "add", -math.inf, 0.0),
    "smallest": Semiring("min", "add", math.inf, 0.0),
}
