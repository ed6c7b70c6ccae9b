"""Rule 3: no value needs itself, and some order serves all reads."""

from __future__ import annotations

import re

from rnnc.analysis.order import Reads, cycle_at_a_point, looks, step, stuck
from rnnc.analysis.sets import Assumptions, implies
from rnnc.analysis.variable_reads import VariableRead, variable_reads
from rnnc.diagnostics import DiagnosticSink, Note, Span
from rnnc.frontend.rules import Program, read_span
from rnnc.frontend.rules_text import compact, declared_parts, index_texts, with_index
from rnnc.ir.domain import Constraint
from rnnc.ir.graph import DataIndex, Node
from rnnc.ir.poly import Poly

_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def check_computable(program: Program, sink: DiagnosticSink) -> None:
    names = {node: variable.nodes[0] for node, variable in program.by_node.items()}
    distinct: dict[object, VariableRead] = {}  # a read that is written twice is one for the order
    bad = frozenset(names[node] for node, v in program.by_node.items() if v.is_bad)
    for read in _in_source_order(program, variable_reads(program.graph, names)):
        if bad & {read.reader, read.source}:
            continue
        distinct.setdefault((read.reader, read.source, read.points, read.access), read)
    for group in stuck(tuple(distinct.values()), program.known):
        _report_group(_Words(program), group, sink)


def _in_source_order(program: Program, reads: Reads) -> Reads:
    def place(read: VariableRead) -> tuple[int, int]:
        span = read_span(program, program.graph[read.at], read.read)
        return (span.line, span.column) if span else (0, 0)

    return tuple(sorted(reads, key=place))


def _report_group(words: _Words, group: Reads, sink: DiagnosticSink) -> None:
    known = words.program.known
    plain = tuple(read for read in group if not read.data)
    blocked = stuck(plain, known) if len(plain) < len(group) else (group,)
    for reads in blocked:
        _report_plain(words, reads, sink)
    if blocked:
        return
    folded: set[Span | None] = set()
    for read in group:
        declared = words.range_span(read) if read.data else None
        if not read.data or declared in folded or _looks_back(read, known):
            continue
        if stuck((*plain, read), known):
            folded.add(declared)
            _report_data(words, read, declared, sink)
    if not folded:  # no index is to blame, only what they meet
        _report_plain(words, group, sink)


def _looks_back(read: VariableRead, known: Assumptions) -> bool:
    """Whether a data-dependent index is always before the reader's own."""
    dim = read.source_dims[read.data[0]]
    before = Constraint(step(read, dim) - 1, ">=")
    return dim in read.reader_dims and implies(read.points, before, known)


def _report_plain(words: _Words, reads: Reads, sink: DiagnosticSink) -> None:
    order = [variable.nodes[0] for variable in words.program.variables if variable.nodes]
    cycle = cycle_at_a_point(reads, order, words.program.known)
    if cycle:
        _report_cycle(words, cycle, sink)
    else:
        _report_opposition(words, reads, sink)


class _Words:
    """How reads are called in messages."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def span(self, read: VariableRead) -> Span | None:
        return read_span(self.program, self.program.graph[read.at], read.read)

    def text(self, read: VariableRead) -> str:
        span = self.span(read)
        return span.text if span else self.name(read.source)

    def name(self, variable: str) -> str:
        return self.program.by_node[variable].name

    def target(self, read: VariableRead) -> str:
        """The left side of the equation that makes the read."""
        span = self.program.graph[read.merge].operands[read.case].span
        return span.text if span else self.name(read.reader)

    def one_step_back(self, read: VariableRead) -> str:
        """The read with its last run-time index (or else its last one) a step back."""
        text = self.text(read)
        indices = index_texts(text)
        lead = len(read.source_dims) - len(indices)
        node = self.program.graph[read.read.source]
        free = [
            place
            for place, index in enumerate(indices)
            if index in read.points.names or index == node.domain.names[place + lead]
        ]
        if not free:
            return ""
        running = [place for place in free if not node.domain.dims[place + lead].static]
        place = (running or free)[-1]
        changed = with_index(text, place, f"{indices[place]}-1")
        product = self.program.graph[read.at]
        if product.op.name == "matmul" and product.spans:
            whole = product.spans[0]
            if whole.line == whole.end_line and whole.text.count(text) == 1:
                return whole.text.replace(text, changed)
        return changed

    # ---- data-dependent indices ---------------------------------------------------------------

    def index_node(self, read: VariableRead) -> Node:
        """The node whose value is the (first) data-dependent index."""
        node = self.program.graph[read.at]
        index = read.read.access[read.data[0]]
        assert isinstance(index, DataIndex)
        return self.program.graph[node.operands[index.operand].source]

    def range_span(self, read: VariableRead) -> Span | None:
        """Where the range of the index is declared: its type, on the line of its name."""
        node = self.index_node(read)
        if not node.spans:
            return None
        name = node.spans[0]
        line = name.source.line(name.line)
        match = re.compile(r"\bint\b(\[[^\]]*\])?\s+in\s+[^,=#]*[^,=#\s]").search(
            line, name.column - 1
        )
        if match is None:
            return name
        return Span(name.source, name.line, match.start() + 1, name.line, match.end() + 1)


def _report_cycle(words: _Words, cycle: Reads, sink: DiagnosticSink) -> None:
    first, *others = cycle
    start = words.target(first)
    chain = " <- ".join([start, *(words.text(read) for read in cycle)])
    notes = []
    holder = words.text(first)
    for read in others:
        span = words.span(read)
        if span is not None:
            notes.append(Note(f"{holder} reads {words.text(read)} here", span))
        holder = words.text(read)
    which = (
        "the read"
        if not others
        else f"one of the {_COUNTS[len(cycle)] if len(cycle) < len(_COUNTS) else len(cycle)} reads"
    )
    example = words.one_step_back(first)
    hints = [f"{which} must look back, for example  {example}"] if example else []
    sink.error(
        "RNN403",
        f"'{words.name(first.reader)}' needs itself at the same point: {chain}",
        words.span(first),
        notes,
        hints,
    )


def _report_opposition(words: _Words, group: Reads, sink: DiagnosticSink) -> None:
    dim, first, second = _opposite(group, words)
    target, name = words.target(first), words.name(first.reader)
    hints = []
    if dim:
        hints.append(
            f"a bidirectional network has two variables, f[{dim}] from f[{dim}-1]"
            f" and b[{dim}] from b[{dim}+1]"
        )
    if words.span(first) == words.span(second):
        message = f"{target} waits for {words.text(first)} on both sides"
        sink.error("RNN404", f"no order computes '{name}': {message}", words.span(first), (), hints)
        return
    message = f"{target} waits for {words.text(first)} and for {words.text(second)}"
    if words.target(second) != target:
        message = (
            f"{target} waits for {words.text(first)}, "
            f"and {words.target(second)} for {words.text(second)}"
        )
    span = words.span(second)
    notes = [Note("the other direction is read here", span)] if span else []
    sink.error("RNN404", f"no order computes '{name}': {message}", words.span(first), notes, hints)


def _opposite(group: Reads, words: _Words) -> tuple[str, VariableRead, VariableRead]:
    """A dim along which two reads look in opposite directions, and these."""
    known = words.program.known
    for dim in dict.fromkeys(name for read in group for name in read.reader_dims):
        both = [r for r in group if dim in r.reader_dims and dim in r.source_dims]
        back = next((read for read in both if looks(read, dim, 1, known)), None)
        forward = next((read for read in both if looks(read, dim, -1, known)), None)
        if back is not None and forward is not None:
            first, second = sorted((back, forward), key=group.index)
            return dim, first, second
    return "", group[0], group[-1]


def _report_data(
    words: _Words, read: VariableRead, declared: Span | None, sink: DiagnosticSink
) -> None:
    text = words.text(read)
    index = read.read.access[read.data[0]]
    assert isinstance(index, DataIndex)
    indices = index_texts(text)
    place = read.data[0] - (len(read.source_dims) - len(indices))
    what = indices[place] if 0 <= place < len(indices) else words.index_node(read).id
    lower, upper = compact(index.lower), compact(index.upper)
    notes, hints = [], []
    if declared is not None:
        notes.append(Note("the range is declared here", declared))
        names = declared_parts(declared.source.line(declared.line), declared.column) or what
        own = read.source_dims[read.data[0]]
        if own in read.reader_dims and index.upper != Poly.of(own):
            shape = declared.text.partition(" in ")[0]
            fixed = f"{names}: {shape} in {lower}..{own}"
            hints.append(f"if children come before parents, say so:  {fixed}")
    sink.error(
        "RNN405",
        f"'{text}' may read the point itself or a later one: {what} can be any of {lower}..{upper}",
        words.span(read),
        notes,
        hints,
    )
