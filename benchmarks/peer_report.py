"""What peers.py shows: a table and a plot."""

from __future__ import annotations

import os
from pathlib import Path

from measuring import Peaks
from peer_rows import PEERS, ROUNDS, Row, Rows

from rnnc.atomic import replacing_file


class Table:
    """Printed row by row; the heading comes at once."""

    def __init__(self, threads: int) -> None:
        print()
        print(f"{threads} threads; times in ms; load {os.getloadavg()[0]:.1f}")
        titles = ("rnnc", *PEERS, "ratio", "floor", "of floor", "to lstm", "compile s", "done")
        print(f"{'':26}" + "".join(f"{title:>12}" for title in titles), flush=True)

    def print(self, row: Row, peaks: Peaks, progress: str) -> None:
        floor = row.floor_ms(peaks)
        cells = [number(row.ms["rnnc"])]
        for peer in PEERS:
            cells.append(number(row.ms[peer]) if peer in row.ms else failure(row, peer))
        cells += [number(row.ratio), number(floor), number(floor / row.ms["rnnc"])]
        cells += [number(row.to_lstm), number(row.compile_s), progress]
        print(f"{row.case:26}" + "".join(f"{cell:>12}" for cell in cells))
        for peer, reason in row.failures.items():
            print(f"{'':26}  {peer}: {reason}")
        if "compiled" in row.ready_s:
            print(f"{'':26}  compiled: ready after {row.ready_s['compiled']:.0f} s")
        if row.rounds < ROUNDS:
            print(f"{'':26}  late: {row.rounds} of {ROUNDS} rounds")
        print(end="", flush=True)

    def leave_out(self, case: str, reason: str) -> None:
        print(f"{case:26}  not measured: {reason}", flush=True)


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def failure(row: Row, peer: str) -> str:
    return "none" if peer in row.failures else "-"


def plot(path: Path, found: Rows) -> str:
    """Ratios to the best peer, and the roofline, by threads; says where, or what is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        return f"no plot: {error.name} is not installed"
    if not found.rows:
        return "no plot: there are no rows"
    shown = [(found.measured(threads), peaks) for threads, peaks in found.peaks.items()]
    height = max(4.0, 1.5 + 0.24 * max(len(rows) for rows, _ in shown))
    figure = Figure(figsize=(13, height * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 2, squeeze=False)
    for (rows, peaks), (ratios, roofline) in zip(shown, axes, strict=True):
        compared = [row for row in rows if row.ratio is not None]
        names = [f"{row.case}  ({row.best_peer})" for row in compared]
        ratios.barh(names, [row.ratio for row in compared], color="tab:blue")
        ratios.axvline(1, color="black", linewidth=1)
        ratios.invert_yaxis()
        ratios.set_xscale("log")
        ratios.set_xlabel("time of the best peer / ours")
        ratios.set_title(f"{peaks.threads} threads")
        products = [row for row in rows if row.read and row.flops]
        intensities = [row.flops / row.read for row in products]
        limits = [row.flops / row.floor_ms(peaks) / 1e6 for row in products]
        roofline.scatter(intensities, limits, marker="_", s=80, color="black", label="floor")
        roofline.scatter(intensities, [row.gflops for row in products], s=20, label="rnnc")
        roofline.axhline(peaks.gflops, color="grey", linewidth=1, label="multiply-add peak")
        roofline.set_xscale("log")
        roofline.set_yscale("log")
        roofline.set_xlabel("flops a byte of weights read")
        roofline.set_ylabel("GFLOP/s")
        roofline.legend()
    with replacing_file(path) as temporary:
        figure.savefig(temporary, dpi=100)
    return f"plot: {path}"
