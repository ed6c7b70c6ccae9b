"""The numbers of every model of the standard library: prepared on any machine, checked on a GPU.

A prepared case is a library, NAME.rnnlib, and NAME.npz: inputs, parameters, what the interpreter
computes in double precision, and by how much a right computation in float32 may differ from that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

_BATCH = 3


# ---- where there is a compiler ------------------------------------------------------------------


def names() -> list[str]:
    """All cases."""
    from tests.oracles.cases import CASES

    return [case.name for case in CASES]


def prepare(name: str, folder: Path, build: Callable[[Any], Any]) -> None:
    """Writes the case; `build` makes the artifact of a compilation."""
    from rnnc.diagnostics import Source
    from rnnc.driver import Compilation, Request, standard_source
    from rnnc.ir.interpreter import interpret
    from rnnc.ir.signature import param_signature
    from rnnc.runtime.artifact import write
    from rnnc.verification import compare
    from tests.oracles.cases import CASES

    [case] = [case for case in CASES if case.name == name]
    text = case.text or standard_source(case.file).text
    request = Request(case.model, case.statics, {}, "cuda")
    compilation = Compilation(Source(f"{case.file}.rnn", text), request)
    graph = compilation.graph
    params = _single(case.draw_params(param_signature(graph, case.sizes)))
    inputs = _single(case.draw_inputs(case.sizes, _BATCH, seed=1))
    extents = {extent: case.sizes[extent] for extent in case.extents}
    exact = interpret(graph, extents, inputs, params, np.float64)
    judged = compare(graph, extents, inputs, params, _by_parts(graph, exact))
    described = {"extents": extents, "allowed": {c.output: c.allowed for c in judged}}
    arrays = {f"input {n}": a for n, a in inputs.items()}
    arrays |= {f"param {n}": a for n, a in params.items()}
    arrays |= {f"output {n}": a for n, a in _by_parts(graph, exact).items()}
    write(folder / f"{name}.rnnlib", build(compilation))
    arrays["about"] = np.array(json.dumps(described))
    with (folder / f"{name}.npz").open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _single(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Values rounded to what the library takes."""
    kinds: dict[str, type] = {"f": np.float32, "c": np.complex64}
    return {
        n: array.astype(kinds.get(array.dtype.kind, array.dtype)) for n, array in arrays.items()
    }


def _by_parts(graph: Any, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Complex outputs as compiled models have them."""
    axes = {output.name: len(output.domain.dims) + 1 for output in graph.outputs}
    return {
        name: np.stack([array.real, array.imag], axes[name]) if np.iscomplexobj(array) else array
        for name, array in arrays.items()
    }


# ---- where there is a GPU -----------------------------------------------------------------------


def prepared(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.npz"))


def check(folder: Path, name: str, torch: Any, together: bool = True) -> dict[str, str]:
    """What is wrong with each way of calling the model, "" for nothing: with arrays of the host,
    and where torch is given, with tensors and with a graph that is replayed. Without `together`,
    loops are launched kernel by kernel."""
    import rnnc

    with np.load(folder / f"{name}.npz") as file:
        arrays = dict(file)
    about = json.loads(str(arrays.pop("about")))
    kinds: dict[str, dict[str, Array]] = {"input": {}, "param": {}, "output": {}}
    for key, array in arrays.items():
        kind, _, path = key.partition(" ")
        kinds[kind][path] = array
    extents = {str(key): int(value) for key, value in about["extents"].items()}

    def judged(call: Callable[[], Mapping[str, Array]]) -> str:
        try:
            return _differences(call(), kinds["output"], about["allowed"])
        except Exception as problem:  # one model must not stop the others
            return f"{type(problem).__name__}: {str(problem).splitlines()[0]}"

    try:
        bound: Any = rnnc.load(folder / f"{name}.rnnlib").bind(kinds["param"])
    except Exception as problem:
        return {"load": f"{type(problem).__name__}: {str(problem).splitlines()[0]}"}
    bound.model.code.together.value = together
    found = {"arrays": judged(lambda: bound.run(kinds["input"], extents=extents))}
    if torch is None or not kinds["input"]:
        return found
    tensors = {n: torch.from_numpy(array).cuda() for n, array in kinds["input"].items()}

    def on_tensors() -> dict[str, Array]:
        outputs = bound.run(tensors, extents=extents)
        return {n: value.cpu().numpy() for n, value in outputs.items()}

    def replayed() -> dict[str, Array]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = bound.run(tensors, extents=extents)
        for value in outputs.values():
            value.fill_(1)
        for _ in range(2):
            graph.replay()
        return {n: value.cpu().numpy() for n, value in outputs.items()}

    return {**found, "tensors": judged(on_tensors), "graph": judged(replayed)}


def _differences(
    found: Mapping[str, Array], expected: Mapping[str, Array], allowed: Mapping[str, float]
) -> str:
    wrong: list[str] = []
    for name, value in expected.items():
        if found[name].shape != value.shape:
            wrong.append(f"{name} is {list(found[name].shape)}, not {list(value.shape)}")
            continue
        same = (found[name] == value) | (np.isnan(found[name]) & np.isnan(value))
        with np.errstate(invalid="ignore"):
            difference = np.abs(np.subtract(found[name], value, dtype=np.float64))
        most = float(np.where(same, 0.0, difference).max(initial=0.0))
        if not most <= allowed[name]:
            wrong.append(f"{name} differs by {most:.2g}, allowed are {allowed[name]:.2g}")
    return "; ".join(wrong)
