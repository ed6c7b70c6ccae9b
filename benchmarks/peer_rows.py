"""What peers.py found: its rows, in one JSON file that several runs may fill."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from measuring import Peaks

from rnnc.atomic import write_text

# In the order in which they are prepared: who may take longest comes last.
ROUNDS = 5
PEERS = ("torch", "onnxruntime", "openvino", "jax", "compiled")
PACKAGES = ("rnnc", "apache-tvm", "torch", "onnxruntime", "openvino", "jax", "numpy")


@dataclass(frozen=True, slots=True)
class Row:
    """One network. Times in ms by who computes it; `failures` say why somebody has none.

    `ready_s` are the seconds until a peer's first result, `seconds` those of the whole row,
    compiling and all, `rounds` how often the contenders took turns. `flops`, `read` and `resident`
    are those of floor.Work. `to_lstm` is our time over that of our own LSTM of as many flops.
    """

    case: str
    batch: int
    threads: int
    ms: Mapping[str, float]
    failures: Mapping[str, str]
    ready_s: Mapping[str, float]
    compile_s: float
    flops: float
    read: float
    resident: float
    to_lstm: float | None
    seconds: float
    rounds: int = ROUNDS
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))

    @property
    def best_peer(self) -> str | None:
        return min(
            (name for name in PEERS if name in self.ms), key=self.ms.__getitem__, default=None
        )

    @property
    def ratio(self) -> float | None:
        """The best peer's time over ours."""
        return self.ms[self.best_peer] / self.ms["rnnc"] if self.best_peer else None

    @property
    def gflops(self) -> float:
        return self.flops / 1e6 / self.ms["rnnc"]

    def floor_ms(self, peaks: Peaks) -> float:
        found: float = peaks.floor_ms(self.flops, self.read, self.resident)
        return found


class Rows:
    """The rows of one file, in the order in which they were measured, with the peaks by threads."""

    def __init__(self, path: Path, resume: bool) -> None:
        """Begins anew, or goes on from what is in the file, if there is one."""
        self.path = path
        self.rows: list[Row] = []
        self.peaks: dict[int, Peaks] = {}
        self.left_out: list[dict[str, object]] = []  # rows that this run had no time for, and why
        if resume and path.exists():
            written = json.loads(path.read_text())
            names = {one.name for one in fields(Row)}
            for row in written["rows"]:
                self.rows.append(Row(**{name: row[name] for name in row if name in names}))
            for peaks in written["peaks"]:
                bandwidth = {int(size): rate for size, rate in peaks["bandwidth"].items()}
                self.peaks[peaks["threads"]] = Peaks(peaks["threads"], peaks["gflops"], bandwidth)

    def measured(self, threads: int) -> list[Row]:
        return [row for row in self.rows if row.threads == threads]

    def peaks_of(self, threads: int) -> Peaks:
        return self.peaks.get(threads) or Peaks(threads)

    def add(self, row: Row, peaks: Peaks) -> None:
        """Writes all rows so far, with the peaks as they are known now."""
        self.rows.append(row)
        self.peaks[row.threads] = peaks
        self._write()

    def leave_out(self, case: str, threads: int, reason: str) -> None:
        """Writes that a row is missing."""
        self.left_out.append({"case": case, "threads": threads, "reason": reason})
        self._write()

    def _write(self) -> None:
        """One file that is always whole."""
        found = {
            "machine": machine(),
            "versions": {name: installed(name) for name in PACKAGES},
            "peaks": [asdict(peaks) for peaks in self.peaks.values()],
            "rows": [self._described(row) for row in self.rows],
            "left_out": self.left_out,
        }
        write_text(self.path, json.dumps(found, indent=1))

    def _described(self, row: Row) -> dict[str, object]:
        floor = row.floor_ms(self.peaks[row.threads])
        return asdict(row) | {
            "best_peer": row.best_peer,
            "ratio": row.ratio,
            "gflops": row.gflops,
            "floor_ms": floor,
            "of_floor": floor / row.ms["rnnc"],
        }


def machine() -> str:
    """The processor's name, where the system says it, and how many of its cores there are."""
    name = platform.processor() or platform.machine()
    if (described := Path("/proc/cpuinfo")).exists():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
    return f"{name}, {os.cpu_count()} cores"


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
