"""Options that several subcommands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar, get_args

import click

from rnnc.analysis.orders import Order
from rnnc.driver import Request, StaticValue
from rnnc.weights import MathType, WeightType

F = TypeVar("F", bound=Callable[..., object])
Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def split_outside_brackets(text: str) -> list[str]:
    """`a=1,p=[1,2]` -> `a=1`, `p=[1,2]`: at commas, but at none inside brackets or braces."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character in "[{(") - (character in "]})")
        if character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def parse_static(text: str) -> StaticValue:
    """An int, a float, `true` or `false`, a list in brackets; anything else names a cell."""
    if text.startswith("[") and text.endswith("]"):
        inner = text[1:-1].strip()
        items = split_outside_brackets(inner) if inner else []
        return tuple(parse_static(item.strip()) for item in items)
    if text in ("true", "false"):
        return text == "true"
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _read_bindings(
    _: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> dict[str, StaticValue]:
    """All occurrences of a repeatable NAME=VALUE,... option; two values for a name are refused."""
    bindings: dict[str, StaticValue] = {}
    for part in (part for text in texts for part in split_outside_brackets(text)):
        name, equals, text = (piece.strip() for piece in part.partition("="))
        if not (name and equals and text):
            raise click.BadParameter(f"'{part}' is not NAME=VALUE")
        value = parse_static(text)
        if bindings.setdefault(name, value) != value:
            raise click.BadParameter(f"{name} is given twice: {bindings[name]} and {value}")
    return bindings


def _bindings_option(flag: str, name: str, text: str) -> Callable[[F], F]:
    return click.option(
        flag, name, metavar="NAME=VALUE", multiple=True, callback=_read_bindings, help=text
    )


def source_argument(function: F) -> F:
    """The `.rnn` (or `.rir`) file, `-` for stdin."""
    return click.argument("source", metavar="FILE", type=click.Path(allow_dash=True))(function)


def model_options(function: F) -> F:
    """-D and --model: which model of a file, and its sizes."""
    text = "The value of a static: -D H=256,X=64. Repeatable."
    function = _bindings_option("-D", "sizes", text)(function)
    return click.option("--model", metavar="NAME", help="Which model, where the file has several.")(
        function
    )


def hint_option(function: F) -> F:
    """--hint: likely values of run-time extents; they steer costs, never results."""
    text = "A likely run-time extent, for cost decisions only: --hint T=100."
    return _bindings_option("--hint", "hints", text)(function)


def order_option(function: F) -> F:
    """--order: overrides the choice between orders that are all legal."""
    return click.option(
        "--order",
        type=click.Choice(get_args(Order)),
        default="auto",
        show_default=True,
        help="Layers one after another, or as a wavefront; sequential only to compare with.",
    )(function)


def extent_option(function: F) -> F:
    """--extent: run-time extents, for commands that make up their own inputs."""
    text = "A run-time extent of the made-up inputs: --extent T=100."
    return _bindings_option("--extent", "extents", text)(function)


def target_option(function: F) -> F:
    """--target: `cpu`, or `cpu:NAME` for another processor than this one."""
    return click.option(
        "--target", default="cpu", show_default=True, help="What to compile for: rnnc targets."
    )(function)


def weights_option(function: F) -> F:
    """--weights: the type in which the weights of matrix products are stored."""
    return click.option(
        "--weights",
        type=click.Choice(get_args(WeightType)),
        default="float32",
        show_default=True,
        help="How the weights of matrix products are stored: narrower is faster, and less exact.",
    )(function)


def math_option(function: F) -> F:
    """--math: the type of the operands of matrix products on tensor cores."""
    return click.option(
        "--math",
        type=click.Choice(get_args(MathType)),
        default="float32",
        show_default=True,
        help="Of CUDA: what tensor cores multiply, with sums in float32; float32 uses none.",
    )(function)


def tuned_option(function: F) -> F:
    """--no-tuned: the defaults, whatever `rnnc tune` has found."""
    return click.option(
        "--no-tuned",
        "tuned",
        flag_value=False,
        default=True,
        help="Leave out what rnnc tune has found on this machine.",
    )(function)


def threads_option(function: F) -> F:
    """--threads: how many a call may use."""
    return click.option(
        "--threads", type=click.IntRange(1), help="Threads of a call; all processors without."
    )(function)


def request_options(*others: Option) -> Option:
    """-D, --model, --weights and some others of this file; the command gets them as `request`."""
    named = {field.name for field in fields(Request)}

    def with_request(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(*args: object, **given: Any) -> object:
            asked = {name: given.pop(name) for name in named & given.keys()}
            return function(*args, request=Request(**asked), **given)

        found: Callable[..., Any] = command
        options: tuple[Option, ...] = (model_options, weights_option, *others)
        for option in reversed(options):
            found = option(found)
        return found

    return with_request


def call_options(*others: Option) -> Option:
    """`request_options` of who calls what is compiled, and --threads."""

    def with_call(function: Callable[..., Any]) -> Callable[..., Any]:
        return request_options(target_option, tuned_option, *others)(threads_option(function))

    return with_call
