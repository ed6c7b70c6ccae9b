"""Numerics and speed of compiled models on one NVIDIA GPU.

    python benchmarks/gpu.py prepare build/gpu          # where nvcc is; needs no GPU
    python benchmarks/gpu.py run build/gpu              # where the GPU is; needs no nvcc and no TVM

`prepare` compiles the networks of the table, then every model of the standard library, with inputs,
weights and what the interpreter makes of them; it goes on where it was stopped. `run` compares all
models with that, then times the table against cuDNN, torch.compile, a Triton scan and FlashRNN; a
peer that is not there is a row that says so. It writes results.json into the folder, anew behind
each model and row, and ends with 1 if a model is wrong, with 4 if there is no GPU.

Times are of CUDA's events, medians of rounds in which contenders take turns: `eager` and `graph`
are of calls one behind the other, `cold` is of single graphs, each after the GPU's L2 cache was
written over. "rnnc apart" is a loop that is launched kernel by kernel.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import gpu_numerics
from gpu_rows import DEVICE, ROWS, Row
from gpu_workers import Lost, Workers

ROUNDS, SECONDS_A_ROUND = 5, 0.03
COLD_ROUNDS = 9
L2_BYTES = 256 << 20  # what is written to clear it: more than any has
SLOW = 500.0  # milliseconds of a call that is timed once
SECONDS_A_CASE, SECONDS_A_ROW = 20.0, 120.0  # before a process is given up
SECONDS_A_CALL = 10.0  # before it hangs
NUMERICS = 0.45  # of the time, at most; the table has what is left
APART = " apart"  # loops kernel by kernel
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
    kinds = {rows: "table", numerics: "library"}
    tasks = [task for task in tasks if _is_chosen(f"{kinds[task[1]]} {task[0]}", only)]
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

    write(_library(folder, row, math), artifact(compilation_of(row, math, target), target))


def _library(folder: Path, row: Row, math: str) -> Path:
    return folder / f"{row.name.replace(' ', '_')}-{math}.rnnlib"


# ---- run ----------------------------------------------------------------------------------------


def run(folder: Path, output: Path, seconds: float, only: list[str], host_only: bool) -> int:
    """Numerics, then the table, as far as the time goes."""
    begun = time.time()
    end = begun + seconds
    results: dict[str, Any] = {"gpu": {}, "numerics": {}, "rows": [], "seconds": {}}
    if not host_only:
        # In a process of its own, as all that follows: this one stays alive whatever happens.
        [(_, about)] = Workers(about_gpu, SECONDS_A_ROW).each(["about"])
        if isinstance(about, str | Lost):
            print(f"no GPU to measure on: {about}", file=sys.stderr)
            return 4
        results["gpu"] = about
        print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    start = int if host_only else _begin
    names = _chosen("library", gpu_numerics.prepared(folder / "numerics"), only)
    cases = [name + way for name in names for way in ("", APART)]
    checked = Workers(
        partial(_check, folder / "numerics", not host_only),
        SECONDS_A_CASE,
        start,
        end=end if host_only else begun + NUMERICS * seconds,
    )
    wrong = 0
    for name, found in checked.each(cases):
        problems = {"process": str(found)} if isinstance(found, Lost) else found
        results["numerics"][name] = problems
        for way, problem in problems.items():
            wrong += bool(problem)
            if problem:
                print(f"WRONG {name} ({way}): {problem}", flush=True)
        save(output, results)
    results["seconds"]["numerics"] = time.time() - begun
    print(f"numerics: {len(names)} models of the library, {wrong} ways of calling them are wrong")
    rows = [] if host_only else _chosen("table", [row.name for row in ROWS], only)
    timed = Workers(partial(_time, folder / "rows", end), SECONDS_A_ROW, start, end=end)
    lost: list[str] = []
    for again in (False, True):  # rows that were lost, without what may have hung
        for name, lines in timed.each([row + APART for row in lost] if again else rows):
            if isinstance(lines, Lost):
                if time.time() < end:
                    lost.append(name)
                lines = [{"row": name, "problem": str(lines)}]
            for line in lines:
                results["rows"].append(line)
                print(text_of(line), flush=True)
            results["seconds"]["all"] = time.time() - begun
            save(output, results)
    return 1 if wrong or not (cases or results["rows"]) else 0


def _chosen(kind: str, names: list[str], only: list[str]) -> list[str]:
    return [name for name in names if _is_chosen(f"{kind} {name}", only)]


def _is_chosen(name: str, only: list[str]) -> bool:
    return not only or any(part in name for part in only)


# ---- of a worker --------------------------------------------------------------------------------


def _begin() -> None:
    """What takes long, once: not part of an item."""
    # Processes that end with their parents may have no children of multiprocessing's.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    _torch().zeros(1, device=DEVICE)


def about_gpu(_: str) -> tuple[dict[str, Any] | str, bool]:
    """Or why there is none."""
    try:
        torch = _torch()
    except (ImportError, RuntimeError) as problem:
        return str(problem), True
    about = torch.cuda.get_device_properties(0)
    return {
        "name": torch.cuda.get_device_name(),
        "processors": about.multi_processor_count,
        "gigabytes": round(about.total_memory / 1e9),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }, True


def _check(folder: Path, with_tensors: bool, case: str) -> tuple[dict[str, str], bool]:
    name, is_apart = case.removesuffix(APART), case.endswith(APART)
    found = gpu_numerics.check(folder, name, _torch() if with_tensors else None, not is_apart)
    return found, not any("CUDA" in problem for problem in found.values())


def _time(folder: Path, end: float, case: str) -> tuple[list[dict[str, Any]], bool]:
    """No row takes more than twice its share of the time that is left."""
    name, is_apart = case.removesuffix(APART), case.endswith(APART)
    [number] = [number for number, row in enumerate(ROWS) if row.name == name]
    share = 2 * (end - time.time()) / (len(ROWS) - number)
    try:
        row = timed_row(_torch(), folder, ROWS[number], time.time() + share, not is_apart)
        found = list(row)
    except Exception as problem:
        return [{"row": name, "problem": _short(problem)}], False
    return found, not any("CUDA" in str(line["problem"]) for line in found)


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Ends the process where a GPU's work does not end."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _torch() -> Any:
    """Raises ImportError, or RuntimeError where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("torch finds no NVIDIA GPU")
    return torch


# ---- rows ---------------------------------------------------------------------------------------


def save(output: Path, results: dict[str, Any]) -> None:
    output.write_text(json.dumps(results, indent=1) + "\n")


def timed_row(
    torch: Any, folder: Path, row: Row, end: float, together: bool = True
) -> Iterator[dict[str, Any]]:
    """A line for each contender: milliseconds, or why there are none."""
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
            bound = model.bind(arrays)
            if together:
                rnnc_calls[f"rnnc {math}"] = own_call(bound, inputs, True)
            if math == row.maths[0] and row.kind != "scan":
                rnnc_calls[f"rnnc apart {math}"] = own_call(bound, inputs, False)
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


def own_call(bound: Any, inputs: dict[str, Any], together: bool) -> Callable[[], Any]:
    """A call of a compiled model, with loops as one launch or kernel by kernel."""

    def call() -> Any:
        bound.model.code.together.value = together
        return bound.run(inputs)["y"]

    return call


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
            allowed = SECONDS_A_CALL if "rnnc" in name else SECONDS_A_ROW / 2
            with torch.no_grad(), no_longer_than(allowed), said() as log:
                found = call().float()
                torch.cuda.synchronize()
                reference = found if reference is None else reference
                scale = float(reference.abs().max())
                differences[name] = float((found - reference).abs().max()) / scale
                eager[name] = call
        except Exception as problem:
            problems[name] = _short(problem)
            continue
        if log:
            problems[name] = "; ".join(log)
        try:
            graphs[name] = captured(torch, call)
        except Exception as problem:
            problems[f"{name} as a graph"] = _short(problem)
    times = {
        "eager_ms": interleaved(torch, eager, end),
        "graph_ms": interleaved(torch, graphs, end),
        "cold_ms": cold(torch, graphs, end),
    }
    for name in [*calls, *(name for name in problems if name not in calls)]:
        math = name.rpartition(" ")[2]
        floor = row.floor_ms(math if math in ALLOWED else "float32")
        yield {
            "row": row.name,
            "who": name,
            "floor_ms": floor,
            "goal_ms": row.goal,
            **{kind: _median(found.get(name)) for kind, found in times.items()},
            "difference": differences.get(name),
            "agrees": differences.get(name, 0.0) <= ALLOWED.get(math, ALLOWED["tf32"]),
            "problem": problems.get(name, ""),
        }


def _median(values: list[float] | None) -> float | None:
    return statistics.median(values) if values else None


@contextmanager
def said() -> Iterator[list[str]]:
    """What rnnc logs."""
    found: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler = Kept()
    logging.getLogger("rnnc").addHandler(handler)
    try:
        yield found
    finally:
        logging.getLogger("rnnc").removeHandler(handler)


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


def cold(torch: Any, graphs: dict[str, Callable[[], Any]], end: float) -> dict[str, list[float]]:
    """Milliseconds of single graphs, by turns: the host has launched them while the GPU still
    writes what clears its L2 cache."""
    found: dict[str, list[float]] = {name: [] for name in graphs}
    other = torch.empty(L2_BYTES, dtype=torch.uint8, device=DEVICE)
    for _ in range(COLD_ROUNDS):
        for name, replay in graphs.items():
            if found[name] and (time.time() > end or found[name][0] > SLOW):
                continue
            begin, finish = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            other.zero_()
            begin.record()
            replay()
            finish.record()
            torch.cuda.synchronize()
            found[name].append(begin.elapsed_time(finish))
    return found


def text_of(line: dict[str, Any]) -> str:
    def milliseconds(value: float | None) -> str:
        return "       -" if value is None else f"{value:8.3f}"

    if "who" not in line:
        return f"{line['row']:34} {line['problem']}"
    goal = "" if line["goal_ms"] is None else f" goal {line['goal_ms']:g}"
    said = line["problem"] or ("" if line["agrees"] else "OUTPUTS DIFFER")
    off = "" if line["difference"] is None else f" off {line['difference']:.1e}"
    times = " ".join(
        f"{kind} {milliseconds(line[kind + '_ms'])}" for kind in ("eager", "graph", "cold")
    )
    return (
        f"{line['row']:34} {line['who']:22} {times} ms, floor {line['floor_ms']:.3f}"
        f"{goal}{off} {said}"
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
    first.add_argument("--only", nargs="*", default=[], help="parts of names: table, library, LSTM")
    first.add_argument("--seconds", type=float, default=1e9, help="begin nothing after so long")
    second = commands.add_parser("run", help="check and time what was prepared")
    second.add_argument("folder", type=Path)
    second.add_argument("--seconds", type=float, default=450.0, help="time nothing after so long")
    second.add_argument("--only", nargs="*", default=[], help="parts of names: table, library, GRU")
    second.add_argument("--results", type=Path, help="FOLDER/results.json without")
    second.add_argument("--host-only", action="store_true", help="numerics alone, without torch")
    given = parser.parse_args()
    if given.command == "prepare":
        return prepare(given.folder, given.target, given.jobs, given.only, given.seconds)
    results = given.results or given.folder / "results.json"
    return run(given.folder, results, given.seconds, given.only, given.host_only)


if __name__ == "__main__":
    sys.exit(main())
