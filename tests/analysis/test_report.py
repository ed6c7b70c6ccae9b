"""`rnnc explain FILE`: what is said of schedules whose answers the literature knows."""

from __future__ import annotations

import re

import pytest

from rnnc import driver
from rnnc.driver import Request, StaticValue

# The critical paths at T = 100 of a layer-by-layer order: one cell evaluation a wave.
PATHS: list[tuple[str, str, dict[str, StaticValue], int]] = [
    ("stacked", "stacked_lstm", {"X": 2, "H": 256, "L": 3}, 300),
    # Chang et al. 2017: layer l has 2^l independent chains, each 2^l times as short.
    ("dilated", "dilated", {"X": 2, "H": 2, "L": 3}, 100 + 50 + 25),
    # Both directions wait for nothing of each other: they share their waves.
    ("bidirectional", "bidirectional", {"X": 2, "H": 2}, 100),
]


def explained(file: str, model: str, sizes: dict[str, StaticValue], steps: int = 100) -> str:
    request = Request(model, sizes)
    return driver.explain(driver.Compilation(driver.standard_source(file), request), {"T": steps})


@pytest.mark.parametrize(("file", "model", "sizes", "waves"), PATHS)
def test_critical_path(file: str, model: str, sizes: dict[str, StaticValue], waves: int) -> None:
    found = re.search(r"^Critical path: .*?(\d+) waves$", explained(file, model, sizes), re.M)
    assert found is not None
    assert int(found[1]) == waves


def test_input_products_are_outside_the_recurrence() -> None:
    text = explained("stacked", "stacked_lstm", {"X": 2, "H": 2, "L": 1})
    at_once, recurrence, *_ = re.split(r"^\d\. ", text, flags=re.M)[1:]
    assert at_once.startswith("All points at once")
    assert "@ x" in at_once
    assert "@ h" not in at_once
    assert recurrence.startswith("Recurrence of c, h")
    assert "one t after another: T = 100 waves" in recurrence
    assert "@ h" in recurrence
    assert "@ x" not in recurrence


def test_the_reason_names_the_reads() -> None:
    text = explained("stacked", "stacked_lstm", {"X": 2, "H": 2, "L": 1})
    assert "because it reads h[t - 1], c[t - 1]" in text


def test_the_wavefront_is_told_though_not_taken() -> None:
    text = explained("stacked", "stacked_lstm", {"X": 2, "H": 256, "L": 3})
    rejected = text.partition("Also legal, and not taken (wavefront):")[2]
    assert "points of equal l + t at once" in rejected


def test_without_numbers_the_formula_stands() -> None:
    request = Request("stacked_lstm", {"X": 2, "H": 2, "L": 3}, order="layered")
    compilation = driver.Compilation(driver.standard_source("stacked"), request)
    assert "Critical path: 3*T waves" in driver.explain(compilation, {})
