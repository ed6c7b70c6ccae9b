"""Every pass can be named, and is called as its file is."""

from __future__ import annotations

import importlib
import pkgutil

import rnnc.passes
from rnnc.passes.pipeline import pipeline
from rnnc.passes.registry import PASSES, read_pipeline, summary


def test_every_pass_is_known_by_the_name_of_its_file() -> None:
    found: dict[str, type] = {}
    for module in pkgutil.iter_modules(rnnc.passes.__path__):
        content = importlib.import_module(f"rnnc.passes.{module.name}")
        for value in vars(content).values():
            own = isinstance(value, type) and value.__module__ == content.__name__
            if own and hasattr(value, "run") and module.name != "rewrite":
                found[module.name.replace("_", "-")] = value
    assert found == dict(PASSES)
    assert all(name == kind.name for name, kind in PASSES.items())


def test_every_pass_says_what_it_does_in_a_line() -> None:
    for kind in PASSES.values():
        assert summary(kind).endswith(".")


def test_the_pipeline_can_be_written_as_text() -> None:
    text = ",".join(step.name for step in pipeline())
    assert read_pipeline(text) == pipeline()
