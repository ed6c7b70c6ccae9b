"""A cell by itself: its arguments become inputs, its results outputs, at one point of no grid."""

from __future__ import annotations

from collections.abc import Mapping

from rnnc.diagnostics import DiagnosticSink
from rnnc.frontend import ast
from rnnc.frontend.calls import enter, results
from rnnc.frontend.context import Context, Session
from rnnc.frontend.emit import Emitter
from rnnc.frontend.expressions import evaluate
from rnnc.frontend.finish import finish
from rnnc.frontend.inference import report_inexact, with_numbers
from rnnc.frontend.lookup import local
from rnnc.frontend.modules import Library, LoadedModule
from rnnc.frontend.scope import CellScope
from rnnc.frontend.sizes import Sizes
from rnnc.frontend.statics import StaticValue, top_statics
from rnnc.frontend.tensors import as_tensor
from rnnc.frontend.types import declared_type
from rnnc.frontend.values import BAD, UNKNOWN, Number, Place, Record, Tensor, Value
from rnnc.frontend.weights import weight
from rnnc.ir.domain import Domain
from rnnc.ir.graph import Builder, Graph, Operand, Output
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType


def elaborate_cell(
    cell: ast.Cell,
    module: LoadedModule,
    library: Library,
    given: Mapping[str, StaticValue],
    found: DiagnosticSink,
    *,
    checking: bool = False,
) -> Graph | None:
    """The recurrence IR of one application of a cell, or None if there are errors.

    Results whose type depends on an argument that may have any type are left out.
    """

    def attempt(numbers: Mapping[str, int], sink: DiagnosticSink) -> Graph | None:
        return _attempt(cell, module, library, given, numbers, sink)

    return with_numbers(attempt, found, checking=checking)


def _attempt(
    cell: ast.Cell,
    module: LoadedModule,
    library: Library,
    given: Mapping[str, StaticValue],
    numbers: Mapping[str, int],
    found: DiagnosticSink,
) -> Graph | None:
    builder = Builder(cell.name)
    session = Session(library, Sizes(), Emitter(builder), found, evaluate, last=True)
    scope = CellScope(session, cell, module, {}, Place(), "", (cell,))
    top_statics(scope, given, numbers)
    enter(scope)
    base = Context(session, scope, Domain(), {}, "")
    formal: dict[str, TensorType] = {}
    for argument in cell.arguments:
        scope.arguments[argument.name] = _argument(argument, formal, base)
    value = results(scope, formal, base)
    for name in scope.locals:  # those that no result needs as well
        local(name, scope, base)
    for name in scope.params:
        weight(name, scope, base)
    report_inexact(session)
    if found.has_errors:
        return None
    builder.graph.sizes = session.sizes.table()
    return finish(builder.finish(_outputs(value, cell, base)), session)


def _argument(argument: ast.Declaration, formal: dict[str, TensorType], base: Context) -> Value:
    """An argument as an input; one without type or default may be anything."""
    session = base.session
    if argument.default is not None and argument.type is None:
        # Whether it is a number or something else, only a call can tell.
        session.generic = True
        base.evaluate(argument.default)
        return UNKNOWN
    if not isinstance(argument.type, ast.TensorType):
        session.generic = True
        return UNKNOWN
    type = declared_type(argument.type, base)
    if not isinstance(type, TensorType):
        return BAD
    formal[argument.name] = type
    default: int | float | complex | None = None
    if argument.default is not None:
        value = base.evaluate(argument.default)
        if isinstance(value, Number):
            default = value.value.constant if isinstance(value.value, Poly) else value.value
    node = session.emitter.input(argument.name, default, Domain(), type, argument.name_span)
    return Tensor(type, Operand(node, span=argument.span))


def _outputs(value: Value, cell: ast.Cell, base: Context) -> tuple[Output, ...]:
    fields = value.fields if isinstance(value, Record) else {cell.name: value}
    found: list[Output] = []
    for name, part in fields.items():
        tensor = as_tensor(part, base, cell.name_span)
        if isinstance(tensor, Tensor):
            found.append(Output(name, tensor.read.source, Domain()))
    return tuple(found)
