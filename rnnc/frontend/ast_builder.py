"""Parse tree -> syntax tree: one method for each kind of grammar rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from lark import Token, Tree

from rnnc.diagnostics import Diagnostic, Source, Span
from rnnc.frontend import ast

# An absent optional part of a rule is None.
Child = Token | Tree[Token] | None

# Later stages walk expressions recursively; nobody writes what this forbids.
DEEPEST_EXPRESSION = 100

_BINARY = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "floordiv": "//",
    "mod": "%",
    "matmul": "@",
    "pow": "^",
    "and": "and",
    "or": "or",
}


class FormError(Exception):
    """A text that the grammar accepts and the language does not."""

    def __init__(self, code: str, message: str, span: Span, *hints: str) -> None:
        self.diagnostic = Diagnostic(code, message, span, hints=hints)
        super().__init__(message)


class AstBuilder:
    """Collects a file, one top-level statement at a time."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._docstring: str | None = None
        self._imports: list[ast.Import] = []
        self._definitions: list[ast.Definition] = []
        self._depth = 0

    def add(self, tree: Tree[Token], is_first: bool) -> None:
        """Add what the parse tree of a chunk holds. Raises FormError, and then adds nothing."""
        self._depth = 0
        for statement in _trees(tree.children):
            match statement.data:
                case "docstring":
                    if not is_first:
                        raise FormError(
                            "RNN101",
                            "a docstring stands first in a file, cell or model",
                            self._span(statement),
                            "a remark anywhere else is a comment:  # ...",
                        )
                    self._docstring = _docstring(statement)
                case "import":
                    self._imports.append(self._import(statement))
                case "model":
                    self._definitions.append(self._model(statement))
                case "function":
                    self._definitions.append(self._function(statement))
                case _:
                    self._definitions.append(self._cell(statement))

    def module(self, broken: tuple[str, ...]) -> ast.Module:
        """All that was added."""
        return ast.Module(
            self.source, self._docstring, tuple(self._imports), tuple(self._definitions), broken
        )

    # ---- definitions

    def _import(self, tree: Tree[Token]) -> ast.Import:
        path, *names = tree.children
        dotted = ".".join(str(part) for part in cast(Tree[Token], path).children)
        imported = tuple(self._name(name) for name in _tokens(names))
        return ast.Import(dotted, imported, self._span(tree))

    def _function(self, tree: Tree[Token]) -> ast.Cell:
        name, statics, arguments, expression = tree.children
        static_list = self._statics(statics)
        argument_list = self._declarations(arguments)
        body = self._expression(expression)
        span = body.span
        equation = ast.Equation(
            (ast.Target("", None, None, span, span),), (ast.Case(body, None, span),), False, span
        )
        return ast.Cell(
            name=str(name),
            statics=static_list,
            arguments=argument_list,
            results=(ast.Declaration("", None, None, None, span, span),),
            docstring=None,
            body=(equation,),
            is_function=True,
            name_span=self._span(name),
            span=self._span(tree),
        )

    def _cell(self, tree: Tree[Token]) -> ast.Cell:
        name, statics, arguments, results, body = tree.children
        # In source order, so that the first mistake is the one that is reported.
        static_list = self._statics(statics)
        argument_list = self._declarations(arguments)
        result_list = self._declarations(results)
        docstring, statements = self._body(body)
        return ast.Cell(
            name=str(name),
            statics=static_list,
            arguments=argument_list,
            results=result_list,
            docstring=docstring,
            body=statements,
            is_function=False,
            name_span=self._span(name),
            span=self._span(tree),
        )

    def _model(self, tree: Tree[Token]) -> ast.Model:
        name, statics, body = tree.children
        static_list = self._statics(statics)
        docstring, statements = self._body(body)
        return ast.Model(
            name=str(name),
            statics=static_list,
            docstring=docstring,
            body=statements,
            name_span=self._span(name),
            span=self._span(tree),
        )

    def _statics(self, tree: Child) -> tuple[ast.Static, ...]:
        return tuple(self._static(static) for static in _trees(_children(tree)))

    def _static(self, tree: Tree[Token]) -> ast.Static:
        name, default = tree.children
        return ast.Static(str(name), self._optional(default), self._span(tree))

    def _declarations(self, tree: Child) -> tuple[ast.Declaration, ...]:
        """As in Go, a bare name takes the type and the default of the next."""
        rows: list[ast.Declaration] = []
        kind: ast.Type | None = None
        default: ast.Expression | None = None
        for declaration in reversed(list(_trees(_children(tree)))):
            name, indices, own_kind, own_default = declaration.children
            if own_kind is not None or own_default is not None:
                kind = None if own_kind is None else self._type(own_kind)
                default = self._optional(own_default)
            rows.append(
                ast.Declaration(
                    str(name),
                    self._indices(indices),
                    kind,
                    default,
                    self._span(name),
                    self._span(declaration),
                )
            )
        return tuple(reversed(rows))

    # ---- statements

    def _body(self, tree: Child) -> tuple[str | None, tuple[ast.Statement, ...]]:
        docstring: str | None = None
        statements: list[ast.Statement] = []
        for statement in _trees(_children(tree)):
            if statement.data == "docstring":
                docstring = _docstring(statement)
            else:
                statements.append(self._statement(statement))
        return docstring, tuple(statements)

    def _statement(self, tree: Tree[Token]) -> ast.Statement:
        span = self._span(tree)
        match tree.data:
            case "dims":
                return ast.Dims(tuple(self._dim(dim) for dim in _trees(tree.children)), span)
            case "param":
                return ast.Params(self._declarations(tree.children[0]), span)
            case "input":
                return ast.Inputs(self._declarations(tree.children[0]), span)
            case "output":
                return self._equation(cast(Tree[Token], tree.children[0]), True)
            case _:
                return self._equation(tree, False)

    def _dim(self, tree: Tree[Token]) -> ast.Membership:
        name, bounds = tree.children
        return ast.Membership(self._name(name), self._range(bounds), self._span(tree))

    def _equation(self, tree: Tree[Token], is_output: bool) -> ast.Equation:
        first, *rest = _trees(tree.children)
        targets = tuple(self._target(target) for target in _trees(first.children))
        if tree.data == "equation":
            value = self._expression(rest[0])
            cases: tuple[ast.Case, ...] = (ast.Case(value, None, value.span),)
        else:
            cases = tuple(self._case(case) for case in rest)
            for case in cases[:-1]:
                if case.condition is None:
                    raise FormError(
                        "RNN101", "the cases below 'otherwise' are never reached", case.span
                    )
        return ast.Equation(targets, cases, is_output, self._span(tree))

    def _target(self, tree: Tree[Token]) -> ast.Target:
        name, indices, kind = tree.children
        return ast.Target(
            str(name),
            self._indices(indices),
            None if kind is None else self._type(kind),
            self._span(name),
            self._span(tree),
        )

    def _case(self, tree: Tree[Token]) -> ast.Case:
        value, *condition = tree.children
        return ast.Case(
            self._expression(value),
            self._expression(condition[0]) if condition else None,
            self._span(tree),
        )

    # ---- types

    def _type(self, tree: Child) -> ast.Type:
        assert isinstance(tree, Tree)
        span = self._span(tree)
        if tree.data == "state":
            word, cell = tree.children
            if word != "state":
                raise FormError(
                    "RNN101",
                    f"a type is a shape, a cell or 'state(...)', found '{word}(...)'",
                    span,
                    f"for a cell with statics write  {word}{{{cell}}}",
                )
            return ast.StateType(self._name(cell), span)
        if tree.data == "instance":
            name, arguments = tree.children
            return ast.CellType(self._name(name), self._static_arguments(arguments), span)
        dtype: str | None = None
        shape: tuple[ast.Expression, ...] | None = None
        bounds: ast.Range | None = None
        for part in _trees(tree.children):
            match part.data:
                case "dtype":
                    dtype = str(part.children[0])
                case "shape":
                    shape = self._expressions(part.children)
                case _:
                    bounds = self._range(part)
        return ast.TensorType(dtype, shape, bounds, span)

    # ---- expressions

    def _optional(self, tree: Child) -> ast.Expression | None:
        return None if tree is None else self._expression(tree)

    def _expressions(self, trees: Iterable[Child]) -> tuple[ast.Expression, ...]:
        return tuple(self._expression(tree) for tree in trees if tree is not None)

    def _indices(self, tree: Child) -> tuple[ast.Expression, ...] | None:
        return None if tree is None else self._expressions(_children(tree))

    def _expression(self, tree: Child) -> ast.Expression:
        assert isinstance(tree, Tree)
        self._depth += 1
        if self._depth > DEEPEST_EXPRESSION:
            raise FormError(
                "RNN108",
                f"this expression is more than {DEEPEST_EXPRESSION} operations deep",
                self._span(tree),
                "give parts of it names: equations of their own",
            )
        expression = self._node(tree)
        self._depth -= 1
        return expression

    def _node(self, tree: Tree[Token]) -> ast.Expression:
        span = self._span(tree)
        parts = tree.children
        match tree.data:
            case "name":
                return ast.Name(str(parts[0]), span)
            case "complex":
                return ast.Name("complex", span)
            case "number":
                return ast.Number(_number(str(parts[0])), str(parts[0]), span)
            case "true" | "false":
                return ast.Boolean(tree.data == "true", span)
            case "list":
                return ast.ListLiteral(self._expressions(parts), span)
            case "negate":
                return ast.Unary("-", self._expression(parts[0]), span)
            case "not":
                return ast.Unary("not", self._expression(parts[0]), span)
            case "comparison":
                operators = tuple(str(token) for token in _tokens(parts))
                return ast.Comparison(self._expressions(_trees(parts)), operators, span)
            case "member":
                return ast.Membership(self._expression(parts[0]), self._range(parts[1]), span)
            case "range":
                return self._range(tree)
            case "choose":
                value, condition, otherwise = self._expressions(parts)
                return ast.Conditional(value, condition, otherwise, span)
            case "at":
                base = self._expression(parts[0])
                return ast.Indexed(base, self._expressions(_children(parts[1])), span)
            case "with_statics":
                base = self._expression(parts[0])
                return ast.WithStatics(base, self._static_arguments(parts[1]), span)
            case "call":
                return ast.Call(self._expression(parts[0]), self._arguments(parts[1]), span)
            case "over":
                return self._reduction(tree)
            case "field":
                return ast.Field(self._expression(parts[0]), str(parts[1]), span)
            case _:
                left, right = self._expressions(parts)
                return ast.Binary(_BINARY[tree.data], left, right, span)

    def _range(self, tree: Child) -> ast.Range:
        lower, upper = _children(tree)
        return ast.Range(self._optional(lower), self._optional(upper), self._span(tree))

    def _arguments(self, tree: Child) -> tuple[ast.Argument, ...]:
        return tuple(self._argument(argument) for argument in _trees(_children(tree)))

    def _argument(self, tree: Tree[Token]) -> ast.Argument:
        span = self._span(tree)
        if tree.data == "named":
            name, value = tree.children
            return ast.Argument(self._expression(value), str(name), False, span)
        if tree.data == "splat":
            return ast.Argument(self._expression(tree.children[0]), None, True, span)
        return ast.Argument(self._expression(tree), None, False, span)

    def _static_arguments(self, tree: Child) -> tuple[ast.Argument, ...]:
        """`{H, act=relu}`: a bare name stands for itself."""
        arguments = self._arguments(tree)
        for argument in arguments:
            is_name = argument.name is not None or isinstance(argument.value, ast.Name)
            if argument.splat or not is_name:
                raise FormError(
                    "RNN101",
                    f"expected the name of a static, found '{argument.span.text}'",
                    argument.span,
                    "statics are given by name:  {H=...}, and {H} is short for {H=H}",
                )
        return arguments

    def _reduction(self, tree: Tree[Token]) -> ast.Reduction:
        function, patterns, body = tree.children
        arguments = self._arguments(patterns)
        for argument in arguments:
            if argument.splat or argument.name is not None:
                raise FormError(
                    "RNN101",
                    f"expected grid points before ':', found '{argument.span.text}'",
                    argument.span,
                    "a reduction names them:  sum(s: ...), sum(i < t: ...), sum(k in 0..K: ...)",
                )
        return ast.Reduction(
            self._expression(function),
            tuple(argument.value for argument in arguments),
            self._expression(body),
            self._span(tree),
        )

    # ---- places

    def _name(self, token: Child) -> ast.Name:
        return ast.Name(str(token), self._span(token))

    def _span(self, node: Child) -> Span:
        assert node is not None
        place = node.meta if isinstance(node, Tree) else node
        line, column = place.line or 1, place.column or 1
        return Span(self.source, line, column, place.end_line or line, place.end_column or column)


def _children(tree: Child) -> list[Child]:
    """The parts of a rule; none of an absent one. Lark's types leave the absent parts out."""
    return cast(list[Child], tree.children) if isinstance(tree, Tree) else []


def _trees(children: Iterable[Child]) -> Iterable[Tree[Token]]:
    return (child for child in children if isinstance(child, Tree))


def _tokens(children: Iterable[Child]) -> Iterable[Token]:
    return (child for child in children if isinstance(child, Token))


def _docstring(tree: Tree[Token]) -> str:
    """What stands between the quotes, with plain line ends."""
    text = str(tree.children[0]).replace("\r\n", "\n")
    return text[3:-3] if text.startswith('"""') else text[1:-1]


def _number(text: str) -> int | float | complex:
    if text.endswith("j"):
        return complex(text)
    return int(text) if text.isdecimal() else float(text)
