"""The plans of a model whose steps come one at a time."""

from __future__ import annotations

from dataclasses import dataclass

from rnnc.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Stream:
    """`step` takes and gives each of `states`, as NAME.before and NAME.after; `beginning` gives
    those that do not begin with zero. Both read the parameters of the model's own plan, and what
    its preparation makes of them.
    """

    beginning: Plan | None
    step: Plan
    states: tuple[str, ...]
