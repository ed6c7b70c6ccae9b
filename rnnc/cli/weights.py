"""`rnnc weights`: the weights of an LSTM, GRU or RNN from one framework's form to another's."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from rnnc.cli.group import session_options
from rnnc.cli.session import Session

_FORMS = click.Choice(["spec", "torch", "onnx", "keras", "cudnn"])


@click.command()
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--from", "before", type=_FORMS, default="spec", show_default=True)
@click.option("--to", "after", type=_FORMS, default="spec", show_default=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The file to write: .safetensors or .npz.",
)
@click.option("--prefix", default="", help="Only arrays whose names begin so: 'encoder.'.")
@click.option("--forward", metavar="PATH", help="The cells of the spec: 'encoder[{layer}]'.")
@click.option("--backward", metavar="PATH", help="Those that run backwards: 'bwd[{layer}]'.")
@session_options
@click.pass_obj
def command(
    session: Session,
    source: Path,
    before: str,
    after: str,
    output: Path,
    prefix: str,
    forward: str | None,
    backward: str | None,
) -> None:
    """Bring the arrays of FILE (.safetensors, .npz) into another form.

    'spec' are names by path, lstm[0].W_i, as models of rnnc take them. Shapes and orders of gates
    are those that docs/weights.md lists.
    """
    from rnnc.arrays import read_arrays, write_arrays
    from rnnc.exporters.torch_state import torch_state
    from rnnc.importers.gates import Framework
    from rnnc.importers.layouts import from_torch, to_torch
    from rnnc.importers.torch_state import torch_parameters

    named = {n: array for n, array in read_arrays(source).items() if n.startswith(prefix)}
    arrays = {name.removeprefix(prefix): array for name, array in named.items()}
    if before == "spec":
        bare = [path and path.replace("[{layer}]", "") for path in (forward, backward)]
        state = torch_state(arrays, forward=bare[0], backward=bare[1])
    else:
        state = to_torch(arrays, cast(Framework, before))
    if after == "spec":
        made = torch_parameters(state, forward=forward, backward=backward)
    else:
        made = from_torch(state, cast(Framework, after))
    write_arrays(output, made)
    session.say(f"wrote {output}")
