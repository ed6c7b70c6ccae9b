"""Independent pieces of work on all cores, where LLVM holds the time and threads cannot help.

LLVM's options are global, so two threads must not compile; a forked process has its own. What a
piece leaves behind are files, which do not depend on who made them.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import sys
import threading
import time
import warnings
from collections.abc import Callable

_NUMBER = struct.Struct("i")
_MOST_PIECES = 4096  # so many numbers a pipe holds before anybody reads
_PATIENCE = 30.0  # seconds for a helper's last piece; then it is taken for stuck


def side_by_side(work: Callable[[int], None], count: int) -> None:
    """`work(n)` for every n in 0..count, each in this process or in a forked helper.

    Helpers are taken only while no other Python thread runs, which could hold a lock at the fork,
    nor any of JAX, whose threads do.
    A helper that fails changes nothing: what it did not finish is done here, with its errors.
    """
    processes = min(usable_cores(), count)
    alone = threading.active_count() == 1 and "jax" not in sys.modules and hasattr(os, "fork")
    if processes < 2 or not alone or count > _MOST_PIECES:
        for piece in range(count):
            work(piece)
        return
    queue, todo = os.pipe()
    finished, report = os.pipe()
    os.write(todo, b"".join(_NUMBER.pack(number) for number in range(count)))
    os.close(todo)
    helpers = _helpers(processes - 1, work, queue, report)
    os.close(report)
    done: set[int] = set()
    try:
        while (number := _next(queue)) is not None:
            work(number)
            done.add(number)
        done |= _reported(finished)
    finally:
        os.close(queue)
        os.close(finished)
        for helper in helpers:
            os.kill(helper, signal.SIGKILL)  # it has ended, is stuck, or nobody wants its work
            os.waitpid(helper, 0)
    for piece in sorted(set(range(count)) - done):
        work(piece)


def usable_cores() -> int:
    """Of this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _helpers(count: int, work: Callable[[int], None], queue: int, report: int) -> list[int]:
    """The ids of forked processes that take numbers until there are none."""
    helpers: list[int] = []
    for _ in range(count):
        try:
            with warnings.catch_warnings():
                # Python warns of threads of libraries; they wait for work and hold no locks.
                warnings.simplefilter("ignore", DeprecationWarning)
                helper = os.fork()
        except OSError:  # a limit on processes or memory
            break
        if helper == 0:
            try:
                while (number := _next(queue)) is not None:
                    work(number)
                    os.write(report, _NUMBER.pack(number))
            finally:
                os._exit(0)  # nothing of the parent's is cleaned up here; it does what is missing
        helpers.append(helper)
    return helpers


def _next(queue: int) -> int | None:
    """The next number of a pipe; None at its end."""
    taken = os.read(queue, _NUMBER.size)
    return _NUMBER.unpack(taken)[0] if len(taken) == _NUMBER.size else None


def _reported(finished: int) -> set[int]:
    """What helpers report until all have ended, or one of them is stuck."""
    found: set[int] = set()
    deadline = time.monotonic() + _PATIENCE
    while select.select([finished], [], [], max(0.0, deadline - time.monotonic()))[0]:
        number = _next(finished)
        if number is None:
            break
        found.add(number)
        deadline = time.monotonic() + _PATIENCE
    return found
