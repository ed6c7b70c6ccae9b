"""rnnc against its peers on the CPU: `python benchmarks/peers.py --threads 2 --threads 1`.

Every row is a network, every column who computes it: torch (its LSTM and GRU, else eager), JAX
(lax.scan), torch.compile (of the step; what that took stands beside it), ONNX Runtime (LSTM and
GRU, else Scan) and OpenVINO. One process, bound to as many processors as there are threads;
outputs are compared before anything is timed; interleaved rounds, medians of calls: of wall time,
with one thread of processor time. A peer that is missing, fails or takes too long to prepare is a
cell that says so.

`ratio` is the best peer's time over ours. `floor` is the larger of the flops over the measured
multiply-add peak and of the weights, read once in every wave that uses them, over the measured
bandwidth at their size. `to lstm` is our time over that of our own LSTM of as many flops.

`--budget SECONDS` is what all of it may take, whatever peers do: each row has its share of what is
left, a peer that is not ready in its part of that is left out, rounds are left out where timing is
late, and rows that remain when the time is over are said to be missing. Rows are measured in a
process of their own: a peer that hangs or breaks costs the row that peer and no more.

Prints a table, and writes after every row the rows so far as JSON, and at the end a plot beside it.
An interrupted run keeps its rows; `--resume` goes on from a file, so that a long run can be cut
into slices: `--limit 60 --resume`. The peaks are measured around every row, and of all measurements
in the file the best counts.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from peer_rows import PEERS, ROUNDS, Row, Rows
from peer_workers import Lost, Stage, Task, Worker

from rnnc.diagnostics import DiagnosticError
from rnnc.sampling import random_parameters

SECONDS = 0.08
PAUSE = 0.03  # seconds in which the threads of the one before stop spinning
# Sums in another order differ by rounding, which a long recurrence carries on.
TOLERANCE = 1e-3
LSTM_STEPS = 100
LONGEST = 600.0  # seconds of a row where nothing is said
OWN = 300.0  # seconds in which ours must be ready
TIMING = 6.0  # seconds of a row that peers leave for the rounds
IMPORTS = 15.0  # seconds more for the first row of a number of threads
LEAST = 1.0  # seconds that every peer has


class TooLong(Exception):
    """A peer was not ready in time."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLong(not_ready(seconds))

    before = signal.signal(signal.SIGALRM, stop)
    # Again and again: what is raised in the callback of a weak reference is lost.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def not_ready(seconds: float) -> str:
    return f"not ready in {seconds:.0f} s"


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
    """Each peer by its name, and what makes its call; who may take longest comes last."""
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
        yield "onnxruntime", lambda: onnxruntime_call(graph(), read, threads)
    yield "jax", lambda: Jax(threads).call(case.formula, weights, read)
    if not case.operator:
        yield "compiled", lambda: TorchCompiled(threads).call(case.formula, weights, read)


def checked(make: Callable[[], Call], expected: Array, seconds: float) -> tuple[Call, float] | str:
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
            return not_ready(seconds)
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
    calls: Mapping[str, Call], threads: int, resident: float, peaks: Peaks, end: float
) -> tuple[dict[str, float], int]:
    """Milliseconds of each call, and of how many rounds: after `end` none begins but the first.

    The peaks are measured before and after.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in calls}
    rounds = 0
    peaks.measure(resident)
    while rounds < ROUNDS and (not rounds or time.monotonic() < end):
        for name, found in interleaved(calls, 1, SECONDS, clock, PAUSE).items():
            times[name] += found
        rounds += 1
    peaks.measure(resident)
    return {name: median(values) for name, values in times.items()}, rounds


def measured_row(task: Task, begin: Callable[[Stage], None]) -> Row:
    """The row of a task; `begin` is told what begins."""
    case, threads, peaks = task.case, task.threads, task.peaks
    start = time.perf_counter()
    end = time.monotonic() + task.seconds
    begin(Stage("rnnc", OWN))
    call, params, inputs, needed, compile_s = own_call(case, threads)
    expected = call()
    calls: dict[str, Call] = {"rnnc": call}
    if not case.operator:
        lstm, *_, lstm_needed, _ = own_call(
            standard("lstm", (case.batch, case.hidden, 1, LSTM_STEPS)), threads
        )
        calls["own LSTM"] = lstm
    failures, ready_s = dict(task.lost), {}
    for name, make in peer_calls(case, params, inputs, threads):
        if name not in task.only or name in failures:
            continue
        seconds = max(LEAST, min(task.ready, end - TIMING - time.monotonic()))
        begin(Stage(name, seconds))
        match checked(make, expected, seconds):
            case str(reason):
                failures[name] = reason
            case (peer, took):
                calls[name], ready_s[name] = peer, took
    begin(Stage("timing", max(TIMING, end - time.monotonic())))
    ms, rounds = timed(calls, threads, needed.resident, peaks, end)
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
        rounds=rounds,
    )


def supervised(worker: Worker, task: Task, end: float) -> tuple[Row, Peaks]:
    """The row; a peer that costs its process is left out of another attempt. Raises Lost for what
    is no peer's fault."""
    latest = time.monotonic() + task.seconds
    while True:
        try:
            found: tuple[Row, Peaks] = worker.row(task, end)
            return found
        except Lost as lost:
            if lost.stage not in PEERS:
                raise
            left = max(2 * TIMING, latest - time.monotonic())
            task = replace(task, seconds=left, lost={**task.lost, lost.stage: str(lost)})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows, by whom; no row begins after `last`, and at `end` all is over (monotonic)."""

    cases: Sequence[Case]
    threads: Sequence[int]
    peers: frozenset[str]
    ready: int
    last: float
    end: float

    def missing(self, rows: Rows, threads: int) -> list[Case]:
        known = {row.case for row in rows.measured(threads)}
        return [case for case in self.cases if case.name not in known]


def measure(wanted: Wanted, rows: Rows) -> int:
    """Adds the rows that are missing; returns how many are left."""
    began = time.monotonic()
    total = left = sum(len(wanted.missing(rows, threads)) for threads in wanted.threads)
    for threads in wanted.threads:
        table = Table(threads)
        with Worker(measured_row, threads) as worker:
            for number, case in enumerate(wanted.missing(rows, threads)):
                now = time.monotonic()
                if now >= wanted.last:
                    return left
                share = min(LONGEST, (wanted.end - now) / left + (0.0 if number else IMPORTS))
                task = Task(
                    case, threads, rows.peaks_of(threads), wanted.peers, share, wanted.ready
                )
                left -= 1
                try:
                    row, peaks = supervised(worker, task, wanted.end)
                except Lost as lost:
                    rows.leave_out(case.name, threads, str(lost))
                    table.leave_out(case.name, str(lost))
                    continue
                rows.add(row, peaks)
                minutes, seconds = divmod(int(time.monotonic() - began), 60)
                progress = f"{total - left}/{total} {minutes}:{seconds:02}"
                table.print(row, peaks, progress)
    return left


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, action="append", help="repeatable; 2 without")
    parser.add_argument(
        "--only",
        action="append",
        help="a row, or a part of its name; lstm:B,H,L,T, gru: and bigru: of any shape; repeatable",
    )
    parser.add_argument("--peer", action="append", choices=PEERS, help="only these; repeatable")
    parser.add_argument("--list", action="store_true", help="the names of all rows")
    parser.add_argument("--ready", type=int, default=30, help="seconds to prepare a peer, at most")
    parser.add_argument("--output", type=Path, default=Path("peers.json"))
    parser.add_argument("--resume", action="store_true", help="keep the output's rows, add others")
    parser.add_argument("--limit", type=float, help="seconds after which no row is begun")
    parser.add_argument("--budget", type=float, help="seconds after which all is over")
    given = parser.parse_args()
    if given.list:
        print(*(case.name for case in cases()), sep="\n")
        return 0
    try:
        asked = chosen(given.only) if given.only else cases()
    except (KeyError, ValueError) as error:
        parser.error(f"no such row: {error} (see --list)")
    rows = Rows(given.output, given.resume)
    now = time.monotonic()
    last, end = now + (given.limit or float("inf")), now + (given.budget or float("inf"))
    peers = frozenset(given.peer or PEERS)
    wanted = Wanted(asked, given.threads or [2], peers, given.ready, last, end)
    try:
        left = measure(wanted, rows)
    except KeyboardInterrupt:
        print(f"\ninterrupted: {len(rows.rows)} rows are in {given.output}", file=sys.stderr)
        return 130
    for peaks in rows.peaks.values():
        print(f"{peaks.threads} threads: peak {peaks.gflops:.0f} GFLOP/s")
    print(f"{left} rows left, {len(rows.left_out)} not measured; {given.output}")
    print(plot(given.output.with_suffix(".png"), rows))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DiagnosticError as error:
        sys.exit(str(error))
