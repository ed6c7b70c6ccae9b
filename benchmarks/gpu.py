"""Numerics and speed of compiled models on one NVIDIA GPU.

    python benchmarks/gpu.py prepare build/gpu          # where nvcc is; needs no GPU
    python benchmarks/gpu.py run build/gpu              # where the GPU is; needs no nvcc and no TVM

`prepare` compiles every model of the standard library, with inputs, weights and what the
interpreter makes of them, and the networks of the table; it goes on where it was stopped. `run`
compares all models with that, then times the table against cuDNN, torch.compile, a Triton scan and
FlashRNN, eagerly and as CUDA graphs; a peer that is not there is a row that says so. It writes
results.json into the folder, and ends with 1 if a model is wrong, with 4 if there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import gpu_numerics
from gpu_rows import DEVICE, ROWS, Row
from gpu_workers import Lost, Workers

ROUNDS, SECONDS_A_ROUND = 3, 0.05
SLOW = 500.0  # milliseconds of a call that is timed once
SECONDS_A_CASE, SECONDS_A_ROW = 60.0, 180.0  # before a process is given up
# By how much, over the largest magnitude, outputs of one network may differ among contenders.
ALLOWED = {"float32": 1e-4, "3xtf32": 1e-4, "tf32": 2e-2, "fp16": 2e-2, "bf16": 1e-1}


# ---- prepare ------------------------------------------------------------------------------------


def prepare(folder: Path, target: str, jobs: int, only: list[str], seconds: float) -> int:
    """Writes what is not there yet."""
    numerics, rows = folder / "numerics", folder / "rows"
    for place in (numerics, rows):
        place.mkdir(parents=True, exist_ok=True)
    tasks: list[tuple[str, Path, str, str]] = []
    for row in ROWS:
        for math in row.maths:
            if not _library(rows, row, math).exists():
                tasks.append((row.name, rows, target, math))
    for name in gpu_numerics.names():
        if not (numerics / f"{name}.npz").exists():
            tasks.append((name, numerics, target, ""))
    tasks = [task for task in tasks if not only or any(part in task[0] for part in only)]
    end = time.monotonic() + seconds
    failed = 0
    with ProcessPoolExecutor(jobs) as pool:
        for name, problem in pool.map(_prepare, [(*task, end) for task in tasks]):
            failed += bool(problem)
            print(f"{name}: {problem or 'done'}", flush=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 2**20:.1f} MiB, {failed} failed")
    return 1 if failed else 0


def _prepare(task: tuple[str, Path, str, str, float]) -> tuple[str, str]:
    """The name, and what went wrong."""
    name, folder, target, math, end = task
    if time.monotonic() > end:
        return name, "no time was left"
    try:
        if math:
            [row] = [row for row in ROWS if row.name == name]
            build_row(row, math, folder, target)
            return f"{name} {math}", ""
        gpu_numerics.prepare(name, folder, lambda compilation: artifact(compilation, target))
    except Exception as problem:  # others can still be prepared
        return name, f"{type(problem).__name__}: {problem}"
    return name, ""


def artifact(compilation: Any, target: str) -> Any:
    """The library of a compilation, for the target."""
    compilation.request = _replaced(compilation.request, target=target)
    return compilation.artifact


def _replaced(request: Any, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(request, **changes)


def compilation_of(row: Row, math: str, target: str) -> Any:
    """The network of a row, on its way."""
    from rnnc.diagnostics import Source
    from rnnc.driver import Compilation, Request, read_source

    extents = dict(row.extents)
    if row.kind in ("lstm", "gru"):
        from rnnc.torch.specs import Stack, spec

        source = Source("<stack>", spec(Stack(row.kind, True, False, False)))
        request = Request("layers", dict(row.sizes), extents, target)
    else:
        models = {"layer_norm": "layer_norm_lstm", "grid": "grid_rnn", "scan": "linear_scan"}
        source = read_source(str(Path(__file__).with_name("gpu.rnn")))
        request = Request(models[row.kind], dict(row.sizes), extents, target)
    return Compilation(source, _replaced(request, math=math))


def build_row(row: Row, math: str, folder: Path, target: str) -> None:
    """Writes the library of a row."""
    from rnnc.runtime.artifact import write

    write(_library(folder, row, math), compilation_of(row, math, target).artifact)


def _library(folder: Path, row: Row, math: str) -> Path:
    return folder / f"{row.name.replace(' ', '_')}-{math}.rnnlib"


# ---- run ----------------------------------------------------------------------------------------


def run(folder: Path, seconds: float, only: list[str], host_only: bool) -> int:
    """Numerics, then the table, as far as the time goes."""
    end = time.time() + seconds
    results: dict[str, Any] = {"numerics": {}, "rows": []}
    if not host_only:
        results |= about_gpu()
        print(", ".join(f"{name} {value}" for name, value in results.items() if value), flush=True)
    cases = _chosen(gpu_numerics.prepared(folder / "numerics"), only)
    wrong = 0
    checked = Workers(partial(_check, folder / "numerics", not host_only, end), SECONDS_A_CASE)
    for name, found in checked.each(cases):
        problems = {"process": str(found)} if isinstance(found, Lost) else found
        results["numerics"][name] = problems
        for way, problem in problems.items():
            wrong += bool(problem)
            if problem:
                print(f"WRONG {name} ({way}): {problem}", flush=True)
        save(folder, results)
    print(f"numerics: {len(cases)} models of the library, {wrong} ways of calling them are wrong")
    if not host_only:
        timed = Workers(partial(_time, folder / "rows", end), SECONDS_A_ROW)
        for name, lines in timed.each(_chosen([row.name for row in ROWS], only)):
            if isinstance(lines, Lost):
                lines = [{"row": name, "problem": str(lines)}]
            for line in lines:
                results["rows"].append(line)
                print(text_of(line), flush=True)
            save(folder, results)
    return 1 if wrong or not (cases or results["rows"]) else 0


def _chosen(names: list[str], only: list[str]) -> list[str]:
    return [name for name in names if not only or any(part in name for part in only)]


def _check(folder: Path, with_tensors: bool, end: float, name: str) -> tuple[dict[str, str], bool]:
    """Of a worker."""
    if time.time() > end:
        return {"time": "none was left"}, True
    found = gpu_numerics.check(folder, name, _torch() if with_tensors else None)
    return found, not any("CUDA" in problem for problem in found.values())


def _time(folder: Path, end: float, name: str) -> tuple[list[dict[str, Any]], bool]:
    """Of a worker."""
    [row] = [row for row in ROWS if row.name == name]
    if time.time() > end:
        return [{"row": name, "problem": "no time was left"}], True
    found = list(timed_row(_torch(), folder, row, min(end, time.time() + SECONDS_A_ROW / 3)))
    return found, not any("CUDA" in str(line["problem"]) for line in found)


def about_gpu() -> dict[str, Any]:
    torch = _torch()
    name = torch.cuda.get_device_name()
    return {"gpu": name, "torch": torch.__version__, "cuda": torch.version.cuda}


def _torch() -> Any:
    """Raises SystemExit, with 4, where there is no GPU."""
    try:
        import torch
    except ImportError as problem:
        raise _no_gpu(f"torch is not installed: {problem}") from problem
    if not torch.cuda.is_available():
        raise _no_gpu("torch finds no NVIDIA GPU")
    return torch


def _no_gpu(why: str) -> SystemExit:
    print(f"no GPU to measure on: {why}", file=sys.stderr)
    return SystemExit(4)


def save(folder: Path, results: dict[str, Any]) -> None:
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")


def timed_row(torch: Any, folder: Path, row: Row, end: float) -> Iterator[dict[str, Any]]:
    """A line for each contender: milliseconds eagerly and as a graph, or why there are none."""
    import gpu_peers

    import rnnc

    rnnc_calls: dict[str, Callable[[], Any]] = {}
    problems: dict[str, str] = {}
    arrays: dict[str, Any] = {}
    inputs = random_inputs(torch, row)
    for math in row.maths:
        try:
            model = rnnc.load(_library(folder, row, math))
            arrays = arrays or model.random_parameters(1)
            rnnc_calls[f"rnnc {math}"] = own_call(model.bind(arrays), inputs)
        except Exception as problem:
            problems[f"rnnc {math}"] = _short(problem)
    calls = dict(rnnc_calls)
    params = {name: torch.from_numpy(array).to(DEVICE) for name, array in arrays.items()}
    for name, make in gpu_peers.peers(row).items():
        if time.time() > end:
            problems[name] = "no time was left"
            continue
        try:
            with torch.no_grad():
                calls[name] = make(row, params, inputs)
        except Exception as problem:
            problems[name] = _short(problem)
    yield from lines(torch, row, calls, problems, end)


def own_call(bound: Any, inputs: dict[str, Any]) -> Callable[[], Any]:
    """A call of a compiled model."""
    return lambda: bound.run(inputs)["y"]


def random_inputs(torch: Any, row: Row) -> dict[str, Any]:
    """Of unit variance; the decays of a scan are between zero and one."""
    generator = torch.Generator(device=DEVICE).manual_seed(0)
    width = row.sizes.get("X", row.sizes.get("D", row.sizes.get("H")))
    shape = (*row.extents.values(), row.batch, width)
    x = torch.randn(shape, device=DEVICE, generator=generator)
    return {"a": torch.sigmoid(x), "b": x} if row.kind == "scan" else {"x": x}


def lines(
    torch: Any,
    row: Row,
    calls: dict[str, Callable[[], Any]],
    problems: dict[str, str],
    end: float,
) -> Iterator[dict[str, Any]]:
    """Compares outputs, then times by turns; the reference is the first that computes."""
    reference: Any = None
    eager: dict[str, Callable[[], Any]] = {}
    graphs: dict[str, Callable[[], Any]] = {}
    differences: dict[str, float] = {}
    for name, call in calls.items():
        try:
            with torch.no_grad():
                found = call().float()
                torch.cuda.synchronize()
                reference = found if reference is None else reference
                scale = float(reference.abs().max())
                differences[name] = float((found - reference).abs().max()) / scale
                eager[name] = call
        except Exception as problem:
            problems[name] = _short(problem)
            continue
        try:
            graphs[name] = captured(torch, call)
        except Exception as problem:
            problems[f"{name} as a graph"] = _short(problem)
    times = interleaved(torch, eager, end)
    replays = interleaved(torch, graphs, end)
    for name in [*calls, *(name for name in problems if name not in calls)]:
        math = name.rpartition(" ")[2]
        floor = row.floor_ms(math if math in ALLOWED else "float32")
        line: dict[str, Any] = {
            "row": row.name,
            "who": name,
            "floor_ms": floor,
            "goal_ms": row.goal,
        }
        line["eager_ms"] = statistics.median(times[name]) if times.get(name) else None
        line["graph_ms"] = statistics.median(replays[name]) if replays.get(name) else None
        line["difference"] = differences.get(name)
        line["agrees"] = differences.get(name, 0.0) <= ALLOWED.get(math, ALLOWED["tf32"])
        line["problem"] = problems.get(name, "")
        yield line


def captured(torch: Any, call: Callable[[], Any]) -> Callable[[], Any]:
    """The call as a graph; it was called before."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(side):
        call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        kept = call()

    def replay() -> Any:
        graph.replay()
        return kept

    return replay


def interleaved(
    torch: Any, calls: dict[str, Callable[[], Any]], end: float
) -> dict[str, list[float]]:
    """Milliseconds of single calls: by turns, several calls between two events."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    counts: dict[str, int] = {}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            if found[name] and (time.time() > end or found[name][0] > SLOW):
                continue
            with torch.no_grad():
                if name not in counts:
                    start = time.perf_counter()
                    call()
                    torch.cuda.synchronize()
                    once = max(time.perf_counter() - start, 1e-5)
                    counts[name] = max(1, min(200, int(SECONDS_A_ROUND / once)))
                begin, finish = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                begin.record()
                for _ in range(counts[name]):
                    call()
                finish.record()
                torch.cuda.synchronize()
                found[name].append(begin.elapsed_time(finish) / counts[name])
    return found


def text_of(line: dict[str, Any]) -> str:
    def milliseconds(value: float | None) -> str:
        return "       -" if value is None else f"{value:8.3f}"

    if "who" not in line:
        return f"{line['row']:34} {line['problem']}"
    goal = "" if line["goal_ms"] is None else f" goal {line['goal_ms']:g}"
    said = line["problem"] or ("" if line["agrees"] else "OUTPUTS DIFFER")
    off = "" if line["difference"] is None else f" off {line['difference']:.1e}"
    return (
        f"{line['row']:34} {line['who']:22} eager {milliseconds(line['eager_ms'])} graph"
        f" {milliseconds(line['graph_ms'])} ms, floor {line['floor_ms']:.3f}{goal}{off} {said}"
    ).rstrip()


def _short(problem: Exception) -> str:
    text = str(problem).strip().splitlines() or [""]
    return f"{type(problem).__name__}: {text[0][:160]}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("prepare", help="compile everything into a folder")
    first.add_argument("folder", type=Path)
    first.add_argument("--target", default="cuda:sm_90")
    first.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    first.add_argument("--only", nargs="*", default=[], help="parts of names")
    first.add_argument("--seconds", type=float, default=1e9, help="begin nothing after so long")
    second = commands.add_parser("run", help="check and time what was prepared")
    second.add_argument("folder", type=Path)
    second.add_argument("--seconds", type=float, default=450.0, help="time nothing after so long")
    second.add_argument("--only", nargs="*", default=[], help="parts of names")
    second.add_argument("--host-only", action="store_true", help="numerics alone, without torch")
    given = parser.parse_args()
    if given.command == "prepare":
        return prepare(given.folder, given.target, given.jobs, given.only, given.seconds)
    return run(given.folder, given.seconds, given.only, given.host_only)


if __name__ == "__main__":
    sys.exit(main())
