"""`rnnc demo`: a stacked LSTM from its equations to a checked and timed library."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click
import numpy as np
import numpy.typing as npt

from rnnc import driver
from rnnc.analysis.report import report
from rnnc.cli.exit_codes import MISMATCH, OK
from rnnc.cli.group import session_options
from rnnc.cli.session import Session
from rnnc.diagnostics import Source
from rnnc.driver import Request
from rnnc.sampling import random_inputs, random_parameters
from rnnc.timing import stopwatch, time_calls
from rnnc.verification import compare, difference_allowed

Array = npt.NDArray[np.generic]

_MODEL = "stacked_lstm"
_SIZES = {"X": 64, "H": 256, "L": 2}
_STEPS = 100
# The interpreter goes point by point: a few steps show as much as many.
_SIZES_TO_INTERPRET = {"X": 8, "H": 16, "L": 3}
_STEPS_TO_INTERPRET = 7


@click.command()
@click.argument("source", metavar="[FILE]", required=False)
@click.option("--quick", is_flag=True, help="Leave the timing out.")
@session_options
@click.pass_obj
def command(session: Session, source: str | None, quick: bool) -> int:
    """Compile, check and time a stacked LSTM.

    FILE is another place than the standard library to take the model 'stacked_lstm' from.
    """
    spec = driver.read_source(source) if source else driver.standard_source("stacked")
    session.echo(click.style(f"{_MODEL}, from {source or 'the standard library'}", bold=True))
    session.echo(f"  sizes {_listed(_SIZES)}; any number of steps, any batch\n")

    compilation = driver.Compilation(spec, Request(_MODEL, dict(_SIZES)))
    with session.progress("compiling"), stopwatch() as compiling:
        model = compilation.load()
    session.echo(click.style("What was found", bold=True))
    session.echo(_indented(report(driver.explain(compilation, {"T": _STEPS}))))
    session.echo(f"Compiled in {compiling.milliseconds / 1e3:.2f} s, for every T and batch.\n")

    params = random_parameters(compilation.graph, seed=0)
    inputs = random_inputs(compilation.graph, {"T": _STEPS}, batch=1, seed=1)
    bound = model.bind(params)
    y = bound.run(inputs)["y"]

    session.echo(click.style("Is it right?", bold=True))
    right = _agrees_with_interpreter(session, spec)
    expected = stacked_lstm(params, inputs, _SIZES["L"])
    difference = float(np.abs(np.subtract(y, expected, dtype=np.float64)).max())
    same = difference <= difference_allowed(y)
    session.echo(
        f"  NumPy, {_STEPS} steps: largest difference {difference:.1e}, {_verdict(same)}\n"
    )
    if not quick:
        _show_times(session, lambda: bound.run(inputs), params, inputs)
    _show_next(session, source)
    return OK if right and same else MISMATCH


def stacked_lstm(params: Mapping[str, Array], inputs: Mapping[str, Array], layers: int) -> Array:
    """The same network by hand, in NumPy: [T, B, H]."""
    x = np.asarray(inputs["x"], np.float32)
    for layer in range(layers):
        weight = {
            name: np.asarray(params[f"lstm[{layer}].{name}"], np.float32)
            for name in [f"{kind}_{gate}" for kind in "WUb" for gate in "ifgo"]
        }
        h, c = (np.asarray(inputs[name][layer], np.float32) for name in ("h0", "c0"))
        steps = []
        for at_step in x:
            pre = {
                gate: at_step @ weight[f"W_{gate}"].T
                + h @ weight[f"U_{gate}"].T
                + weight[f"b_{gate}"]
                for gate in "ifgo"
            }
            c = _sigmoid(pre["f"]) * c + _sigmoid(pre["i"]) * np.tanh(pre["g"])
            h = _sigmoid(pre["o"]) * np.tanh(c)
            steps.append(h)
        x = np.stack(steps)
    return x


def _sigmoid(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x), np.float32)


def _agrees_with_interpreter(session: Session, spec: Source) -> bool:
    compilation = driver.Compilation(spec, Request(_MODEL, dict(_SIZES_TO_INTERPRET)))
    extents = {"T": _STEPS_TO_INTERPRET}
    params = random_parameters(compilation.graph, seed=2)
    inputs = random_inputs(compilation.graph, extents, batch=3, seed=3)
    with session.progress("interpreting"):
        computed = compilation.load().bind(params).run(inputs)
        comparisons = compare(compilation.graph, extents, inputs, params, computed)
    worst = max(comparison.difference for comparison in comparisons)
    agrees = all(comparison.agrees for comparison in comparisons)
    session.echo(
        f"  interpreter in double precision, {_STEPS_TO_INTERPRET} steps, "
        f"{_listed(_SIZES_TO_INTERPRET)}: largest difference {worst:.1e}, {_verdict(agrees)}"
    )
    return agrees


def _show_times(
    session: Session,
    call: Callable[[], object],
    params: Mapping[str, Array],
    inputs: Mapping[str, Array],
) -> None:
    with session.progress("measuring"):
        ours = time_calls(call, seconds=1.0)
        theirs = time_calls(lambda: stacked_lstm(params, inputs, _SIZES["L"]), seconds=1.0)
    session.echo(click.style(f"How fast? Batch 1, {_STEPS} steps, median of many calls", bold=True))
    session.echo(f"  rnnc   {ours.median_ms:8.3f} ms")
    session.echo(f"  NumPy  {theirs.median_ms:8.3f} ms\n")


def _show_next(session: Session, source: str | None) -> None:
    name = source or "mine.rnn"
    session.echo(click.style("What to try next", bold=True))
    if source is None:
        session.echo(f"  rnnc cells stacked > {name}        a copy of the source, to change")
    for command, purpose in (
        (f"rnnc check {name}", "change an equation first, then see what is said"),
        (f"rnnc explain {name} -D X=64,H=256,L=2", "the parallelism that was found, and why"),
        (f"rnnc compile {name} -D X=64,H=256,L=2 --emit=plan", "the program behind it"),
        (f"rnnc verify {name} -D X=8,H=16,L=3", "compiled against interpreted"),
        ("rnnc cells", "the other cells that come with rnnc"),
    ):
        session.echo(f"  {command:<66} {purpose}")


def _verdict(agrees: bool) -> str:
    return "agrees" if agrees else "DIFFERS"


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sizes.items())


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in text.splitlines())
