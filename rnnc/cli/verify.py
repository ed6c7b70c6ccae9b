"""`rnnc verify`: compiled results against the interpreter."""

from __future__ import annotations

from pathlib import Path

import click

from rnnc import driver
from rnnc.cli.exit_codes import MISMATCH, OK
from rnnc.cli.group import session_options
from rnnc.cli.options import (
    call_options,
    extent_option,
    hint_option,
    math_option,
    order_option,
    source_argument,
)
from rnnc.cli.session import Session
from rnnc.driver import Request, StaticValue

# The interpreter computes one grid point at a time: small extents are the point of it.
_DEFAULT_EXTENT = 7


@click.command()
@source_argument
@click.option(
    "-p", "--params", type=click.Path(path_type=Path), help="Parameters; random ones without."
)
@click.option("-i", "--inputs", type=click.Path(path_type=Path), help="Inputs; random without.")
@click.option("--batch", type=click.IntRange(0), default=3, show_default=True, help="Made-up rows.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is made up.")
@call_options(math_option, hint_option, order_option)
@extent_option
@session_options
@click.pass_obj
def command(
    session: Session,
    source: str,
    params: Path | None,
    inputs: Path | None,
    batch: int,
    seed: int,
    request: Request,
    extents: dict[str, StaticValue],
    threads: int | None,
) -> int:
    """Compare what a compiled model computes with the interpreter's double precision.

    Exits with 3 if an output differs by more than rounding explains. Extents are 7 unless given.
    Shown are the largest difference, that over the largest magnitude of the output, and what is
    allowed: for narrow --weights what rounding them costs the interpreter, for int8 and --math
    twice that, on top of what single precision does. Without a GPU, what --math costs the
    interpreter is all that is shown.
    """
    from rnnc.arrays import read_arrays
    from rnnc.cli.extents import extents_of, made_up_extents
    from rnnc.sampling import random_inputs, random_parameters
    from rnnc.verification import compare, costs, rounded

    compilation = driver.Compilation(driver.read_source(source), request)
    graph = compilation.graph
    driver.require_sizes(graph)
    numbers = made_up_extents(graph, extents, _DEFAULT_EXTENT)
    values = read_arrays(params) if params else random_parameters(graph, seed)
    if inputs:
        arrays = read_arrays(inputs)
        numbers |= extents_of(graph, arrays)
    else:
        arrays = random_inputs(graph, numbers, batch, seed)
    missing = None if request.math == "float32" else _missing(request.target)
    if missing is None:
        with session.progress(f"compiling {source}"):
            bound = compilation.load().bind(values)
        computed = bound.run(arrays, extents=numbers, threads=threads)
    with session.progress("interpreting"):
        narrow = rounded(compilation, numbers, arrays, values)
        if missing is None:
            comparisons = compare(graph, numbers, arrays, values, computed, narrow=narrow)
        else:
            assert narrow is not None
            comparisons = costs(graph, numbers, arrays, values, narrow)
    session.table(
        ("OUTPUT", "SHAPE", "DIFFERENCE", "RELATIVE", "ALLOWED", ""),
        [
            (
                c.output,
                str(list(c.shape)),
                f"{c.difference:.2g}",
                f"{c.relative:.2g}",
                f"{c.allowed:.2g}",
                _judgement(c.agrees, missing),
            )
            for c in comparisons
        ],
    )
    if missing is not None:
        session.say(f"nothing was compiled ({missing}): this is what {request.math} costs")
        return OK
    wrong = [c.output for c in comparisons if not c.agrees]
    if wrong:
        session.say(f"the compiled model is wrong in {', '.join(wrong)}: please report this")
        return MISMATCH
    session.say("compiled and interpreted results agree")
    return OK


def _missing(target: str) -> str | None:
    """Why nothing can be compiled for a target and run here."""
    from rnnc.registry import find_backend

    backend, variant = find_backend(target)
    name = target if variant else target.partition(":")[0]
    found = [row.unfit or row.problem for row in backend.targets() if row.name == name]
    return found[0] if found else None


def _judgement(agrees: bool, missing: str | None) -> str:
    return "interpreted" if missing else "agrees" if agrees else "DIFFERS"
