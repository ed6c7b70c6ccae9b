"""Cells that no model of the standard library uses, each run over its grid by a small model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.oracles import cells
from tests.oracles.arrays import Arrays, Floats
from tests.oracles.case import Case, Oracle, case
from tests.oracles.cells import tanh
from tests.oracles.layers import Outputs, Sizes, State
from tests.oracles.mathematics import half_linear, identity, relu, rows

Step = Callable[[Arrays, Floats, State], State]

_TEXT = """{functions}
from {file} import {cell}

model over_time{{{sizes}}}:
    dim t in 0..T
    input x[t]: [{x}]
    {states} = {call}(x[t], {before})
    output y[t] = {result}[t]
"""


def over_time(cell: str, step: Step, widths: dict[str, str], result: str) -> Oracle:
    """The state `result`, by its place in `widths`, after every step from zero states."""

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        states, found = tuple(np.zeros(n[width]) for width in widths.values()), []
        for row in x["x"]:
            states = step(p.under(cell), row, states)
            found.append(states[list(widths).index(result)])
        return {"y": rows(found, n[widths[result]])}

    return oracle


def wrapped(
    file: str,
    call: str,
    step: Step,
    states: str = "h",
    sizes: str = "X=3 H=5",
    *,
    x: str = "X",
    name: str = "",
    widths: dict[str, str] | None = None,
    functions: str = "",
) -> Case:
    """A cell whose results are its states, in order; `call` is the cell with its statics, some of
    which may be `functions` of the library."""
    cell = call.partition("{")[0]
    widths = widths or dict.fromkeys(states, "H")
    text = _TEXT.format(
        functions=f"from functions import {functions}" if functions else "",
        file=file,
        cell=cell,
        sizes=", ".join(size.partition("=")[0] for size in sizes.split()),
        x=x,
        states=", ".join(f"{state}[t]" for state in states),
        call=call,
        before=", ".join(f"{state}[t-1]" for state in states),
        result="h",
    )
    oracle = over_time(cell, step, widths, "h")
    return case(
        file,
        "over_time",
        oracle,
        f"{sizes} T=7",
        f"x: T B {x}",
        f"y: T B {widths['h']}",
        name=name or cell,
        text=text,
    )


# SRU and LRU give something besides their state.
_SRU = """
from sru import {cell}

model over_time{{{sizes}}}:
    dim t in 0..T
    input x[t]: [{x}]
    h[t], c[t] = {call}(x[t], c[t-1])
    output y[t] = h[t]
"""

_LRU = """
from ssm import lru

model over_time{X, N}:
    dim t in 0..T
    input x[t]: [X]
    out[t], h[t] = lru{N}(x[t], h[t-1])
    output y[t] = out[t]
"""


def sru(cell: str, statics: str, oracle: Oracle, sizes: str, x: str, name: str) -> Case:
    names = ", ".join(size.partition("=")[0] for size in sizes.split())
    text = _SRU.format(cell=cell, sizes=names, x=x, call=cell + statics)
    return case(
        "sru",
        "over_time",
        oracle,
        f"{sizes} T=7",
        f"x: T B {x}",
        "y: T B H",
        name=name,
        text=text,
    )


def sru_v1(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    c, found = np.zeros(n["H"]), []
    for row in x["x"]:
        h, c = cells.sru_v1(p.under("sru_v1"), row, c)
        found.append(h)
    return {"y": rows(found, n["H"])}


def sru_oracle(cell: str, act: cells.Activation, scale: float) -> Oracle:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        c, found = np.zeros(n["H"]), []
        for row in x["x"]:
            h, c = cells.sru(p.under(cell), row, c, act, scale)
            found.append(h)
        return {"y": rows(found, n["H"])}

    return oracle


def lru(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, found = np.zeros(n["N"], np.complex128), []
    for row in x["x"]:
        y, h = cells.lru(p.under("lru"), row, h)
        found.append(y)
    return {"y": rows(found, n["X"])}


def single(step: Callable[[Arrays, Floats, Floats], Floats]) -> Step:
    """A cell with one state."""
    return lambda p, x, s: (step(p, x, s[0]),)


WRAPPED = (
    wrapped("irnn", "irnn{H}", single(lambda p, x, h: cells.elman(p, x, h, relu))),
    wrapped("indrnn", "indrnn{H}", single(cells.indrnn)),
    wrapped(
        "indrnn",
        "indrnn{H, act=tanh}",
        single(lambda p, x, h: cells.indrnn(p, x, h, tanh)),
        name="indrnn-tanh",
    ),
    wrapped("mrnn", "mrnn{H, F}", single(cells.mrnn), sizes="X=3 H=5 F=4"),
    wrapped("sparse_rnn", "sparse_rnn{H}", single(cells.sparse_rnn)),
    wrapped("mut", "mut1{H}", single(cells.mut1), sizes="H=5", x="H"),
    wrapped("mut", "mut2{H}", single(cells.mut2), sizes="H=5", x="H"),
    wrapped("mut", "mut3{H}", single(cells.mut3)),
    wrapped("gru", "gru{H}", single(cells.gru)),
    wrapped(
        "gru",
        "gru{H, reset_after=false}",
        single(cells.gru_reset_before),
        name="gru-reset-before",
    ),
    wrapped("lstm", "peephole_lstm{H}", lambda p, x, s: cells.peephole_lstm(p, x, *s), "hc"),
    wrapped("lstm", "lstm_1997{H}", lambda p, x, s: cells.lstm_1997(p, x, *s), "hc"),
    wrapped(
        "lstm",
        "projected_lstm{H, P}",
        lambda p, x, s: cells.projected_lstm(p, x, *s),
        "hc",
        "X=3 H=5 P=2",
        widths={"h": "P", "c": "H"},
    ),
    wrapped("lnlstm", "lnlstm{H}", lambda p, x, s: cells.lnlstm(p, x, *s), "hc"),
    wrapped(
        "onlstm",
        "onlstm{H, C=2}",
        lambda p, x, s: cells.onlstm(p, x, s[0], s[1], chunk=2),
        "hc",
        "X=3 H=6",
    ),
    wrapped("minimal", "mingru{H}", single(cells.mingru)),
    wrapped("minimal", "minlstm{H}", single(cells.minlstm)),
    wrapped(
        "minimal",
        "mingru{H, act=positive}",
        single(lambda p, x, h: cells.mingru(p, x, h, half_linear)),
        name="mingru-positive",
        functions="positive",
    ),
    wrapped(
        "minimal",
        "minlstm{H, act=positive}",
        single(lambda p, x, h: cells.minlstm(p, x, h, half_linear)),
        name="minlstm-positive",
        functions="positive",
    ),
    sru("sru", "{H}", sru_oracle("sru", identity, 1.0), "H=5", "H", "sru"),
    sru(
        "sru",
        "{H, act=tanh, scale=0.5}",
        sru_oracle("sru", tanh, 0.5),
        "H=5",
        "H",
        "sru-tanh",
    ),
    sru("sru_v1", "{H}", sru_v1, "H=5", "H", "sru_v1"),
    sru(
        "sru_projected",
        "{H}",
        sru_oracle("sru_projected", identity, 1.0),
        "X=3 H=5",
        "X",
        "sru_projected",
    ),
    case("ssm", "over_time", lru, "X=3 N=4 T=7", "x: T B X", "y: T B X", name="lru", text=_LRU),
)
