"""Passes by name, and pipelines written as text: `push-views,unroll-reductions{limit=4}`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches

from rnnc.passes.bind_sizes import BindSizes
from rnnc.passes.complete_variables import CompleteVariables
from rnnc.passes.drop_unit_dims import DropUnitDims
from rnnc.passes.drop_unused_dims import DropUnusedDims
from rnnc.passes.eliminate_common import EliminateCommon
from rnnc.passes.eliminate_dead import EliminateDead
from rnnc.passes.fold_constants import FoldConstants
from rnnc.passes.hoist_sums import HoistSums
from rnnc.passes.hold_copies import HoldCopies
from rnnc.passes.lower_rates import LowerRates
from rnnc.passes.propagate_copies import PropagateCopies
from rnnc.passes.push_views import PushViews
from rnnc.passes.resolve_reads import ResolveReads
from rnnc.passes.rewrite import Pass
from rnnc.passes.split_complex import SplitComplex
from rnnc.passes.split_concat_products import SplitConcatProducts
from rnnc.passes.stride_domains import StrideDomains
from rnnc.passes.unroll_reductions import UnrollReductions

PASSES: Mapping[str, type[Pass]] = {
    kind.name: kind
    for kind in (
        BindSizes,
        CompleteVariables,
        DropUnitDims,
        DropUnusedDims,
        EliminateCommon,
        EliminateDead,
        FoldConstants,
        HoistSums,
        HoldCopies,
        LowerRates,
        PropagateCopies,
        PushViews,
        ResolveReads,
        SplitComplex,
        SplitConcatProducts,
        StrideDomains,
        UnrollReductions,
    )
}

# `name` or `name{option=value,...}`, and what stands behind it.
_ITEM = re.compile(r"\s*([\w-]+)\s*(?:\{([^{}]*)\})?\s*(,|$)")


class PipelineError(ValueError):
    """A text that is no pipeline; the message says where and what was likely meant."""


def summary(kind: type[Pass]) -> str:
    """What a pass does, in a line: the first of its module."""
    return (sys.modules[kind.__module__].__doc__ or "").partition("\n")[0]


def options(kind: type[Pass]) -> dict[str, int]:
    """The options of a pass, with their defaults."""
    assert is_dataclass(kind)
    return {field.name: field.default for field in fields(kind)}


def read_pipeline(text: str) -> tuple[Pass, ...]:
    """The passes of a text, in order. Raises PipelineError."""
    return tuple(_pass(name, given) for name, given in _items(text))


def _items(text: str) -> Iterator[tuple[str, str]]:
    position, more = 0, ","
    while more:
        found = _ITEM.match(text, position)
        if found is None:
            raise PipelineError(f"'{text[position:]}' is no NAME or NAME{{OPTION=VALUE,...}}")
        yield found[1], found[2] or ""
        position, more = found.end(), found[3]


def _pass(name: str, given: str) -> Pass:
    kind = PASSES.get(name)
    if kind is None:
        raise PipelineError(f"there is no pass '{name}'{_near(name, PASSES)}")
    known = options(kind)
    values: dict[str, int] = {}
    for part in given.split(",") if given.strip() else ():
        option, equals, value = (piece.strip() for piece in part.partition("="))
        if not (option and equals and value):
            raise PipelineError(f"{name}: '{part.strip()}' is not OPTION=VALUE")
        if option not in known:
            raise PipelineError(f"{name} has no option '{option}'{_near(option, known)}")
        if option in values:
            raise PipelineError(f"{name}: {option} is given twice")
        if not value.isdecimal():
            raise PipelineError(f"{name}: {option} is a number from 0 on, '{value}' is none")
        values[option] = int(value)
    return kind(**values)


def _near(name: str, candidates: Mapping[str, object]) -> str:
    """How an unknown name could go on: the closest known one, or all of them if they are few."""
    close = get_close_matches(name, candidates, 1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return "" if len(candidates) > 4 else f"; it has {', '.join(candidates) or 'none'}"
