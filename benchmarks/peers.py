"""rnnc against its peers on the CPU: `python benchmarks/peers.py --threads 2`.

Every row is a network, every column who computes it: torch (its LSTM and GRU, else eager), JAX
(lax.scan), torch.compile (of the step; what that took stands beside it), ONNX Runtime (LSTM and
GRU, else Scan) and OpenVINO. One process, bound to as many processors as there are threads;
outputs are compared before anything is timed; interleaved rounds, medians of calls: of wall time,
with one thread of processor time. A peer that is missing, fails or takes too long to prepare is a
cell that says so.

`ratio` is the best peer's time over ours. `floor` is the larger of the flops over the measured
multiply-add peak and of the weights, read once in every wave that uses them, over the measured
bandwidth at their size. `to lstm` is our time over that of our own LSTM of as many flops.

Prints a table, and writes after every row the rows so far as JSON, and at the end a plot beside it.
An interrupted run keeps its rows; `--resume` goes on from a file, measured with any number of
threads, so that a long run can be cut into slices: `--limit 60 --resume`. The peaks are measured
around every row, and of all measurements in the file the best counts.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from types import FrameType

import numpy as np
import numpy.typing as npt
from floor import Work, work
from frameworks import Array, Arrays, Call, Jax, Torch, TorchCompiled
from measuring import Peaks, interleaved
from onnx_graphs import formula_graph, onnxruntime_call, openvino_call, operator_graph
from operators import operator_layers, torch_operator_call
from peer_cases import Case, cases, chosen, standard
from peer_report import Table, plot
from peer_rows import PEERS, Row, Rows

from rnnc.diagnostics import DiagnosticError
from rnnc.sampling import random_parameters

ROUNDS, SECONDS = 5, 0.08
PAUSE = 0.03  # seconds in which the threads of the one before stop spinning
# Sums in another order differ by rounding, which a long recurrence carries on.
TOLERANCE = 1e-3
LSTM_STEPS = 100


class TooLong(Exception):
    """A peer was not ready in time."""


@contextmanager
def within(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLong(f"not ready in {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    # Again and again: what is raised in the callback of a weak reference is lost.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def own_call(case: Case, threads: int) -> tuple[Call, Arrays, Arrays, Work, float]:
    """The call, its parameters and inputs, what it has to do, and the seconds of compiling."""
    start = time.perf_counter()
    compilation = case.compilation()
    model = compilation.load()
    seconds = time.perf_counter() - start
    params = random_parameters(compilation.graph, 0)
    inputs = case.inputs(compilation.graph)
    bound = model.bind(params)
    needed = work(compilation, case.extents, case.batch, case.levels)
    call = partial(bound.run, inputs, threads=threads)
    return lambda: np.asarray(call()[case.output]), params, inputs, needed, seconds


def peer_calls(
    case: Case, params: Arrays, inputs: Arrays, threads: int
) -> Iterator[tuple[str, Callable[[], Call]]]:
    """Each peer by its name, and what makes its call."""
    read = {name: array for name, array in inputs.items() if array.dtype == np.float32}
    weights = {
        name: np.ascontiguousarray(array, np.float32)
        for name, array in case.weights(params).items()
    }
    if case.operator:
        layers = operator_layers(case.operator, params)
        model = partial(operator_graph, case.operator, layers, read["x"])
        yield "torch", partial(torch_operator_call, case.operator, layers, read["x"], threads)
        yield "onnxruntime", lambda: onnxruntime_call(model(), read, threads)
        yield "openvino", lambda: openvino_call(model(), read, threads)
    else:
        graph = partial(formula_graph, case.formula, weights, read)
        yield "torch", lambda: Torch(threads).call(case.formula, weights, read)
        yield "compiled", lambda: TorchCompiled(threads).call(case.formula, weights, read)
        yield "onnxruntime", lambda: onnxruntime_call(graph(), read, threads)
    yield "jax", lambda: Jax(threads).call(case.formula, weights, read)


def checked(make: Callable[[], Call], expected: Array, seconds: int) -> tuple[Call, float] | str:
    """A peer's call and the seconds that it took to prepare it, or what is wrong with it."""
    try:
        with within(seconds):
            start = time.perf_counter()
            call = make()
            found = call()
            took = time.perf_counter() - start
    except ImportError as error:
        return f"not installed ({error.name})"
    except TooLong as error:
        return str(error)
    except Exception as error:
        if isinstance(error.__cause__, TooLong) or isinstance(error.__context__, TooLong):
            return f"not ready in {seconds} s"
        [text, *_] = [*str(error).strip().splitlines(), ""]
        return f"fails: {type(error).__name__}: {text[:80]}"
    difference = distance(found, expected)
    return f"differs by {difference:.1e}" if difference > TOLERANCE else (call, took)


def distance(left: npt.ArrayLike, right: Array) -> float:
    """The largest difference, against the largest value where that is more than one."""
    array = np.asarray(left)
    if array.shape != right.shape:
        return float("inf")
    return float(np.abs(array - right).max() / max(1.0, float(np.abs(right).max())))


def timed(
    calls: Mapping[str, Call], threads: int, resident: float, peaks: Peaks
) -> dict[str, float]:
    """Milliseconds of each call; the peaks are measured before and after."""
    clock = time.process_time if threads == 1 else time.perf_counter
    peaks.measure(resident)
    times = interleaved(calls, ROUNDS, SECONDS, clock, PAUSE)
    peaks.measure(resident)
    return {name: median(values) for name, values in times.items()}


def measured_row(case: Case, threads: int, peaks: Peaks, seconds: int, only: set[str]) -> Row:
    start = time.perf_counter()
    call, params, inputs, needed, compile_s = own_call(case, threads)
    expected = call()
    calls: dict[str, Call] = {"rnnc": call}
    if not case.operator:
        lstm, *_, lstm_needed, _ = own_call(
            standard("lstm", (case.batch, case.hidden, 1, LSTM_STEPS)), threads
        )
        calls["own LSTM"] = lstm
    failures, ready_s = {}, {}
    for name, make in peer_calls(case, params, inputs, threads):
        if name not in only:
            continue
        match checked(make, expected, seconds):
            case str(reason):
                failures[name] = reason
            case (peer, took):
                calls[name], ready_s[name] = peer, took
    ms = timed(calls, threads, needed.resident, peaks)
    to_lstm = None
    if "own LSTM" in ms and needed.flops:
        to_lstm = ms["rnnc"] / (ms["own LSTM"] * needed.flops / lstm_needed.flops)
    return Row(
        case=case.name,
        batch=case.batch,
        threads=threads,
        ms=ms,
        failures=failures,
        ready_s=ready_s,
        compile_s=compile_s,
        flops=needed.flops,
        read=needed.read,
        resident=needed.resident,
        to_lstm=to_lstm,
        seconds=time.perf_counter() - start,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--only",
        action="append",
        help="a row, or a part of its name; lstm:B,H,L,T, gru: and bigru: of any shape; repeatable",
    )
    parser.add_argument("--peer", action="append", choices=PEERS, help="only these; repeatable")
    parser.add_argument("--list", action="store_true", help="the names of all rows")
    parser.add_argument("--ready", type=int, default=30, help="seconds to prepare a peer")
    parser.add_argument("--output", type=Path, default=Path("peers.json"))
    parser.add_argument("--resume", action="store_true", help="keep the output's rows, add others")
    parser.add_argument("--limit", type=float, help="seconds after which no row is begun")
    wanted = parser.parse_args()
    if wanted.list:
        print(*(case.name for case in cases()), sep="\n")
        return 0
    try:
        asked = chosen(wanted.only) if wanted.only else cases()
    except (KeyError, ValueError) as error:
        parser.error(f"no such row: {error} (see --list)")
    threads: int = wanted.threads
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    rows = Rows(wanted.output, wanted.resume)
    known = {row.case for row in rows.measured(threads)}
    missing = [case for case in asked if case.name not in known]
    peaks = rows.peaks_of(threads)
    table = Table(threads)
    end = time.monotonic() + (wanted.limit or float("inf"))
    try:
        while missing and time.monotonic() < end:
            row = measured_row(missing[0], threads, peaks, wanted.ready, set(wanted.peer or PEERS))
            rows.add(row)
            table.print(row, peaks)
            missing.pop(0)
    except KeyboardInterrupt:
        print(f"interrupted: {len(rows.rows)} rows are in {wanted.output}", file=sys.stderr)
        return 130
    print(f"peak {peaks.gflops:.0f} GFLOP/s; {len(missing)} rows left; {wanted.output}")
    print(plot(wanted.output.with_suffix(".png"), rows))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DiagnosticError as error:
        sys.exit(str(error))
