"""Names inside one definition: each is known, indices are bound, nothing means two things."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rnnc.diagnostics import DiagnosticSink, Note, Span
from rnnc.frontend import ast
from rnnc.frontend.builtins import BUILTINS, CONSTANTS
from rnnc.frontend.mentions import (
    children,
    declared_names,
    dims_of,
    mentioned_names,
    type_expressions,
)
from rnnc.frontend.modules import LoadedModule, closest
from rnnc.frontend.patterns import binder


@dataclass(slots=True)
class Bindings:
    """The names of one definition; `free` are those already reported for an equation."""

    module: LoadedModule
    definition: ast.Definition
    sink: DiagnosticSink
    known: set[str] = field(default_factory=set)
    dims: dict[str, Span] = field(default_factory=dict)
    free: set[str] = field(default_factory=set)
    reported: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    has_errors: bool = False

    def check(self) -> None:
        self._declare()
        self._check_ranks()
        self._check_static_defaults()
        for statement in self.definition.body:
            match statement:
                case ast.Dims(ranges):
                    for row in ranges:
                        self._walk(row.range, frozenset(), None)
                case ast.Params(declarations) | ast.Inputs(declarations):
                    for declaration in declarations:
                        self._declaration(declaration)
                        self._check_typed(declaration)
                case ast.Equation():
                    self._equation(statement)
        if isinstance(self.definition, ast.Cell):
            for declaration in (*self.definition.arguments, *self.definition.results):
                self._declaration(declaration)
            self._check_results(self.definition)
        if not self.has_errors:  # what is unused may be what an unknown name meant
            self._check_unused()

    def _declare(self) -> None:
        """Collects the names, and reports those that are declared twice."""
        kinds: dict[str, tuple[str, Span]] = {}
        self.doubled = set()
        for name, span, kind in declared_names(self.definition):
            if not name:
                continue
            before = kinds.setdefault(name, (kind, span))
            if before[1] is span or (before[0], kind) in _SHARED:
                continue
            self.doubled.add(name)
            self.sink.error(
                "RNN202",
                f"'{name}' is defined twice"
                if before[0] == kind
                else f"'{name}' is {before[0]} already, it cannot be {kind} as well",
                span,
                (Note("the first time is here", before[1]),),
            )
        rows = tuple(dims_of(self.definition))
        self.dims = {
            row.element.text: row.element.span for row in rows if isinstance(row.element, ast.Name)
        }
        self.known = set(kinds) - set(self.dims)
        # One unknown name that ends a dim declares a run-time extent.
        for upper in (row.range.upper for row in rows):
            if not isinstance(upper, ast.Name):
                continue
            self.known.add(upper.text)
            kind, span = kinds.get(upper.text, ("a static", upper.span))
            if kind != "a static":
                self.sink.error(
                    "RNN202",
                    f"'{upper.text}' is a run-time extent already, it cannot be {kind} as well",
                    span,
                    (Note("the first time is here", upper.span),),
                )

    def _check_static_defaults(self) -> None:
        """A default may use the statics before it."""
        everything = self.known
        self.known = set()
        for static in self.definition.statics:
            if static.default is not None:
                self._walk(static.default, frozenset(), None)
            self.known.add(static.name)
        self.known = everything

    def _check_ranks(self) -> None:
        """RNN205: a variable with different numbers of grid indices."""
        ranks: dict[str, tuple[int, Span]] = {}
        for name, span, rank in _indexed(self.definition):
            first, place = ranks.setdefault(name, (rank, span))
            if first != rank and name not in self.doubled:
                self.sink.error(
                    "RNN205",
                    f"'{name}' has {counted(first, 'grid index', 'grid indices')} elsewhere, "
                    f"{rank} here",
                    span,
                    (Note("it has them here", place),) if first else (),
                )

    def _check_results(self, cell: ast.Cell) -> None:
        """RNN209 and RNN310: results without an equation, or without a type."""
        defined = {
            target.name
            for statement in cell.body
            if isinstance(statement, ast.Equation)
            for target in statement.targets
        }
        arguments = {argument.name for argument in cell.arguments}
        for result in cell.results:
            if result.name not in defined:
                self.has_errors = True
                self.sink.error("RNN209", f"result '{result.name}' is never defined", result.span)
            elif (
                result.type is None
                and result.name
                and not (result.name.endswith("'") and result.name[:-1] in arguments)
            ):
                self.sink.error(
                    "RNN310",
                    f"result '{result.name}' has no type, and is not the next value of an argument",
                    result.span,
                    hints=(f"say its type:  {result.name}: [H]",),
                )

    def _check_typed(self, declaration: ast.Declaration) -> None:
        """RNN310: an input or parameter without type."""
        if declaration.type is None and declaration.default is None:
            written = declaration.span.text
            self.sink.error(
                "RNN310",
                f"'{declaration.name}' has no type",
                declaration.name_span,
                hints=(f"a vector:  {written}: [H]", f"a number:  {written}: real"),
            )

    def _check_unused(self) -> None:
        """RNN503: weights and values that nothing mentions."""
        used = {name for name, _ in mentioned_names(self.definition)}
        results: set[str] = set()
        if isinstance(self.definition, ast.Cell):
            results = {result.name for result in self.definition.results}
        for statement in self.definition.body:
            rows: Sequence[tuple[str, Span]] = ()
            kind = "value"
            if isinstance(statement, ast.Params | ast.Inputs):
                rows = [(d.name, d.name_span) for d in statement.declarations]
                kind = "parameter" if isinstance(statement, ast.Params) else "input"
            elif (
                isinstance(statement, ast.Equation)
                and not statement.is_output
                # Of several targets, some may be there for the others' sake.
                and not any(t.name in used or t.name in results for t in statement.targets)
            ):
                rows = [(t.name, t.name_span) for t in statement.targets]
            for name, span in rows:
                if name and name not in used and name not in results and name not in self._outputs:
                    self.sink.warning("RNN503", f"{kind} '{name}' is never read", span)
                    used.add(name)

    @property
    def _outputs(self) -> frozenset[str]:
        return frozenset(
            target.name
            for statement in self.definition.body
            if isinstance(statement, ast.Equation) and statement.is_output
            for target in statement.targets
        )

    # ---- walking ------------------------------------------------------------------------------

    def _declaration(self, declaration: ast.Declaration) -> None:
        bound = self._patterns(declaration.indices or (), frozenset(), None)
        match declaration.type:
            case ast.CellType(name):
                self._definition(name)
            case ast.StateType(cell):
                self._definition(cell)
        for expression in type_expressions(declaration.type):
            self._walk(expression, bound, None)
        if declaration.default is not None:
            self._walk(declaration.default, bound, None)

    def _definition(self, name: ast.Name) -> None:
        statics = {static.name for static in self.definition.statics}
        if name.text not in statics and self.module.find(name.text) is None:
            self._unknown(name, (*statics, *self.module.names), "cell")

    def _equation(self, equation: ast.Equation) -> None:
        self.free = set()
        bound: frozenset[str] = frozenset()
        for target in equation.targets:
            own = self._patterns(target.indices or (), frozenset(), equation)
            bound |= own
            for expression in type_expressions(target.type):
                self._walk(expression, own, equation)
        for case in equation.cases:
            self._walk(case.value, bound, equation, case.value)
            if case.condition is not None:
                self._walk(case.condition, bound, equation)

    def _patterns(
        self,
        nodes: Sequence[ast.Expression],
        bound: frozenset[str],
        equation: ast.Equation | None,
        *,
        shadow: bool = False,
    ) -> frozenset[str]:
        """What index patterns bind, plain names first."""
        fresh: set[str] = set()
        dims = tuple(self.dims)
        for node in sorted(nodes, key=lambda n: not isinstance(n, ast.Name)):
            name = binder(node, dims)
            if name is None or name in fresh or (name in bound and not shadow):
                self._walk(node, bound | fresh, equation)
                continue
            fresh.add(name)
            if isinstance(node, ast.Membership):
                self._walk(node.range, bound | fresh, equation)
            elif not isinstance(node, ast.Name):
                self._walk(node, bound | fresh, equation)
        return bound | fresh

    def _walk(
        self,
        node: ast.Expression,
        bound: frozenset[str],
        equation: ast.Equation | None,
        whole: ast.Expression | None = None,
        base: str = "",
    ) -> None:
        """`whole` is the right side, `base` the variable in whose index the node stands."""
        match node:
            case ast.Name():
                self._name(node, bound, equation, whole, base)
            case ast.Reduction(function, patterns, body):
                self._walk(function, bound, equation, whole, base)
                inner = self._patterns(patterns, bound, equation, shadow=True)
                self._walk(body, inner, equation, whole, base)
            case ast.Indexed(inner_base, indices):
                self._walk(inner_base, bound, equation, whole, base)
                name = inner_base.text if isinstance(inner_base, ast.Name) else base
                for index in indices:
                    self._walk(index, bound, equation, whole, name)
            case _:
                for child in children(node):
                    self._walk(child, bound, equation, whole, base)

    def _name(
        self,
        node: ast.Name,
        bound: frozenset[str],
        equation: ast.Equation | None,
        whole: ast.Expression | None,
        base: str,
    ) -> None:
        name = node.text
        if name in bound or name in self.known:
            return
        if name in self.dims:
            if name not in self.free:
                self._free(node, bound, equation, whole, base)
            self.free.add(name)
            return
        if self.module.find(name) is not None or name in BUILTINS or name in CONSTANTS:
            return
        candidates = (*sorted(self.known), *sorted(bound), *self.dims, *self.module.names)
        self._unknown(node, (*candidates, *sorted(BUILTINS), *CONSTANTS), "name")

    # ---- messages -----------------------------------------------------------------------------

    def _unknown(self, node: ast.Name, candidates: Sequence[str], kind: str) -> None:
        """RNN201, once for each name, with the likeliest of the candidates."""
        self.has_errors = True
        tree = self.module.tree
        imported = {name.text for statement in tree.imports for name in statement.names}
        if node.text in self.reported or node.text in imported or node.text in tree.broken:
            return
        self.reported.add(node.text)
        hint = self._new_value(node.text)
        if hint is None:
            like = closest(node.text, tuple(dict.fromkeys(candidates)))
            hint = None if like is None else f"did you mean '{like}'?"
        hints = () if hint is None else (hint,)
        self.sink.error("RNN201", f"unknown {kind} '{node.text}'", node.span, hints=hints)

    def _new_value(self, name: str) -> str | None:
        """Of `c_new` where the cell has an argument c: what its next value is called."""
        if not isinstance(self.definition, ast.Cell):
            return None
        for argument in self.definition.arguments:
            rest = name.removeprefix(argument.name)
            primed = argument.name + "'"
            if rest == name or primed not in self.known or rest not in _NEXT:
                continue
            lines = [
                target.span.line
                for statement in self.definition.body
                if isinstance(statement, ast.Equation)
                for target in statement.targets
                if target.name == primed
            ]
            line = f" (line {lines[0]})" if lines else ""
            return f"the new value of argument '{argument.name}' is called {primed} here{line}"
        return None

    def _free(
        self,
        node: ast.Name,
        bound: frozenset[str],
        equation: ast.Equation | None,
        whole: ast.Expression | None,
        base: str,
    ) -> None:
        """RNN203."""
        self.has_errors = True
        name = node.text
        left: list[str] = []
        if equation is not None:
            for index in equation.targets[0].indices or ():
                own = binder(index, tuple(self.dims))
                if own is not None and own in bound:
                    left.append(own)
        if equation is None:
            reason = "nothing binds it here"
        elif left:
            reason = f"the left side has {_listed(left)} only"
        else:
            reason = "the left side has no index"
        place = f"'{name}' is a dim of '{base}'" if base in self.known else f"'{name}' is a dim"
        hints: tuple[str, ...] = ()
        if whole is not None and whole.span.line == whole.span.end_line:
            hints = (f"to add up over it:  sum({name}: {whole.span.text})",)
        self.sink.error(
            "RNN203",
            f"index '{name}' is free: {reason}",
            node.span,
            (Note(place, self.dims[name]),),
            hints,
        )


# Endings by which people call the next value of a state.
_NEXT = ("_new", "_next", "_t", "_out", "_1", "1", "2", "new", "next", "_now")

# What may be declared more than once: parts of one thing, told apart by their indices.
_SHARED = {
    ("a parameter", "a parameter"),
    ("an input", "an input"),
    ("an input", "an equation"),
    ("an equation", "an equation"),
}


def _indexed(definition: ast.Definition) -> Iterator[tuple[str, Span, int]]:
    """Each declared or defined name with the number of its grid indices."""
    for statement in definition.body:
        match statement:
            case ast.Params(declarations) | ast.Inputs(declarations):
                for declaration in declarations:
                    yield declaration.name, declaration.name_span, len(declaration.indices or ())
            case ast.Equation(targets):
                for target in targets:
                    yield target.name, target.span, len(target.indices or ())


def counted(number: int, one: str, many: str = "") -> str:
    """`1 argument`, `2 arguments`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _listed(names: Iterable[str]) -> str:
    return " and ".join(", ".join(names).rsplit(", ", 1))
