"""`rnnc compile`: a model to a library, or any stage on the way to text."""

from __future__ import annotations

from pathlib import Path

import click

from rnnc import driver
from rnnc.atomic import write_bytes
from rnnc.cli.group import session_options
from rnnc.cli.options import (
    hint_option,
    math_option,
    order_option,
    request_options,
    source_argument,
    target_option,
    tuned_option,
)
from rnnc.cli.session import Session
from rnnc.driver import Request
from rnnc.registry import find_backend

# The kinds of output in the order of the stages, with the suffix of their files.
_SUFFIXES = {
    "ast": ".ast",
    "ir": ".rir",
    "opt": ".opt.rir",
    "plan": ".plan",
    "tir": ".tir",
    "asm": ".s",
    "cu": ".cu",
    "ptx": ".ptx",
    "cubin": ".cubin",
    "so": ".so",
    "lib": ".rnnlib",
    "c-library": "",
    "ort-op": ".ort.so",
}

_STAGES = ("ast", "ir", "opt", "plan")
_NEVER_TO_STDOUT = ("lib", "c-library", "ort-op", "cubin", "so")


def _read_kinds(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    """The kinds asked for, in the order of the stages; none if none were."""
    if text is None:
        return ()
    asked = [part.strip() for part in text.split(",")]
    for kind in asked:
        if kind not in _SUFFIXES:
            raise click.BadParameter(f"'{kind}' is none of {', '.join(_SUFFIXES)}")
    return tuple(kind for kind in _SUFFIXES if kind in asked)


@click.command()
@source_argument
@click.option(
    "--emit",
    "kinds",
    metavar="KIND,...",
    callback=_read_kinds,
    help="ast, ir, opt (the IR after all passes), plan, tir; of a CPU: asm, lib (the default),"
    " c-library (a folder), ort-op (an operator of ONNX Runtime); of CUDA: cu, ptx, cubin, so"
    " (the default: cu, and so if nvcc is here).",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Where to; the suffix says the kind without --emit. Several kinds are written beside each"
    " other, each with its own suffix.",
)
@click.option(
    "--embed-weights",
    "embedded",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A .safetensors or .npz file whose arrays go into the C library.",
)
@request_options(target_option, math_option, tuned_option, hint_option, order_option)
@session_options
@click.pass_obj
def command(
    session: Session,
    source: str,
    kinds: tuple[str, ...],
    output: Path | None,
    embedded: Path | None,
    request: Request,
) -> None:
    """Compile a model of FILE (.rnn, or .rir as --emit=ir writes it; '-' for stdin).

    A single text goes to stdout unless -o says where; a library goes to NAME.rnnlib here, a C
    library (header, .so, .a, pkg-config and CMake files) into the folder NAME.
    """
    asked = bool(kinds)
    kinds = kinds or _named(output)
    if not kinds:
        backend, _ = find_backend(request.target)
        kinds = backend.defaults
        for row in backend.targets():
            if row.name == request.target and row.problem is not None:
                session.say(row.problem)
    if embedded is not None and "c-library" not in kinds:
        raise click.UsageError("--embed-weights goes with --emit c-library")
    with session.progress(f"compiling {source}"):
        compilation = driver.Compilation(driver.read_source(source), request)
        for kind in kinds:
            path = _place(kind, output, len(kinds) > 1, asked, source)
            if kind == "lib":
                compilation.build(path or Path())
            elif kind == "c-library":
                compilation.build_c_library(path or Path(), embedded)
            elif kind == "ort-op":
                write_bytes(path or Path(), compilation.ort_operator())
            else:
                made = compilation.text(kind) if kind in _STAGES else compilation.code(kind)
                if path is None:
                    click.echo(made, nl=False)
                    continue
                write_bytes(path, made.encode() if isinstance(made, str) else made)
            session.say(f"wrote {path}")


def _named(output: Path | None) -> tuple[str, ...]:
    """The kind with the longest suffix that a path has, if there is one."""
    name = "" if output is None else output.name
    fitting = [kind for kind, suffix in _SUFFIXES.items() if suffix and name.endswith(suffix)]
    return tuple(sorted(fitting, key=lambda kind: -len(_SUFFIXES[kind]))[:1])


def _place(kind: str, output: Path | None, several: bool, asked: bool, source: str) -> Path | None:
    """Where `kind` goes; None is stdout, to which only text goes that was asked for."""
    own = Path(Path(source).stem if source != "-" else "model")
    if several:
        base = output or own
        return base.with_name(base.name + _SUFFIXES[kind])
    if output is None and (not asked or kind in _NEVER_TO_STDOUT):
        return own.with_name(own.name + _SUFFIXES[kind])
    return output
