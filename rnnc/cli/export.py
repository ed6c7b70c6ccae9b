"""`rnnc export`: a model in the form of another framework."""

from __future__ import annotations

from pathlib import Path

import click

from rnnc import driver
from rnnc.atomic import write_bytes
from rnnc.cli.group import session_options
from rnnc.cli.options import model_options, source_argument
from rnnc.cli.session import Session
from rnnc.driver import Request, StaticValue


@click.command()
@source_argument
@click.option("--to", "form", type=click.Choice(["onnx"]), default="onnx", show_default=True)
@click.option(
    "-p",
    "--params",
    "--weights",
    type=click.Path(path_type=Path),
    help="Parameters (.npz, .safetensors); drawn by the spec's initializers without.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write, else FILE with the suffix .onnx.",
)
@click.option(
    "--custom-op",
    "operator",
    is_flag=True,
    help="As one node, which the library of `rnnc compile --emit ort-op` runs in ONNX Runtime.",
)
@click.option(
    "--lengths",
    is_flag=True,
    help="With inputs lengths_T (int32, one a row) for the steps that each row has.",
)
@model_options
@session_options
@click.pass_obj
def command(
    session: Session,
    source: str,
    form: str,
    params: Path | None,
    output: Path | None,
    operator: bool,
    lengths: bool,
    sizes: dict[str, StaticValue],
    model: str | None,
) -> None:
    """Turn a model (.rnn, .rir) into an ONNX model.

    Recurrences become LSTM, GRU and RNN nodes where they are that, and Scans; all else becomes
    operators on whole sequences. Steps and batch stay free.
    What ONNX cannot say is refused, with the place.
    """
    compilation = driver.Compilation(driver.read_source(source), Request(model, sizes))
    data = compilation.onnx(params, operator, lengths)
    name = "model" if source == "-" else source
    target = output or Path(name).with_suffix(f".{form}")
    write_bytes(target, data)
    session.say(f"wrote {target}")
