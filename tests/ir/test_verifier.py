"""Well-formed graphs pass; every way to break one is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from rnnc.diagnostics import Source
from rnnc.ir.graph import Builder, Graph
from rnnc.ir.parser import parse
from rnnc.ir.poly import Poly
from rnnc.ir.verifier import InvalidIR, verify, violations
from tests.ir.graphs import graph_text
from tests.ir.recurrences import recurrences

SOUND = graph_text("sound")


def read(text: str) -> Graph:
    return parse(Source("g.rir", text))


def test_a_sound_graph_passes() -> None:
    verify(read(SOUND))


@given(recurrences())
def test_made_up_recurrences_are_sound(graph: Graph) -> None:
    assert violations(graph) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tanh(a[l, t])", "tanh(a[l, t], x[t])", "b: tanh takes 1 operands, not 2"),
        (
            "tanh(a[l, t])",
            "tanh(a[l])",
            "b: operand 0 gives 1 indices, a has {static l in 0..L, t in 0..T}",
        ),
        ("tanh(a[l, t])", "tanh(a[l, s])", "b: operand 0: s is not bound"),
        (
            "tanh(a[l, t])",
            "matmul(a[l, t], x[t])",
            "b: its type is real[H], but matmul gives real[]",
        ),
        (
            "tanh(a[l, t])",
            "matmul(W[l], W[l])",
            "b: its type is real[H], but matmul gives real[H, H]",
        ),
        ("tanh(a[l, t])", "matmul(x[t], one)", "b: cannot multiply [H] by []"),
        ("tanh(a[l, t])", "tanh(a[l, t] if {})", "b: operand 0 has a guard"),
        ("tanh(a[l, t])", "tanh(a[l, t]) over s in 0..T", "b: tanh binds none"),
        ("b[l, t] if {}", "b[l, t]", "h: operand 0 has no guard"),
        (
            "b[l, t] if {}",
            "b[l, t] if full {t in 0..T}",
            "h: operand 0: the guard {t in 0..T} is not over {static l in 0..L, t in 0..T}",
        ),
        ("x[t] if {l in -1..0}", "x[t] if {l in -1..0 : s >= 0}", "h: operand 1: s is not bound"),
        ("b[l, t] if {}", "W[l] if {}", "h: a case is real[H, H], the variable real[H]"),
        ("h[l, t - 1]", "b[l, t]", "b: needs itself and no merge is between: b <- a"),
        ("h[l, t - 1]", "h[l, t]", "a: needs itself at the same point: a <- h <- b"),
        ("over static l in 0..L, s in 0..t + 1", "", "m: reduce binds dims"),
        ("s in 0..t + 1", "s in 0..", "m: the bound dims are unbounded"),
        ("s in 0..t + 1", "s in 0..u", "m: the bound dims, s: u is not bound"),
        ("s in 0..t + 1", "t in 0..T", "m: dim t is bound twice"),
        ("@1 in -1..t", "@2 in -1..t", "r: operand 0 is read at operand 2, which is none"),
        (", left[t])", ", x[t])", "r: operand 1 is an index but no single int"),
        ("int in -1..t", "int in -1..s", "left: the range: s is not bound"),
        (
            "W[static l in 0..L]: real[H, H]",
            "W[static l in 0..L]: real[H, K]",
            "W: the shape: K is not bound",
        ),
        ("W[static l in 0..L]", "W[static H in 0..L]", "W: H is a size and a dim"),
        (
            "a[static l in 0..L, t in 0..T]",
            "a[static l in 0..L, t in 0..s]",
            "a: the domain, t: s is not bound",
        ),
        ("static L\n", "static L\nstatic L\n", "size L is declared twice"),
        ("y[t in 0..T] = h2", "y = h2", "output y has not the dims of its node, {t in 0..T}"),
        ("y[t in 0..T] = h2", "y[t in 0..] = h2", "output y is unbounded"),
    ],
)
def test_every_way_to_break_it_is_told(old: str, new: str, message: str) -> None:
    broken = SOUND.replace(old, new, 1)
    assert broken != SOUND
    with pytest.raises(InvalidIR) as caught:
        verify(read(broken))
    assert message in [str(violation) for violation in caught.value.violations]


def test_opposite_guards_make_no_cycle() -> None:
    swapped = graph_text("swapped")
    verify(read(swapped))
    tight = swapped.replace("merge(a[t] if {: t - 2*floor((t)/2) - 1 >= 0}", "merge(a[t] if {}")
    assert [str(v) for v in violations(read(tight))] == [
        "a: needs itself at the same point: a <- b"
    ]


def test_edges_are_those_of_the_operands() -> None:
    graph = read(SOUND)
    node = graph["b"]
    graph.structure.nodes["b"]["node"] = replace(node, operands=graph["a"].operands[1:])
    assert "b: the edges are not those of the operands" in map(str, violations(graph))


def test_what_is_read_must_have_been_added() -> None:
    builder = Builder("g", read(SOUND).sizes)
    builder.add(read(SOUND)["b"])
    assert [str(v) for v in violations(builder.finish(()))] == ["a: is read but was never added"]


def test_what_differs_from_a_sound_graph_is_looked_at_with_its_readers() -> None:
    sound = read(SOUND)
    for name in sound.structure.nodes:
        graph = read(SOUND)
        graph.structure = sound.structure.copy()
        wrong = replace(sound[name], type=replace(sound[name].type, shape=(Poly.of("K"),)))
        graph.structure.nodes[name]["node"] = wrong
        found = violations(graph, sound)
        assert found == violations(graph)
        assert found
