"""`rnnc import`: a model of another framework as a spec and its weights."""

from __future__ import annotations

from pathlib import Path

import click

from rnnc.atomic import replacing_file, write_text
from rnnc.cli.group import session_options
from rnnc.cli.session import Session


@click.command()
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The spec to write, else FILE with the suffix .rnn; weights go beside it.",
)
@click.option("--node", metavar="NAME", help="Only this recurrent node of the model.")
@session_options
@click.pass_obj
def command(session: Session, source: Path, output: Path | None, node: str | None) -> None:
    """Turn FILE (.onnx) into a spec (.rnn) and the arrays of its parameters (.safetensors).

    LSTM, GRU and RNN become cells of the standard library where they are that, a Scan becomes
    equations. What is not known is refused, with the node.
    """
    from safetensors.numpy import save_file

    from rnnc.importers.onnx import import_onnx
    from rnnc.importers.onnx.graph import only, read_model

    graph = read_model(source)
    imported = import_onnx(graph if node is None else only(graph, node))
    spec = output or source.with_suffix(".rnn")
    weights = spec.with_suffix(".safetensors")
    with replacing_file(weights) as temporary:
        save_file(dict(imported.weights), temporary)
    write_text(spec, imported.text)
    session.say(f"wrote {spec}")
    session.say(f"wrote {weights}")
