"""Rows of peers.py, each measured in another process, which can be given up.

A peer that compiles inside a library hears no signal, and one that breaks ends its process: neither
may take the rest of the table along. The process stays for the next row if all goes well; else
another one measures the row again, without that peer.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType

from measuring import Peaks
from peer_cases import Case
from peer_rows import Row

_GRACE = 4.0  # seconds after which somebody who should have ended is not waited for


@dataclass(frozen=True, slots=True)
class Task:
    """A row to measure, in about `seconds`; of no peer is waited longer than `ready` for.

    `lost` are peers that are not asked again, with the reason.
    """

    case: Case
    threads: int
    peaks: Peaks
    only: frozenset[str]
    seconds: float
    ready: int
    lost: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """What begins now, and how many seconds it may take."""

    name: str
    seconds: float


_START = Stage("start", 300.0)  # of a process

Measure = Callable[[Task, Callable[[Stage], None]], Row]


class Lost(Exception):
    """The process had to be given up in this stage."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(reason)
        self.stage = stage


class Worker:
    """Measures rows in a process that is bound to as many processors as there are threads."""

    def __init__(self, measure: Measure, threads: int) -> None:
        self._measure, self._threads = measure, threads
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_up()

    def row(self, task: Task, end: float) -> tuple[Row, Peaks]:
        """The row, and the peaks as they are known now. Nothing is waited for after `end`.

        Raises Lost.
        """
        if time.monotonic() >= end:
            raise Lost(_START.name, "the time is over")
        connection = self._started()
        connection.send(task)
        stage, begun = _START, time.monotonic()
        while True:
            limit = min(begun + stage.seconds + _GRACE, end)
            if not connection.poll(max(0.0, limit - time.monotonic())):
                self._give_up()
                raise Lost(stage.name, f"not ready in {stage.seconds:.0f} s")
            try:
                found = connection.recv()
            except EOFError:
                code = self._give_up(patience=_GRACE)
                raise Lost(stage.name, f"ended its process with {code}") from None
            if not isinstance(found, Stage):
                row, peaks = found
                return row, peaks
            stage, begun = found, time.monotonic()

    def _started(self) -> Connection:
        if self._connection is None:
            context = multiprocessing.get_context("spawn")
            self._connection, there = context.Pipe()
            arguments = (there, self._measure, self._threads)
            self._process = context.Process(target=_serve, args=arguments, daemon=True)
            self._process.start()
            there.close()
        return self._connection

    def _give_up(self, patience: float = 0.0) -> int | None:
        """The exit code of the process, if there is one; it has so many seconds to end itself."""
        if self._process is None or self._connection is None:
            return None
        self._process.join(patience)
        self._process.kill()
        self._process.join()
        self._connection.close()
        code = self._process.exitcode
        self._process = self._connection = None
        return code


def _serve(connection: Connection, measure: Measure, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this process ends it
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    while True:
        try:
            task: Task = connection.recv()
        except EOFError:
            return
        connection.send((measure(task, connection.send), task.peaks))
