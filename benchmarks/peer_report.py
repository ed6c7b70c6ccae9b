"""What peers.py shows: a table, JSON and a plot."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rnnc.atomic import replacing_file, write_text

PEERS = ("torch", "compiled", "onnxruntime", "openvino", "jax")
PACKAGES = ("rnnc", "apache-tvm", "torch", "onnxruntime", "openvino", "jax", "numpy")


@dataclass(slots=True)
class Row:
    """One network. Times in ms by who computes it; `failures` say why somebody has none.

    `ready_s` are the seconds until a peer's first result, `bytes` the weights that are read.
    """

    case: str
    batch: int
    threads: int
    ms: Mapping[str, float]
    failures: Mapping[str, str]
    ready_s: Mapping[str, float]
    compile_s: float
    best_peer: str | None
    ratio: float | None
    floor_ms: float
    of_floor: float
    gflops: float
    flops: float
    bytes: float
    to_lstm: float | None


def write(path: Path, rows: Sequence[Row], peak: float) -> None:
    """All rows so far, as one file that is always whole."""
    machine = {
        "processor": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "peak_gflops": peak,
        "versions": {name: installed(name) for name in PACKAGES},
    }
    write_text(path, json.dumps({**machine, "rows": [asdict(row) for row in rows]}, indent=1))


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class Table:
    """Printed row by row; the heading comes at once."""

    def __init__(self, threads: int, peak: float) -> None:
        print(f"{threads} threads, peak {peak:.0f} GFLOP/s; times in ms; load {load():.1f}")
        titles = ("rnnc", *PEERS, "ratio", "floor", "of floor", "to lstm", "compile s")
        print(f"{'':26}" + "".join(f"{title:>12}" for title in titles), flush=True)

    def print(self, row: Row) -> None:
        cells = [number(row.ms["rnnc"])]
        for peer in PEERS:
            cells.append(number(row.ms[peer]) if peer in row.ms else failure(row, peer))
        cells += [number(row.ratio), number(row.floor_ms), number(row.of_floor)]
        cells += [number(row.to_lstm), number(row.compile_s)]
        print(f"{row.case:26}" + "".join(f"{cell:>12}" for cell in cells))
        for peer, reason in row.failures.items():
            print(f"{'':26}  {peer}: {reason}")
        if "compiled" in row.ready_s:
            print(f"{'':26}  compiled: ready after {row.ready_s['compiled']:.0f} s")
        print(end="", flush=True)


def load() -> float:
    return os.getloadavg()[0]


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def failure(row: Row, peer: str) -> str:
    return "none" if peer in row.failures else "-"


def plot(path: Path, rows: Sequence[Row], peak: float) -> str:
    """Ratios to the best peer, and the roofline; says where it is, or what is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        return f"no plot: {error.name} is not installed"
    height = 1.5 + 0.24 * len(rows)
    figure = Figure(figsize=(13, max(4.0, height)), layout="constrained")
    ratios, roofline = figure.subplots(1, 2)
    compared = [row for row in rows if row.ratio is not None]
    names = [f"{row.case}  ({row.best_peer})" for row in compared]
    ratios.barh(names, [row.ratio or 0 for row in compared], color="tab:blue")
    ratios.axvline(1, color="black", linewidth=1)
    ratios.invert_yaxis()
    ratios.set_xscale("log")
    ratios.set_xlabel("time of the best peer / ours")
    ratios.set_title(f"{rows[0].threads} threads")
    products = [row for row in rows if row.bytes and row.flops]
    intensities = [row.flops / row.bytes for row in products]
    limits = [row.flops / row.floor_ms / 1e6 for row in products]
    roofline.scatter(intensities, limits, marker="_", s=80, color="black", label="floor")
    roofline.scatter(intensities, [row.gflops for row in products], color="tab:blue", label="rnnc")
    roofline.axhline(peak, color="grey", linewidth=1, label="multiply-add peak")
    roofline.set_xscale("log")
    roofline.set_yscale("log")
    roofline.set_xlabel("flops a byte of weights read")
    roofline.set_ylabel("GFLOP/s")
    roofline.legend()
    with replacing_file(path) as temporary:
        figure.savefig(temporary, dpi=100)
    return f"plot: {path}"
