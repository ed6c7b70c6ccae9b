"""Work on a GPU, item by item in another process: one that hangs or breaks the GPU's state for its
process must not take the others along."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Lost(Exception):
    """An item that has no result; says why."""


@dataclass(frozen=True)
class Workers(Generic[Result]):
    """`work`, a function of a module, returns a result and whether its process can go on.

    `start` is called first in each process: it may take `seconds_to_start`, an item `seconds`.
    What is not done at `end` (of time.time()) is given up.
    """

    work: Callable[[str], tuple[Result, bool]]
    seconds: float
    start: Callable[[], object] = int
    seconds_to_start: float = 120.0
    end: float = float("inf")

    def each(self, items: Sequence[str]) -> Iterator[tuple[str, Result | Lost]]:
        """All items in order, with their results."""
        context = multiprocessing.get_context("spawn")
        left = list(items)
        while left:
            if time.time() > self.end:
                yield left.pop(0), Lost("no time was left")
                continue
            here, there = context.Pipe()
            own = (there, self.start, self.work, left)
            process = context.Process(target=_serve, args=own, daemon=True)
            process.start()
            there.close()
            try:
                self._await(here, self.seconds_to_start, "did not start")
                here.recv()
                while left:
                    self._await(here, self.seconds, "did not end")
                    result, healthy = here.recv()
                    yield left.pop(0), result
                    if not healthy:
                        break
            except Lost as why:
                yield left.pop(0), why
            except EOFError:
                process.join()
                yield left.pop(0), Lost(f"ended its process with {process.exitcode}")
            finally:
                process.kill()
                process.join()
                here.close()

    def _await(self, connection: Connection, seconds: float, problem: str) -> None:
        """Until there is something to receive. Raises Lost."""
        given = max(0.0, min(seconds, self.end - time.time()))
        if not connection.poll(given):
            raise Lost(f"{problem} within {given:.0f} s")


def _serve(
    connection: Connection,
    start: Callable[[], object],
    work: Callable[[str], tuple[Result, bool]],
    items: Sequence[str],
) -> None:
    start()
    connection.send(True)
    for item in items:
        found = work(item)
        connection.send(found)
        if not found[1]:
            return
