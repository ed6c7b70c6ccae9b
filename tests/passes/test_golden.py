"""Each pass on small graphs: the text behind it, where it must not fire, and the same numbers.

`golden/NAME.rir` holds cases of the pass NAME: a line `// ## title`, the graph, and behind a line
`// ---- becomes` what the pass makes of it; nothing behind it if the graph stays. A title may end
with the options of the pass in braces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rnnc.diagnostics import Source
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.parser import parse_graph
from rnnc.ir.printer import print_graph
from rnnc.ir.signature import extent_names
from rnnc.ir.verifier import verify
from rnnc.passes.registry import PASSES, read_pipeline
from rnnc.sampling import random_inputs, random_parameters
from tests.tolerance import assert_close

FOLDER = Path(__file__).parent / "golden"
BECOMES = "// ---- becomes\n"


@dataclass(frozen=True, slots=True)
class Case:
    """`after` is empty where the pass leaves the graph as it is."""

    title: str
    before: str
    after: str

    @property
    def options(self) -> str:
        found = re.search(r"\{.*\}$", self.title)
        return found[0] if found else ""

    def __str__(self) -> str:
        behind = f"\n{BECOMES}{self.after}" if self.after else ""
        return f"// ## {self.title}\n{self.before}{behind}"


def cases(name: str) -> list[Case]:
    found = []
    for part in re.split(r"^// ## ", (FOLDER / f"{name}.rir").read_text("utf-8"), flags=re.M)[1:]:
        title, _, graphs = part.partition("\n")
        before, _, after = graphs.partition(BECOMES)
        texts = (text.strip() + "\n" if text.strip() else "" for text in (before, after))
        found.append(Case(title, *texts))
    return found


def behind(name: str, case: Case) -> tuple[Graph, Graph]:
    """The graph before and behind the pass."""
    before = parse_graph(Source(f"{name}.rir", case.before))
    assert print_graph(before) == case.before, "a golden graph is written as it is printed"
    [step] = read_pipeline(name + case.options)
    return before, step.run(before)


@pytest.mark.parametrize("name", PASSES)
def test_text(name: str, pytestconfig: pytest.Config) -> None:
    found = []
    for case in cases(name):
        before, after = behind(name, case)
        text = "" if after == before else print_graph(after)
        found.append(Case(case.title, case.before, text))
    if pytestconfig.getoption("--update-golden"):
        (FOLDER / f"{name}.rir").write_text("\n".join(map(str, found)), "utf-8")
    assert found == cases(name)
    assert any(case.after for case in found)


@pytest.mark.parametrize("name", PASSES)
def test_numbers_and_form(name: str) -> None:
    for case in cases(name):
        before, after = behind(name, case)
        verify(after)
        assert (case.after == "") == (after is before), "a pass that changes nothing returns itself"
        for extent in (0, 1, 4):
            sizes = {n: s for n, s in (("H", 3), ("L", 2)) if n not in before.values}
            sizes |= dict.fromkeys(extent_names(before), extent)
            params = random_parameters(before, 1)
            inputs = random_inputs(before, sizes, 2, 3)
            expected = interpret(before, sizes, inputs, params)
            read = {path: params[path] for path in random_parameters(after, 1)}
            found = interpret(after, sizes, inputs, read)
            assert found.keys() == expected.keys()
            for output, value in expected.items():
                assert_close(found[output], value, np.float64)


def test_every_pass_has_a_golden_file() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(PASSES)
