"""`rnnc verify`: compiled results against the interpreter."""

from __future__ import annotations

from pathlib import Path

import click

from rnnc import driver
from rnnc.cli.exit_codes import MISMATCH, OK
from rnnc.cli.group import session_options
from rnnc.cli.options import call_options, extent_option, source_argument
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
@call_options()
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
    allowed: for narrow --weights what rounding them costs the interpreter, for int8 twice that, on
    top of what single precision does.
    """
    from rnnc.arrays import read_arrays
    from rnnc.cli.extents import extents_of, made_up_extents
    from rnnc.sampling import random_inputs, random_parameters
    from rnnc.verification import compare, rounded

    compilation = driver.Compilation(driver.read_source(source), request)
    graph = compilation.graph
    numbers = made_up_extents(graph, extents, _DEFAULT_EXTENT)
    values = read_arrays(params) if params else random_parameters(graph, seed)
    if inputs:
        arrays = read_arrays(inputs)
        numbers |= extents_of(graph, arrays)
    else:
        arrays = random_inputs(graph, numbers, batch, seed)
    with session.progress(f"compiling {source}"):
        bound = compilation.load().bind(values)
    computed = bound.run(arrays, extents=numbers, threads=threads)
    with session.progress("interpreting"):
        narrow = rounded(compilation, numbers, arrays, values)
        comparisons = compare(graph, numbers, arrays, values, computed, narrow=narrow)
    session.table(
        ("OUTPUT", "SHAPE", "DIFFERENCE", "RELATIVE", "ALLOWED", ""),
        [
            (
                c.output,
                str(list(c.shape)),
                f"{c.difference:.2g}",
                f"{c.relative:.2g}",
                f"{c.allowed:.2g}",
                "agrees" if c.agrees else "DIFFERS",
            )
            for c in comparisons
        ],
    )
    wrong = [c.output for c in comparisons if not c.agrees]
    if wrong:
        session.say(f"the compiled model is wrong in {', '.join(wrong)}: please report this")
        return MISMATCH
    session.say("compiled and interpreted results agree")
    return OK
