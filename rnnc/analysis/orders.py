"""The orders between which a schedule may choose; imports nothing heavy."""

from __future__ import annotations

from typing import Literal, get_args

from rnnc.diagnostics import Diagnostic, DiagnosticError

# layered: static dims (layers) are stepped through one after another where that is legal, so that a
# layer's input products are computed for all its steps at once. wavefront: as few waves as there
# can be, one vector for all that has one, over layers too. sequential: one point of a recurrence
# after another, with all that lies on its cycles, to compare with; what does not is computed for
# all points at once as in the others. auto: what the cost model prefers of the first two; it also
# weighs which recurrences of a wavefront are worth running together.
Order = Literal["auto", "layered", "wavefront", "sequential"]


def check_order(name: str) -> None:
    """Raises RNN706 for what is none."""
    if name not in get_args(Order):
        hints = (f"known: {', '.join(get_args(Order))}",)
        raise DiagnosticError([Diagnostic("RNN706", f"unknown order '{name}'", hints=hints)])
