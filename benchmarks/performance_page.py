"""Writes the tables of docs/performance.md: `python benchmarks/performance_page.py peers.json`.

They stand between two comments; what is around them is written by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from measuring import Peaks
from peer_report import number
from peer_rows import Row, Rows, machine

from rnnc.atomic import write_text

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
FIRST, LAST = "<!-- measured -->\n", "<!-- end -->\n"
TITLES = ("network", "rnnc", "best peer", "", "ratio", "floor", "of floor", "to LSTM")


def tables(found: Rows) -> Iterator[str]:
    dates = sorted({row.date for row in found.rows})
    yield f"Measured {' to '.join(sorted({dates[0], dates[-1]}))} on {machine()}; times in ms.\n"
    for threads in sorted(found.peaks, reverse=True):
        peaks = found.peaks[threads]
        near, far = max(peaks.bandwidth.values()), min(peaks.bandwidth.values())
        yield f"### Threads: {threads}\n"
        yield (
            f"Peak {peaks.gflops:.0f} GFLOP/s; weights are read with {far:.0f} to {near:.0f} GB/s,"
            " depending on how large they are.\n"
        )
        yield "| " + " | ".join(TITLES) + " |"
        yield "|---|" + "---:|---|" + "---:|" * (len(TITLES) - 3)
        for row in found.measured(threads):
            yield "| " + " | ".join(cells(row, peaks)) + " |"
        missing = [f"{row.case}: {who}, {why}" for row in found.rows
                   if row.threads == threads for who, why in row.failures.items()]  # fmt: skip
        yield ""
        if missing:
            yield f"Peers without a number: {'; '.join(missing)}.\n"


def cells(row: Row, peaks: Peaks) -> tuple[str, ...]:
    own, best, floor = row.ms["rnnc"], row.best_peer, row.floor_ms(peaks)
    return (
        row.case,
        number(own),
        number(row.ms[best]) if best else "-",
        best or "",
        number(row.ratio),
        number(floor),
        number(floor / own),
        number(row.to_lstm),
    )


def main() -> None:
    before, _, rest = PAGE.read_text().partition(FIRST)
    _, _, after = rest.partition(LAST)
    made = "\n".join(tables(Rows(Path(sys.argv[1]), resume=True)))
    write_text(PAGE, f"{before}{FIRST}\n{made}\n{LAST}{after}")


if __name__ == "__main__":
    main()
