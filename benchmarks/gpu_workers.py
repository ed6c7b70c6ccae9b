"""Work on a GPU, item by item in another process: one that hangs or breaks the GPU's state for its
process must not take the others along."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Lost(Exception):
    """An item whose process had to be given up; says why."""


class Workers(Generic[Result]):
    """`work`, a function of a module, returns a result and whether its process can go on.
    `seconds` is how long an item may take, the start of a process included."""

    def __init__(self, work: Callable[[str], tuple[Result, bool]], seconds: float) -> None:
        self._work, self._seconds = work, seconds

    def each(self, items: Sequence[str]) -> Iterator[tuple[str, Result | Lost]]:
        """All items in order, with their results."""
        context = multiprocessing.get_context("spawn")
        left = list(items)
        while left:
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, self._work, left), daemon=True)
            process.start()
            there.close()
            try:
                while left:
                    if not here.poll(self._seconds):
                        why = f"did not end within {self._seconds:.0f} s"
                        yield left.pop(0), Lost(why)
                        break
                    result, healthy = here.recv()
                    yield left.pop(0), result
                    if not healthy:
                        break
            except EOFError:
                process.join()
                yield left.pop(0), Lost(f"ended its process with {process.exitcode}")
            finally:
                process.kill()
                process.join()
                here.close()


def _serve(
    connection: Connection, work: Callable[[str], tuple[Result, bool]], items: Sequence[str]
) -> None:
    for item in items:
        found = work(item)
        connection.send(found)
        if not found[1]:
            return
