"""Text -> syntax tree: what is written is what stands in the tree, with its place."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, is_dataclass

import pytest

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from tests.frontend.mutation import LIBRARY, parsed


def shown(node: ast.Expression | ast.Type) -> str:
    """A tree as a text with all its brackets, so that grouping can be read off."""
    match node:
        case ast.Name(text) | ast.Number(_, text):
            return text
        case ast.Boolean(value):
            return str(value).lower()
        case ast.ListLiteral(items):
            return f"[{', '.join(map(shown, items))}]"
        case ast.Unary(operator, operand):
            return f"({operator} {shown(operand)})"
        case ast.Binary(operator, left, right):
            return f"({shown(left)} {operator} {shown(right)})"
        case ast.Comparison(operands, operators):
            rest = zip(operators, operands[1:], strict=True)
            return f"({shown(operands[0])}{''.join(f' {o} {shown(x)}' for o, x in rest)})"
        case ast.Membership(element, bounds):
            return f"({shown(element)} in {shown(bounds)})"
        case ast.Range(lower, upper):
            return f"{shown(lower) if lower else ''}..{shown(upper) if upper else ''}"
        case ast.Conditional(value, condition, otherwise):
            return f"({shown(value)} if {shown(condition)} else {shown(otherwise)})"
        case ast.Indexed(base, indices):
            return f"{shown(base)}[{', '.join(map(shown, indices))}]"
        case ast.WithStatics(base, arguments):
            return f"{shown(base)}{{{', '.join(map(argument, arguments))}}}"
        case ast.Call(function, arguments):
            return f"{shown(function)}({', '.join(map(argument, arguments))})"
        case ast.Reduction(function, patterns, body):
            return f"{shown(function)}({', '.join(map(shown, patterns))}: {shown(body)})"
        case ast.Field(base, name):
            return f"{shown(base)}.{name}"
        case ast.TensorType(dtype, shape, bounds):
            text = (dtype or "") + (
                f"[{', '.join(map(shown, shape))}]" if shape is not None else ""
            )
            return f"{text} in {shown(bounds)}" if bounds else text
        case ast.CellType(name, arguments):
            return f"{name.text}{{{', '.join(map(argument, arguments))}}}"
        case ast.StateType(cell):
            return f"state({cell.text})"


def argument(node: ast.Argument) -> str:
    start = "*" if node.splat else f"{node.name}=" if node.name else ""
    return start + shown(node.value)


def expression(text: str) -> ast.Expression:
    (definition,) = parsed(f"cell f(x) = {text}\n").definitions
    (statement,) = definition.body
    assert isinstance(statement, ast.Equation)
    return statement.cases[0].value


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("f * W @ x", "(f * (W @ x))"),
        ("W @ x @ y", "((W @ x) @ y)"),
        ("-x ^ -y ^ 2", "(- (x ^ (- (y ^ 2))))"),
        ("-W @ x", "((- W) @ x)"),
        ("a - b - c * d // e % f", "((a - b) - (((c * d) // e) % f))"),
        ("not a < b <= c and d or e", "(((not (a < b <= c)) and d) or e)"),
        ("a if p else b if q else c", "(a if p else (b if q else c))"),
        ("x + 1 in 0..n + 1", "((x + 1) in 0..(n + 1))"),
        ("a[t-1, ..0, k in 2..][d].h(x)", "a[(t - 1), ..0, (k in 2..)][d].h(x)"),
        ("lstm{H, act=relu,}[l](x, *s[t], h=1,)", "lstm{H, act=relu}[l](x, *s[t], h=1)"),
        ("sum(i < j <= t, k: a[i] * 2)", "sum((i < j <= t), k: (a[i] * 2))"),
        ("complex(1e-5, 2j) + [true, []]", "(complex(1e-5, 2j) + [true, []])"),
        ("(a + b) * c'", "((a + b) * c')"),
        ("λ + b", "(λ + b)"),
    ],
)
def test_grouping(text: str, grouped: str) -> None:
    assert shown(expression(text)) == grouped


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("0.5", 0.5), ("1e3", 1000.0), ("2j", 2j), ("007", 7)]
)
def test_numbers(text: str, value: complex) -> None:
    number = expression(text)
    assert isinstance(number, ast.Number)
    assert (number.value, type(number.value), number.text) == (value, type(value), text)


MODEL = '''\
"The file."

from lstm import lstm, projected_lstm
from a.b import c

model m{X, L = 4, unit = lstm}:
    """Two
    lines."""
    dim l in 0..L, t in 0..T
    input x[t]: [X], left[t], right[t]: int in -1..t
    param W, U: [H, H], b: [H] = 0, v, s0[l]: state(unit)
    param fwd: unit{H}
    output h[l, t], c[l, t]: [H] = f(x[t])
    g[t > 0] =
        1    if t % 2 == 0
        0    otherwise
'''


def test_a_file() -> None:
    module = parsed(MODEL)
    (model,) = module.definitions
    assert isinstance(model, ast.Model)
    assert module.docstring == "The file."
    assert [(i.path, [n.text for n in i.names]) for i in module.imports] == [
        ("lstm", ["lstm", "projected_lstm"]),
        ("a.b", ["c"]),
    ]
    assert model.docstring == "Two\n    lines."
    assert [(s.name, s.default and shown(s.default)) for s in model.statics] == [
        ("X", None),
        ("L", "4"),
        ("unit", "lstm"),
    ]
    dims, inputs, params, cells, output, cases = model.body
    assert isinstance(dims, ast.Dims)
    assert [shown(d) for d in dims.ranges] == ["(l in 0..L)", "(t in 0..T)"]
    assert isinstance(inputs, ast.Inputs)
    assert isinstance(params, ast.Params)
    assert isinstance(cells, ast.Params)
    assert isinstance(output, ast.Equation)
    assert isinstance(cases, ast.Equation)
    assert output.is_output
    assert [t.name for t in output.targets] == ["h", "c"]
    assert [t.type and shown(t.type) for t in output.targets] == [None, "[H]"]
    assert [(shown(c.value), c.condition and shown(c.condition)) for c in cases.cases] == [
        ("1", "((t % 2) == 0)"),
        ("0", None),
    ]


def rows(declarations: tuple[ast.Declaration, ...]) -> list[str]:
    found = []
    for d in declarations:
        indices = f"[{', '.join(map(shown, d.indices))}]" if d.indices is not None else ""
        default = f" = {shown(d.default)}" if d.default else ""
        found.append(f"{d.name}{indices}: {shown(d.type) if d.type else None}{default}")
    return found


def test_a_bare_name_takes_the_type_and_the_default_of_the_next() -> None:
    _, inputs, params, cells, *_ = parsed(MODEL).definitions[0].body
    assert isinstance(inputs, ast.Inputs)
    assert isinstance(params, ast.Params)
    assert isinstance(cells, ast.Params)
    assert rows(inputs.declarations) == [
        "x[t]: [X]",
        "left[t]: int in (- 1)..t",
        "right[t]: int in (- 1)..t",
    ]
    assert rows(params.declarations) == [
        "W: [H, H]",
        "U: [H, H]",
        "b: [H] = 0",
        "v: state(unit)",
        "s0[l]: state(unit)",
    ]
    assert rows(cells.declarations) == ["fwd: unit{H}"]


def test_a_function_is_a_cell_with_one_nameless_result() -> None:
    (cell,) = parsed("cell f{N = 2}(x, y: [N] = 0) = x + y\n").definitions
    assert isinstance(cell, ast.Cell)
    assert cell.is_function
    assert [r.name for r in cell.results] == [""]
    (equation,) = cell.body
    assert isinstance(equation, ast.Equation)
    assert [t.name for t in equation.targets] == [""]
    assert rows(cell.arguments) == ["x: [N] = 0", "y: [N] = 0"]


def place(span: Span) -> tuple[int, int, int, int]:
    return span.line, span.column, span.end_line, span.end_column


def test_places() -> None:
    text = (
        "cell lstm{X, H}(x: [X], h, c: [H]) -> (h', c'):\n"
        "    h' = (W @ x) * f(  # why\n"
        "        x[1], y,\n"
        "    )  # after\n"
        "\n"
        "# a remark\n"
    )
    (cell,) = parsed(text).definitions
    assert isinstance(cell, ast.Cell)
    assert place(cell.span) == (1, 1, 4, 6)
    assert cell.name_span.text == "lstm"
    assert [d.span.text for d in cell.arguments] == ["x: [X]", "h", "c: [H]"]
    assert [d.name_span.text for d in cell.results] == ["h'", "c'"]
    (equation,) = cell.body
    assert isinstance(equation, ast.Equation)
    assert place(equation.span) == (2, 5, 4, 6)
    assert equation.targets[0].span.text == "h'"
    product = equation.cases[0].value
    assert isinstance(product, ast.Binary)
    assert place(product.span) == (2, 10, 4, 6)
    assert isinstance(product.right, ast.Call)
    assert place(product.right.span) == (2, 20, 4, 6)
    assert [place(a.span) for a in product.right.arguments] == [(3, 9, 3, 13), (3, 15, 3, 16)]
    assert product.left.span.text == "W @ x"


def test_every_place_holds_what_stands_there() -> None:
    """A name's span is the name, wherever in the library it stands."""
    names = 0

    def walk(node: object) -> None:
        nonlocal names
        if isinstance(node, ast.Name):
            assert node.span.text == node.text
            names += 1
        if isinstance(node, tuple):
            for part in node:
                walk(part)
        elif is_dataclass(node) and type(node).__module__ == ast.__name__:
            for field in fields(node):
                walk(getattr(node, field.name))

    for text in LIBRARY.values():
        walk(parsed(text))
    assert names > len(LIBRARY)


@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_parses(name: str) -> None:
    module = parsed(LIBRARY[name])
    assert module.definitions
    assert all(d.docstring for d in module.definitions if not is_function(d))


def is_function(definition: ast.Definition) -> bool:
    return isinstance(definition, ast.Cell) and definition.is_function


@pytest.mark.parametrize("text", ["", "\n \n", "# only a remark", "\ufeff", '"doc"', "\r\n\r\n"])
def test_a_file_may_be_empty(text: str) -> None:
    assert parsed(text).definitions == ()


def test_the_grammar_has_no_conflicts() -> None:
    """Lark resolves shift/reduce conflicts silently unless it is asked to be strict."""
    probe = (
        "from importlib.resources import files\n"
        "import logging, lark\n"
        "lark.logger.setLevel(logging.DEBUG)\n"
        "text = files('rnnc.grammar').joinpath('rnn.lark').read_text('utf-8')\n"
        "lark.Lark(text, parser='lalr', debug=True)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert "onflict" not in result.stderr


def test_parsing_starts_fast() -> None:
    """The grammar's tables are made anew in every process: the best of five in less than 120 ms."""
    probe = (
        "import time, lark\n"
        "from rnnc.diagnostics import DiagnosticSink, Source\n"
        "from rnnc.frontend.parser import parse\n"
        "start = time.perf_counter()\n"
        "parse(Source('a.rnn', 'cell f(x) = x + 1\\n'), DiagnosticSink())\n"
        "print(time.perf_counter() - start)\n"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    assert min(times) < 0.12
