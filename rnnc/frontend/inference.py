"""Elaboration of one model: rounds that infer types, then one that emits nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rnnc.analysis.sets import are_disjoint
from rnnc.diagnostics import DiagnosticSink
from rnnc.frontend import ast
from rnnc.frontend.context import Context, Session
from rnnc.frontend.emit import Emitter
from rnnc.frontend.equations import evaluate_equation, hull, merge_variable
from rnnc.frontend.expressions import evaluate
from rnnc.frontend.finish import finish
from rnnc.frontend.inputs import declare_inputs
from rnnc.frontend.lookup import instance_at
from rnnc.frontend.model_scope import declare_dims, declare_names
from rnnc.frontend.modules import Library, LoadedModule
from rnnc.frontend.rules import check_rules
from rnnc.frontend.scope import ModelScope
from rnnc.frontend.sizes import REPRESENTATIVE, NumberNeeded, Sizes
from rnnc.frontend.statics import StaticValue, top_statics
from rnnc.frontend.tensors import type_text
from rnnc.frontend.values import Place
from rnnc.frontend.variables import Group, Variable
from rnnc.frontend.weights import weight
from rnnc.ir.domain import Domain
from rnnc.ir.graph import Builder, Graph, Output

# Types that feed each other settle in a few rounds; more would mean that they never do.
MOST_ROUNDS = 24


def elaborate_model(
    model: ast.Model,
    module: LoadedModule,
    library: Library,
    given: Mapping[str, StaticValue],
    found: DiagnosticSink,
    *,
    checking: bool = False,
) -> Graph | None:
    """The recurrence IR of a model, or None if there are errors.

    Sizes stay symbols in shapes, whether `given` or not. Where a number is needed and none is
    given, `checking` takes a small representative; otherwise that is an error.
    """

    def attempt(numbers: Mapping[str, int], sink: DiagnosticSink) -> Graph | None:
        return _Attempt(model, module, library, given, numbers, sink).run()

    return with_numbers(attempt, found, checking=checking)


def with_numbers(
    attempt: Callable[[Mapping[str, int], DiagnosticSink], Graph | None],
    found: DiagnosticSink,
    *,
    checking: bool,
) -> Graph | None:
    """Runs the attempt again with every size that it turns out to need as a number."""
    numbers: dict[str, int] = {}
    while True:
        sink = DiagnosticSink()
        try:
            graph = attempt(numbers, sink)
        except NumberNeeded as needed:
            if needed.limit and needed.limit < numbers.get(needed.size, 0):
                numbers[needed.size] = needed.limit  # a static list is shorter than the guess
                continue
            if needed.size in numbers or needed.size.startswith("?"):
                # A size of a called definition, which nothing has told yet.
                size = needed.size.lstrip("?")
                found.error(
                    "RNN303",
                    f"the size {size} must be known here",
                    needed.span,
                    hints=(f"pass it to what is called:  {{{size}=...}}",),
                )
                return None
            numbers[needed.size] = min(REPRESENTATIVE, needed.limit or REPRESENTATIVE)
            if not checking:
                found.error(
                    "RNN304",
                    f"the size {needed.size} must be known here",
                    needed.span,
                    hints=(f"give it:  -D {needed.size}=...",),
                )
            continue
        for diagnostic in sink.found:
            found.report(diagnostic)
        return None if found.has_errors else graph


def report_inexact(session: Session) -> None:
    """RNN308: `N = H // C` where C does not divide H."""
    for quotient, above, below in session.sizes.inexact():
        session.error(
            "RNN308",
            f"{quotient.name} = {quotient.numerator} // {quotient.denominator} is not exact: "
            f"{above} is no multiple of {below}",
            quotient.span,
        )


class _Attempt:
    """One run with the numbers that are known to be needed."""

    def __init__(
        self,
        model: ast.Model,
        module: LoadedModule,
        library: Library,
        given: Mapping[str, StaticValue],
        numbers: Mapping[str, int],
        found: DiagnosticSink,
    ) -> None:
        self.found = found
        self.session = Session(library, Sizes(), Emitter(), self.found, evaluate)
        self.session.prepare = self._prepare
        self.scope = ModelScope(self.session, model, module, {}, Place(), "", (model,))
        self.session.last = True  # what is wrong with statics and dims is seen once
        top_statics(self.scope, given, numbers)
        declare_dims(self.scope, solved=False)
        declare_names(self.scope)
        self.session.last = False

    def run(self) -> Graph | None:
        for guessing in (False, True):
            self.session.guessing = guessing
            for _ in range(MOST_ROUNDS):
                if not self._round():
                    break
            if all(self._is_known(scope) for scope in self.session.models):
                break
        return self._emit()

    def _is_known(self, scope: ModelScope) -> bool:
        return all(
            variable.groups and all(g.type for groups in variable.groups.values() for g in groups)
            for variable in scope.variables.values()
        )

    def _round(self) -> bool:
        """One pass over all equations; whether a type has changed."""
        session = self.session
        session.models = []
        session.enter(self.scope)
        changed = False
        position = 0
        while position < len(session.models):  # calls add models at the end
            changed |= self._evaluate(session.models[position])
            position += 1
        return changed

    def _evaluate(self, scope: ModelScope) -> bool:
        changed = False
        for name in scope.instances:
            base = Context(scope.session, scope, scope.outer, {}, scope.id(name))
            instance_at(name, (), base)
        for equation in scope.equations:
            changed |= evaluate_equation(equation, scope)
        return changed

    # ---- the last round -----------------------------------------------------------------------

    def _emit(self) -> Graph | None:
        session = self.session
        session.last = True
        session.emitter = Emitter(Builder(self.scope.definition.name))
        self._round()
        for scope in session.models:
            for variable in scope.variables.values():
                merge_variable(variable, scope)
            self._declared_weights(scope)
        for scope in session.models:
            for variable in scope.variables.values():
                self._complain(variable, scope)
        outputs = self._outputs()
        report_inexact(session)
        builder = session.emitter.builder
        assert builder is not None
        builder.graph.sizes = session.sizes.table()
        graph = builder.finish(outputs)
        variables = [v for scope in session.models for v in scope.variables.values()]
        variables += session.hidden
        if not any(variable.is_partial for variable in variables):
            check_rules(graph, variables, self.found)
        return None if self.found.has_errors else finish(graph, session)

    def _prepare(self, scope: ModelScope) -> None:
        """Inputs get their types; in the last round, nodes get their ids."""
        session = self.session
        for variable in scope.variables.values():
            # A guess of an earlier round may have been wrong.
            variable.is_bad = variable.is_partial = False
        if session.last:
            scope.weights.clear()
            scope.uses.clear()
        if scope is self.scope:
            declare_inputs(scope)
        if not session.last:
            return
        for variable in scope.variables.values():
            for name, groups in variable.groups.items():
                base = variable.node_id(name)
                hint = f"{base}.all" if variable.kind == "input" else base
                order = sorted(groups, key=variable.is_side)
                ids = {id(group): session.emitter.reserve(hint) for group in order}
                variable.groups[name] = tuple(
                    Group(group.atoms, group.type, ids[id(group)]) for group in groups
                )

    def _complain(self, variable: Variable, scope: ModelScope) -> None:
        """A variable whose type nothing tells."""
        unknown = not variable.groups or any(
            group.type is None for groups in variable.groups.values() for group in groups
        )
        if not unknown and not variable.is_bad:
            return
        known = not self.session.has_unknown and not self.found.has_errors
        if known and variable.pieces:
            scope.session.error(
                "RNN310",
                f"cannot tell the type of '{variable.name}': it is defined by itself only",
                variable.span,
                hints=(f"say it:  {variable.pieces[0].span.text}: [H] = ...",),
            )
        variable.is_bad = True

    def _declared_weights(self, scope: ModelScope) -> None:
        """Types of params that nothing reads are checked, too."""
        base = Context(scope.session, scope, Domain(), {}, "")
        for name in scope.params:
            weight(name, scope, base)

    def _outputs(self) -> tuple[Output, ...]:
        outputs: list[Output] = []
        for variable in self.scope.variables.values():
            if not variable.is_output or variable.is_bad:
                continue
            box = variable.box
            if any(dim.lower is None for dim in variable.dims):
                box = hull(variable, [piece.guard for piece in variable.pieces])
            for name, groups in variable.groups.items():
                group = self._exported(variable, groups, box)
                if group is not None:
                    outputs.append(Output(variable.node_id(name), group.node, box))
        return tuple(outputs)

    def _exported(self, variable: Variable, groups: tuple[Group, ...], box: Domain) -> Group | None:
        known = self.session.sizes.known
        met = [
            group
            for group in groups
            if any(not are_disjoint(box, atom, known) for atom in group.atoms)
        ]
        if len(met) > 1:
            texts = [type_text(g.type, self.session.sizes) for g in met if g.type is not None]
            self.session.error(
                "RNN306",
                f"output '{variable.name}' is {' and '.join(texts)} at different points",
                variable.span,
            )
            return None
        return met[0] if met else None
