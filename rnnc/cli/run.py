"""`rnnc run`: a model on arrays from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnc import driver
from rnnc.cli.group import session_options
from rnnc.cli.options import call_options, math_option, source_argument
from rnnc.cli.session import Session
from rnnc.driver import Request

if TYPE_CHECKING:
    from rnnc.arrays import Array


@click.command()
@source_argument
@click.option(
    "-p", "--params", type=click.Path(path_type=Path), help="Parameters by their paths in the spec."
)
@click.option(
    "-i",
    "--inputs",
    type=click.Path(path_type=Path),
    help="Inputs by name; 'lengths' and 'resets' may be among them.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Outputs by name, an .npz file."
)
@click.option("--batch-first", is_flag=True, help="Arrays are [batch, T, ...] instead.")
@call_options(math_option)
@session_options
@click.pass_obj
def command(
    session: Session,
    source: str,
    params: Path | None,
    inputs: Path | None,
    output: Path | None,
    batch_first: bool,
    request: Request,
    threads: int | None,
) -> None:
    """Run a model (.rnn, .rir) or a library (.rnnlib) on arrays from .npz or .safetensors files.

    Without -o, a summary of the outputs is printed.
    """
    from rnnc.arrays import read_arrays, write_arrays

    # First what may be wrong with the files: compiling takes longer.
    values = read_arrays(params) if params else {}
    arrays = read_arrays(inputs) if inputs else {}
    with session.progress(f"compiling {source}"):
        loaded = driver.open_model(source, request)
    bound = loaded.bind(values)
    outputs = bound.run(
        {name: array for name, array in arrays.items() if name not in ("lengths", "resets")},
        lengths=arrays.get("lengths"),
        resets=arrays.get("resets"),
        batch_first=batch_first,
        threads=threads,
    )
    if output:
        write_arrays(output, outputs)
        session.say(f"wrote {output}")
        return
    session.table(
        ("OUTPUT", "TYPE", "SHAPE", "MIN", "MEAN", "MAX"),
        [
            (name, str(a.dtype), str(list(a.shape)), *(_summary(a) if a.size else ("-",) * 3))
            for name, a in outputs.items()
        ],
    )


def _summary(array: Array) -> tuple[str, str, str]:
    """Least, mean and largest value; of complex values the magnitude's."""
    import numpy as np

    values = np.abs(array) if np.iscomplexobj(array) else np.asarray(array, np.float64)
    return f"{values.min():.4g}", f"{values.mean():.4g}", f"{values.max():.4g}"
