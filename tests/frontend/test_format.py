"""`rnnc fmt`: the canonical layout, the same meaning, every comment."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnc.diagnostics import DiagnosticSink, Source
from rnnc.frontend import format_lines
from rnnc.frontend.format import format_source
from tests.frontend.mutation import LIBRARY, meaning, scramble


def formatted(text: str) -> str:
    sink = DiagnosticSink()
    result = format_source(Source("a.rnn", text), sink)
    sink.raise_errors()
    assert result is not None
    return result


def check(text: str, expected: str) -> None:
    assert formatted(text) == expected
    assert formatted(expected) == expected


@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_is_canonical(name: str) -> None:
    assert formatted(LIBRARY[name]) == LIBRARY[name]


def test_a_text_with_errors_is_left_alone() -> None:
    sink = DiagnosticSink()
    assert format_source(Source("a.rnn", "cell f(x) = x +\n"), sink) is None
    assert [d.code for d in sink.found] == ["RNN101"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x+1*y@z/2//3%4^5", "x + 1 * y @ z / 2 // 3 % 4 ^ 5"),
        ("- x ^ - y", "-x ^ -y"),
        ("h [ t - 1 , l+1 ]", "h[t-1, l+1]"),
        ("h[t-2^l,j-1+2*v,(i-j)%N]", "h[t - 2^l, j - 1 + 2*v, (i-j)%N]"),
        ("f ( *s , h = x+1 )", "f(*s, h=x + 1)"),
        ("lstm { H = 2 * K , act } [ l ] ( x )", "lstm{H=2*K, act}[l](x)"),
        ("h[ f( a+b ) ]", "h[f(a + b)]"),
        ("sum(i<j<=t - 1,k in - 1 .. n+1:a+ b)", "sum(i < j <= t-1, k in -1..n+1: a + b)"),
        ("[ 1 , N*H , a+b*c ]", "[1, N*H, a + b*c]"),
        ("(a+b)*c", "(a + b) * c"),
        ("not a and b==c or d!=e", "not a and b == c or d != e"),
        ("a if p else(b)", "a if p else (b)"),
        ("x . h . c", "x.h.c"),
        ("v[ .. 3 , 1 .. , .. ]", "v[..3, 1.., ..]"),
        ("complex (a , b)", "complex(a, b)"),
        ("f( x , )", "f(x)"),
        ("1 if k in 0..N and not q else 0", "1 if k in 0..N and not q else 0"),
    ],
)
def test_spaces(text: str, expected: str) -> None:
    check(f"cell f(x) = {text}\n", f"cell f(x) = {expected}\n")


def test_spaces_in_declarations() -> None:
    check(
        "model m{X,H=2*X,act=tanh,}:\n"
        "  dim l in 0 .. L ,t in 1..T+1\n"
        "  input x [t]:[X],i[t]:int   in -1..t,z :real[H]in 0..1\n"
        "  param W[l>0] :[H,X]=normal ( 0.1*H ) , b:[2*H+1 ,X+1],c:gru{H,act=f}=0,\n"
        "  param s:state ( unit )\n"
        "  h[l,t],c[l,t] :complex [H]=f(x)\n",
        "model m{X, H = 2 * X, act = tanh}:\n"
        "    dim l in 0..L, t in 1..T+1\n"
        "    input x[t]: [X], i[t]: int in -1..t, z: real[H] in 0..1\n"
        "    param W[l > 0]: [H, X] = normal(0.1 * H), b: [2*H + 1, X+1], c: gru{H, act=f} = 0\n"
        "    param s: state(unit)\n"
        "    h[l, t], c[l, t]: complex[H] = f(x)\n",
    )


def test_blank_lines() -> None:
    check(
        "\n\n# the file\n\n\n"
        '"doc"\n'
        "from a import b\n\n"
        "from c import d\n"
        "cell f(x)=x\n"
        "cell g(x)=x\n\n\n"
        "cell h(x)=x\n"
        "# about m\n"
        "model m:\n\n"
        "  a = 1\n\n\n"
        "  b = 2\n\n"
        "# the end\n",
        "# the file\n\n"
        '"doc"\n\n'
        "from a import b\n"
        "from c import d\n\n"
        "cell f(x) = x\n"
        "cell g(x) = x\n\n"
        "cell h(x) = x\n\n"
        "# about m\n"
        "model m:\n"
        "    a = 1\n\n"
        "    b = 2\n\n"
        "# the end\n",
    )


def test_cases_and_comments_are_aligned() -> None:
    check(
        "model m:\n"
        "  h[t]= # which\n"
        "    x[t] if t%2==0 # even\n"
        "    # and the others\n"
        "    h[t-1]+1 if t>100\n"
        "    0   otherwise   # odd\n"
        "  long_name = 1 # a\n"
        "  b = 2   # b\n"
        "  c = 3\n",
        "model m:\n"
        "    h[t] =  # which\n"
        "        x[t]          if t % 2 == 0  # even\n"
        "        # and the others\n"
        "        h[t-1] + 1    if t > 100\n"
        "        0             otherwise  # odd\n"
        "    long_name = 1  # a\n"
        "    b = 2          # b\n"
        "    c = 3\n",
    )


def test_the_order_of_a_model() -> None:
    """`fed` is read, so it stays; `y` is not, and goes last. What is right above goes along."""
    check(
        "model m{X}:\n"
        '    "Doc."\n'
        "    param W: [X, X]\n"
        "    # what comes out\n"
        "    output y[t] = h[t]\n"
        "    output fed[t] = W @ h[t]\n"
        "    h[t] =\n"
        "        fed[t-1]    if t > 1\n"
        "        x[t]        otherwise\n"
        "    # what goes in\n"
        "    input x[t]: [X]\n"
        "    dim t in 0..T\n",
        "model m{X}:\n"
        '    "Doc."\n'
        "    dim t in 0..T\n"
        "    # what goes in\n"
        "    input x[t]: [X]\n"
        "    param W: [X, X]\n"
        "    output fed[t] = W @ h[t]\n"
        "    h[t] =\n"
        "        fed[t-1]    if t > 1\n"
        "        x[t]        otherwise\n"
        "    # what comes out\n"
        "    output y[t] = h[t]\n",
    )


def test_remarks_stay_in_their_block() -> None:
    check(
        "model m:\n"
        "  h =\n"
        "    1 if t > 0\n"
        "    # below the first case\n"
        "    2 otherwise\n"
        "    # below the cases\n"
        "  # below h\n"
        "  g = 1\n"
        "  # below g\n"
        "# above f\n"
        "cell f(x) = x\n",
        "model m:\n"
        "    h =\n"
        "        1    if t > 0\n"
        "        # below the first case\n"
        "        2    otherwise\n"
        "        # below the cases\n"
        "    # below h\n"
        "    g = 1\n"
        "    # below g\n\n"
        "# above f\n"
        "cell f(x) = x\n",
    )


def test_comments_inside_brackets() -> None:
    check(
        "cell f(x) = max( # first\n"
        "  x, # of x\n"
        "  # above y\n"
        "  g(y, z # of z\n"
        "  ), (1 # one\n"
        "  + 2) # three\n"
        "  # the end\n"
        ") # after\n",
        "cell f(x) = max(\n"
        "    # first\n"
        "    x,  # of x\n"
        "    # above y\n"
        "    g(\n"
        "        y,\n"
        "        z,  # of z\n"
        "    ),\n"
        "    (\n"
        "        1 + 2  # one\n"
        "    ),  # three\n"
        "    # the end\n"
        ")  # after\n",
    )


def test_long_lines() -> None:
    check(
        "cell block{X, H}(below: [X], above: [X], z_below: bool, h, c: [H], z: bool, slope: real"
        " = 1) -> (h', c'):\n"
        "    c' = sigmoid(some_long_name @ below) * tanh(another_very_long_name @ above + h * slope"
        " + c * z) + 1\n"
        "    h' = sum_of_all_that_there_is(first in 0..100000: weights[first] * hidden[first]"
        " @ something_else + bias)\n",
        "cell block{X, H}(\n"
        "    below: [X],\n"
        "    above: [X],\n"
        "    z_below: bool,\n"
        "    h, c: [H],\n"
        "    z: bool,\n"
        "    slope: real = 1,\n"
        ") -> (h', c'):\n"
        "    c' = sigmoid(some_long_name @ below) * tanh(\n"
        "        another_very_long_name @ above + h * slope + c * z,\n"
        "    ) + 1\n"
        "    h' = sum_of_all_that_there_is(\n"
        "        first in 0..100000: weights[first] * hidden[first] @ something_else + bias\n"
        "    )\n",
    )


def test_long_declarations_become_several() -> None:
    text = "model m{H}:\n    param " + ", ".join(f"W_{n}, U_{n}: [H, H]" for n in range(9)) + "\n"
    result = formatted(text + "    h = 1\n")
    assert max(map(len, result.splitlines())) <= format_lines.COLUMNS
    assert result.count("    param ") == 2
    assert re.findall(r"[WU]_\d", result) == re.findall(r"[WU]_\d", text)


def test_line_ends_and_marks() -> None:
    check(
        '\ufeffcell f(x) -> (y):\r\n    """Two\r\n  lines."""\r\n    y = x',
        'cell f(x) -> (y):\n    """Two\n  lines."""\n    y = x\n',
    )


@pytest.mark.parametrize("text", ["", "\n\n", "  \n"])
def test_nothing_stays_nothing(text: str) -> None:
    assert formatted(text) == ""


def test_remarks_alone() -> None:
    check("  # a\n\n\n#b\n", "# a\n\n#b\n")


@given(st.sampled_from(sorted(LIBRARY)), st.integers(0, 2**32), st.sampled_from([100, 50]))
@settings(max_examples=60, deadline=None)
def test_any_layout(name: str, seed: int, columns: int) -> None:
    """Another layout with remarks everywhere: nothing is lost, nothing changes its meaning."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(format_lines, "COLUMNS", columns)
        text, remarks = scramble(LIBRARY[name], Random(seed))
        result = formatted(text)
        assert sorted(re.findall(r"# remark \d+", result)) == sorted(remarks)
        assert meaning(result) == meaning(text)
        assert formatted(result) == result


@given(st.sampled_from(sorted(LIBRARY)), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_spaces_and_line_breaks_do_not_matter(name: str, seed: int) -> None:
    one, other = (scramble(LIBRARY[name], Random(seed + n), adds_lines=False)[0] for n in (0, 1))
    assert formatted(one) == formatted(other)
