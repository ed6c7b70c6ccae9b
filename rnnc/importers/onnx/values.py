"""What a tensor of an ONNX model is in a spec: which axes are the steps and the batch, and text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Role = Literal["time", "batch", "direction"]
Axis = Role | int  # a number is an axis of the value of one row


@dataclass(frozen=True, slots=True)
class Value:
    """`axes` are as ONNX has them; `parts` one text for each direction, or one.

    A part is an expression for one row, at step `t` if there is an axis of time: then it is a name
    with `[t]` behind it.
    """

    axes: tuple[Axis, ...]
    parts: tuple[str, ...]
    integer: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row's value, directions aside."""
        return tuple(axis for axis in self.axes if isinstance(axis, int))

    @property
    def timed(self) -> bool:
        return "time" in self.axes

    @property
    def text(self) -> str:
        """One expression: both directions side by side in a first axis."""
        if len(self.parts) == 1:
            return self.parts[0]
        return f"stack({', '.join(self.parts)})"

    def at(self, step: str) -> Value:
        """The value at one step, without its axis of time."""
        axes = tuple(axis for axis in self.axes if axis != "time")
        parts = tuple(part.removesuffix("[t]") + f"[{step}]" for part in self.parts)
        return replace(self, axes=axes, parts=parts)

    def permuted(self, order: tuple[int, ...]) -> Value:
        return replace(self, axes=tuple(self.axes[axis] for axis in order))
