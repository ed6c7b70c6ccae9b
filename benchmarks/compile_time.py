"""Where compiling spends its time: `python benchmarks/compile_time.py [--layers 8] [MODEL ...]`.

CPU seconds (user and system, children too: the machine may be shared) of each stage for every model
of the standard library and a few deep ones. Models with a number of layers or groups get `--layers`
of them. What is paid once in a process (imports, grammars) is paid before the clock starts. Prints
a table, the slowest once more at its end, and writes compile_time.json.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from rnnc.backends.cpu import library, program

from rnnc import driver
from rnnc.diagnostics import DiagnosticError, Source
from rnnc.frontend import ast

WIDTH = 128  # of every size that is not named below
SIZES = {"V": 1000, "K": 4, "N": 64, "R": 8}
LAYERS = ("L", "G")
PERIODS = 8  # periods and dilations are the powers of two below 2^PERIODS, over and over
DEEP = """\
"Dilations repeated, block by block; and layers that start from the last state of the one below."
from lstm import lstm

model dilated_blocks{X, H, L, dilation}:
    dim l in 0..L, t in 0..T
    input x[t]: [X]
    h[l, t], c[l, t] = lstm{H}[l](h[l-1, t], h[l, t - dilation[l]], c[l, t - dilation[l]])
    h[-1, t] = x[t]
    output y[t] = h[L-1, t]

model last_first{X, H, L}:
    dim l in 0..L, t in 0..T
    input x[t]: [X]
    h[l, t], c[l, t] = lstm{H}[l](h[l-1, t], h[l, t-1], c[l, t-1])
    h[-1, t] = x[t]
    h[0, -1] = 0
    h[l > 0, -1] = h[l-1, T-1]
    c[l, -1] = 0
    output y[t] = h[L-1, t]
"""
STAGES = ("elaborate", "passes", "schedule", "plan", "tir", "llvm", "link")


@dataclass(frozen=True, slots=True)
class Target:
    """A model with all of its statics."""

    name: str
    source: Source
    model: str
    statics: Mapping[str, driver.StaticValue]


def sources() -> Iterator[tuple[Source, ast.Module]]:
    """The standard library and the texts of this file."""
    for file, module in driver.standard_library().items():
        yield driver.standard_source(file), module
    deep = Source("deep.rnn", DEEP)
    yield deep, driver.parse(deep)


def targets(layers: int, width: int) -> Iterator[Target]:
    """Every model of `sources`."""
    for source, module in sources():
        for definition in module.definitions:
            if not isinstance(definition, ast.Model):
                continue
            statics: dict[str, driver.StaticValue] = {}
            for static in definition.statics:
                if static.name in LAYERS:
                    statics[static.name] = layers
                elif static.name in ("period", "dilation"):
                    powers = tuple(2 ** (layer % PERIODS) for layer in range(layers))
                    statics[static.name] = powers
                elif static.name == "base" and layers > 32:
                    statics[static.name] = 1  # 2^l would leave the integers
                elif static.default is None:
                    statics[static.name] = SIZES.get(static.name, width)
            name = f"{Path(source.name).stem}.{definition.name}"
            yield Target(name, source, definition.name, statics)


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


@contextmanager
def stage(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Adds what its body takes to the stage's time."""
    start = cpu_seconds()
    yield
    seconds[name] = seconds.get(name, 0.0) + cpu_seconds() - start


@contextmanager
def timed(
    seconds: dict[str, float], name: str, module: ModuleType, function: str
) -> Iterator[None]:
    """Inside, calls of a function of `module` count as a stage."""
    original = getattr(module, function)

    def call(*arguments: object) -> object:
        with stage(seconds, name):
            return original(*arguments)

    with patch.object(module, function, call):
        yield


def measure(target: Target) -> dict[str, object]:
    """CPU seconds of every stage, and what was made; the message where a model is refused."""
    request = driver.Request(target.model, target.statics)
    compilation = driver.Compilation(target.source, request)
    found: dict[str, object] = {"model": target.name, "statics": dict(target.statics)}
    seconds: dict[str, float] = {}

    try:
        with stage(seconds, "elaborate"):
            _ = compilation.graph
        with stage(seconds, "passes"):
            graph = compilation.completed
        with stage(seconds, "schedule"):
            _ = compilation.schedule
        with stage(seconds, "plan"):
            plan = compilation.plan
        found |= {"nodes": len(graph), "kernels": len(plan.kernels)}
        parts = (("tir", program, "functions"), ("llvm", library, "emit_objects"))
        with ExitStack() as stack:
            for name, module, function in parts:
                stack.enter_context(timed(seconds, name, module, function))
            with stage(seconds, "link"):  # and what is C, compiled by the side
                found["library_bytes"] = len(compilation.artifact.library)
        seconds["link"] -= seconds["tir"] + seconds["llvm"]
    except DiagnosticError as error:
        found["refused"] = error.diagnostics[0].message
    return found | {"seconds": seconds, "total": sum(seconds.values())}


def row(found: Mapping[str, object]) -> str:
    seconds = found["seconds"]
    assert isinstance(seconds, dict)
    times = "".join(f"{seconds.get(stage, 0.0):10.2f}" for stage in STAGES)
    counts = "".join(f"{found.get(key, '-'):>8}" for key in ("nodes", "kernels"))
    return f"{found['model']:34}{counts}{times}{found['total']:10.2f}  {found.get('refused', '')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="parts of names; all models if none")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--output", type=Path, default=Path("compile_time.json"))
    chosen = parser.parse_args()
    small = {"X": 4, "H": 4, "Y": 4}
    measure(Target("", driver.standard_source("elman"), "elman_network", small))
    titles = "".join(f"{title:>10}" for title in (*STAGES, "total"))
    print(f"{'CPU seconds':34}{'nodes':>8}{'kernels':>8}{titles}")
    rows = []
    for target in targets(chosen.layers, chosen.width):
        if not chosen.models or any(part in target.name for part in chosen.models):
            rows.append(measure(target))
            print(row(rows[-1]), flush=True)
    rows.sort(key=lambda found: float(str(found["total"])))
    if len(rows) > 1:
        print("slowest:", *(row(found) for found in rows[-5:]), sep="\n")
    chosen.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
