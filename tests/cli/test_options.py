"""How values on the command line are read."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from rnnc.cli.options import model_options, parse_static, split_outside_brackets
from rnnc.driver import StaticValue


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("256", 256),
        ("-1", -1),
        ("0.5", 0.5),
        ("1e-5", 1e-5),
        ("true", True),
        ("false", False),
        ("relu", "relu"),
        ("lstm{H=4}", "lstm{H=4}"),
        ("[]", ()),
        ("[1, 2,4]", (1, 2, 4)),
        ("[[1,2],[3]]", ((1, 2), (3,))),
    ],
)
def test_static_values(text: str, value: StaticValue) -> None:
    assert parse_static(text) == value
    assert type(parse_static(text)) is type(value)


def test_commas_in_brackets_do_not_split() -> None:
    assert split_outside_brackets("H=4,p=[1,2],u=lstm{H=1,X=2}") == [
        "H=4",
        "p=[1,2]",
        "u=lstm{H=1,X=2}",
    ]


def bind(*arguments: str) -> tuple[int, str]:
    @click.command()
    @model_options
    def command(sizes: dict[str, StaticValue], model: str | None) -> None:
        click.echo(f"{sizes} {model}")

    result = CliRunner().invoke(command, arguments)
    return result.exit_code, result.output.strip()


def test_bindings_merge() -> None:
    assert bind("-D", "H=4, X=2", "-DL=3", "--model", "m") == (
        0,
        "{'H': 4, 'X': 2, 'L': 3} m",
    )


def test_the_same_value_twice_is_no_mistake() -> None:
    assert bind("-D", "H=4", "-D", "H=4") == (0, "{'H': 4} None")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("H", "'H' is not NAME=VALUE"),
        ("H=", "'H=' is not NAME=VALUE"),
        ("=3", "'=3' is not NAME=VALUE"),
        ("H=1,H=2", "H is given twice: 1 and 2"),
        ("", "'' is not NAME=VALUE"),
    ],
)
def test_bad_bindings_are_wrong_usage(text: str, said: str) -> None:
    code, output = bind("-D", text)
    assert code == 2
    assert said in output
