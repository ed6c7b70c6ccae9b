"""Tilings other than the default: right numbers, and a file that remembers them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import chain, repeat
from pathlib import Path

import pytest
from rnnc.backends.cpu.backend import built
from rnnc.backends.cpu.program import shapes
from rnnc.backends.cpu.remembered import place, recall, remember
from rnnc.backends.cpu.search import DECISIONS, search
from rnnc.backends.cpu.target import NAMED, CpuTarget, host
from rnnc.backends.tensorir.tiling import Shape, Tiling, default_tiling, tiling

from rnnc import driver
from rnnc.registry import Compare, Trial
from rnnc.runtime.artifact import Artifact
from rnnc.runtime.model import Model
from rnnc.sampling import random_inputs, random_parameters
from rnnc.verification import compare, rounded
from rnnc.weights import WeightType

SHAPE = Shape((4,), ((64, 128),), 128, "float32", 16)
TILING = Tiling(2, 3, 24, 2, (8, 0))


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "new" / "tilings.json"
    monkeypatch.setenv("RNNC_TILINGS", str(path))
    return path


def compilation(unit: str, width: int, weights: WeightType = "float32") -> driver.Compilation:
    sizes: dict[str, driver.StaticValue] = {"X": 5, "H": width, "L": 2, "unit": unit}
    request = driver.Request("stacked", sizes, weights=weights)
    return driver.Compilation(driver.standard_source("stacked"), request)


# ---- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "width", "weights"),
    [("lstm", 65, "float32"), ("gru", 33, "float32"), ("lstm", 64, "bf16"), ("elman", 96, "int8")],
)
def test_every_candidate_computes_the_same(unit: str, width: int, weights: WeightType) -> None:
    """One library whose shapes all have the largest change that each decision offers."""
    made = compilation(unit, width, weights)
    target = host(weights)
    found = {shape: default_tiling(shape) for shape in shapes(made.plan, target)}
    for decision in DECISIONS:
        for shape in found:
            offered = [t for t in decision(shape, found[shape], target) if t.suits(shape)]
            found[shape] = offered[-1] if offered else found[shape]
    assert all(found[shape] != default_tiling(shape) for shape in found)
    artifact = built(made.plan, replace(target, tilings=tuple(found.items())), made.origin)
    assert len(artifact.manifest.tuned) == len(found)
    params = random_parameters(made.graph, 0)
    model = Model(artifact).bind(params)
    for batch in (1, 3, 29):
        inputs = random_inputs(made.graph, {"T": 5}, batch, 0)
        for threads in (1, 2):
            computed = model.run(inputs, threads=threads)
            narrow = rounded(made, {"T": 5}, inputs, params)
            results = compare(made.graph, {"T": 5}, inputs, params, computed, narrow=narrow)
            assert all(result.agrees for result in results), results


def test_default_suits_every_shape() -> None:
    for columns in (1, 16, 17, 80, 96, 1000):
        for slots, depths in (((1,), ((5,),)), ((4,), ((5, 300),)), ((2, 1), ((9, 100), (700,)))):
            shape = Shape(slots, depths, columns, "float32", 16)
            assert default_tiling(shape).suits(shape)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(TILING, width=3),
        replace(TILING, width=0),
        replace(TILING, rows=15),
        replace(TILING, block=0),
        replace(TILING, together=8),
        replace(TILING, prefetch=(4,)),
        replace(TILING, prefetch=(4, -1)),
    ],
)
def test_tilings_that_suit_no_kernel(wrong: Tiling) -> None:
    assert TILING.suits(SHAPE)
    assert not wrong.suits(SHAPE)


def test_exceptions_are_for_their_shape_alone() -> None:
    assert tiling(SHAPE, [(SHAPE, TILING)]) == TILING
    other = replace(SHAPE, columns=64)
    assert tiling(other, [(SHAPE, TILING)]) == default_tiling(other)


# ---- search -----------------------------------------------------------------------------------


def searched(made: driver.Compilation, compared: Compare) -> list[Trial]:
    """With stand-ins for libraries, which tell apart by what they would be tiled as."""

    def stand_in(target: CpuTarget) -> Artifact:
        return replace(made.artifact, library=str(target.tilings).encode())

    return list(search(made.plan, host(), stand_in, compared, 60.0))


def test_search_remembers_what_is_faster_twice() -> None:
    answers = chain([(1.2, 1.0), (1.1, 1.0), (1.2, 1.0), (1.02, 1.0)], repeat((1.2, 0.9)))
    trials = searched(compilation("elman", 64), lambda old, new: next(answers))
    winners = [trial for trial in trials if trial.gain > 1]
    assert {trial.gain for trial in winners} == {1.1}
    [(shape, kept)] = recall()
    assert str(kept) == winners[-1].best
    assert kept != default_tiling(shape)


def test_search_keeps_nothing_that_disagrees(database: Path) -> None:
    trials = searched(compilation("elman", 32), lambda old, new: None)
    assert trials
    assert all(trial.best == trial.default for trial in trials)
    assert not database.exists()


# ---- memory -----------------------------------------------------------------------------------


def test_what_is_remembered_is_recalled(database: Path) -> None:
    assert recall() == ()
    remember(SHAPE, TILING)
    other = replace(SHAPE, columns=64)
    remember(other, replace(TILING, block=96))
    remember(SHAPE, replace(TILING, rows=4))
    assert dict(recall()) == {
        SHAPE: replace(TILING, rows=4),
        other: replace(TILING, block=96),
    }
    assert len(json.loads(database.read_text())["tilings"]) == 2


@pytest.mark.parametrize("field", ["cpu", "rnnc", "tvm"])
def test_others_are_left_alone(database: Path, field: str) -> None:
    remember(SHAPE, TILING)
    data = json.loads(database.read_text())
    data["tilings"][0][field] = "another"
    database.write_text(json.dumps(data))
    assert recall() == ()
    remember(SHAPE, TILING)
    assert len(json.loads(database.read_text())["tilings"]) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"tilings": 3}', "[" * 100_000, "\x00"])
def test_damaged_files_are_ignored(database: Path, text: str) -> None:
    database.parent.mkdir()
    database.write_text(text)
    with pytest.warns(UserWarning, match=r"tilings\.json"):
        assert recall() == ()
    with pytest.warns(UserWarning):
        remember(SHAPE, TILING)
    assert recall() == ((SHAPE, TILING),)


def test_damaged_entries_are_left_out(database: Path) -> None:
    remember(SHAPE, TILING)
    data = json.loads(database.read_text())
    [good] = data["tilings"]
    unfit = {**good, "tiling": asdict(replace(TILING, width=5))}
    data["tilings"] = [3, {**good, "tiling": {}}, {**good, "more": 1}, unfit, good]
    database.write_text(json.dumps(data))
    with pytest.warns(UserWarning) as found:
        assert recall() == ((SHAPE, TILING),)
    assert len(found) == 4


def test_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RNNC_TILINGS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert place() == tmp_path / "rnnc" / "tilings.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert place() == Path.home() / ".cache" / "rnnc" / "tilings.json"


def test_compilations_for_this_machine_use_them() -> None:
    made = compilation("elman", 64)
    [shape, *_] = shapes(made.plan, host())
    remember(shape, replace(default_tiling(shape), rows=2))
    assert made.artifact.manifest.tuned == (f"{shape}: {recall()[0][1]}",)
    for request in (
        replace(made.request, tuned=False),
        replace(made.request, target=f"cpu:{next(iter(NAMED))}"),
    ):
        other = driver.Compilation(made.source, request)
        assert other.artifact.manifest.tuned == ()
