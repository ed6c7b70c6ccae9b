"""Rule 1: no point of a variable is defined by two equations."""

from __future__ import annotations

from itertools import combinations

from rnnc.analysis.sets import are_disjoint, to_set
from rnnc.diagnostics import DiagnosticSink, Note, Span
from rnnc.frontend.rules import Defined, Part, Program
from rnnc.frontend.rules_text import (
    Extent,
    compact,
    definition_note,
    described,
    equation_text,
    index_texts,
    with_index,
)


def check_once(program: Program, sink: DiagnosticSink) -> None:
    for variable in program.variables:
        reported: set[tuple[Span, Span]] = set()
        for pair in combinations(variable.parts, 2):
            first, second = sorted(pair, key=lambda part: (part.target.line, part.target.column))
            if first.target == second.target:
                continue  # cases of one equation exclude each other
            if (first.target, second.target) in reported:
                continue
            if not are_disjoint(first.guard, second.guard, program.known):
                reported.add((first.target, second.target))
                _report(variable, first, second, program, sink)


def _report(
    variable: Defined, first: Part, second: Part, program: Program, sink: DiagnosticSink
) -> None:
    both = first.guard.restrict(*second.guard.bounds, *second.guard.constraints)
    shared = described(to_set(both, program.known), variable.box, program.sizes)
    sink.error(
        "RNN401",
        f"'{variable.name}' is defined twice{shared}",
        second.target,
        (Note(definition_note(first, variable, program), first.target),),
        _hints(variable, first, second, shared.extents),
    )


def _hints(
    variable: Defined, first: Part, second: Part, shared: tuple[Extent, ...]
) -> tuple[str, ...]:
    """How to write a state before the first step, or an exception at one end."""
    narrow = [
        position
        for position, extent in enumerate(shared)
        if not extent.is_whole and extent.lower is not None and extent.lower == extent.upper
    ]
    if len(narrow) != 1:
        return ()
    position = narrow[0]
    dim = variable.box.dims[position]
    target = position - (len(variable.box.dims) - len(index_texts(second.target.text)))
    if target < 0:
        return ()
    hints: list[str] = []
    point = shared[position].lower
    text = equation_text(second)
    if dim.lower is not None and point == dim.lower:
        if text:
            before = with_index(text, target, compact(dim.lower - 1))
            hints.append(f"the state before the first step is  {before}")
        limited = f"{dim.name} > {compact(dim.lower)}"
    elif dim.upper is not None and point == dim.upper - 1:
        if text:
            after = with_index(text, target, compact(dim.upper))
            hints.append(f"the state after the last step is  {after}")
        limited = f"{dim.name} < {compact(dim.upper - 1)}"
    else:
        return ()
    if first.equation is not None and index_texts(first.target.text)[target] == dim.name:
        changed = with_index(first.target.text, target, limited)
        hints.append(
            f"if {dim.name} = {compact(point)} is special, restrict the other equation:"
            f"  {changed} = ..."
        )
    return tuple(hints)
