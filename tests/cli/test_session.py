"""What diagnostics look like on the terminal and in JSON."""

from __future__ import annotations

import json

import pytest

from rnnc.cli.session import Session
from rnnc.diagnostics import Diagnostic, Note, Source, Span, render

SOURCE = Source("lstm.rnn", "cell f(x) = y\n")
SPAN = Span(SOURCE, 1, 13, 1, 14)
ERROR = Diagnostic(
    "RNN201",
    "unknown name 'y'",
    SPAN,
    notes=(Note("the argument is declared here", Span(SOURCE, 1, 8, 1, 9)),),
    hints=("did you mean x?",),
)
WARNING = Diagnostic("RNN501", "tied", SPAN, "warning")


def test_text_is_the_rendering(capsys: pytest.CaptureFixture[str]) -> None:
    assert Session().report([ERROR, WARNING]) == 1
    assert capsys.readouterr() == ("", f"{render(ERROR)}\n{render(WARNING)}\n")


def test_colors_change_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    import click

    Session(color="always").report([ERROR])
    colored = capsys.readouterr().err
    assert "\x1b[" in colored
    assert click.unstyle(colored) == render(ERROR) + "\n"


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Session(message_format="json").report([ERROR, WARNING], to_stdout=True)
    out, err = capsys.readouterr()
    assert err == ""
    first, second = (json.loads(line) for line in out.splitlines())
    assert first == {
        "code": "RNN201",
        "severity": "error",
        "message": "unknown name 'y'",
        "span": {"file": "lstm.rnn", "line": 1, "column": 13, "end_line": 1, "end_column": 14},
        "notes": [
            {
                "message": "the argument is declared here",
                "span": {
                    "file": "lstm.rnn",
                    "line": 1,
                    "column": 8,
                    "end_line": 1,
                    "end_column": 9,
                },
            }
        ],
        "hints": ["did you mean x?"],
    }
    assert second["severity"] == "warning"


def test_quiet_leaves_warnings_out(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(verbosity=-1)
    assert session.report([WARNING]) == 0
    session.say("done")
    assert capsys.readouterr() == ("", "")
    assert session.report([ERROR]) == 1


@pytest.mark.parametrize(
    ("codes", "exit_code"),
    [
        ([], 0),
        (["RNN301"], 1),
        (["RNN702"], 4),
        (["RNN702", "RNN301"], 1),
    ],
)
def test_exit_codes(codes: list[str], exit_code: int) -> None:
    assert Session().report([Diagnostic(code, "") for code in codes]) == exit_code


def test_progress_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Session().progress("compiling"):
        pass
    assert capsys.readouterr() == ("", "")


def test_tables_are_as_wide_as_their_text_off_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "words " * 60
    Session().table(("A", "B"), [("1", long.strip()), ("22", "[x]: brackets are no markup")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["A", "B"],
        ["1", *long.split()],
        ["22", "[x]:", "brackets", "are", "no", "markup"],
    ]
