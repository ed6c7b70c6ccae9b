"""The thread pool and the barrier, driven by C tasks that check one another."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.native import build

GLUE = r"""
#include "rnnc_runtime.h"
#include <stdatomic.h>

typedef struct {
  int32_t rounds, tasks, nested;
  int64_t done[RNNC_MAX_TASKS][8]; /* one cache line a task */
  atomic_int errors, entered;
} check;

static void nothing(void *argument, int32_t task, int32_t n, void *barrier) {
  (void)task; (void)n; (void)barrier;
  atomic_fetch_add((atomic_int *)argument, 1);
}

static void work(void *argument, int32_t task, int32_t n, void *barrier) {
  check *c = argument;
  c->tasks = n;
  atomic_fetch_add(&c->entered, 1);
  for (int32_t round = 1; round <= c->rounds; round++) {
    c->done[task][0] = round;
    rnnc_barrier(barrier, task);
    for (int32_t other = 0; other < n; other++)
      if (c->done[other][0] != round)
        atomic_fetch_add(&c->errors, 1);
    rnnc_barrier(barrier, task);
    if (c->nested && round == 1) {
      atomic_int count = 0;
      int32_t ran = rnnc_runtime_default()->parallel(nothing, &count, 4);
      if (count != ran || ran < 1)
        atomic_fetch_add(&c->errors, 1);
    }
  }
}

/* Returns the number of tasks, or -1 if any of them saw another in the wrong round. */
RNNC_EXPORT int32_t run(int32_t threads, int32_t rounds, int32_t nested) {
  check c = {.rounds = rounds, .nested = nested};
  int32_t ran = rnnc_runtime_default()->parallel(work, &c, threads);
  return c.errors || ran != c.tasks || ran != c.entered ? -1 : ran;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ctypes.CDLL]:
    yield build(tmp_path_factory.mktemp("runtime"), [], GLUE)


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 7])
def test_barriers_separate_rounds(library: ctypes.CDLL, threads: int) -> None:
    assert library.run(threads, 50, 0) == threads


def test_no_number_of_threads_is_wrong(library: ctypes.CDLL) -> None:
    assert library.run(0, 2, 0) == 1
    assert library.run(-5, 2, 0) == 1


def test_many_short_calls(library: ctypes.CDLL) -> None:
    """The next call must find the workers of the last one free."""
    assert [library.run(2, 1, 0) for _ in range(300)] == [2] * 300


def test_nested_calls(library: ctypes.CDLL) -> None:
    assert library.run(3, 3, 1) == 3


def test_concurrent_calls(library: ctypes.CDLL) -> None:
    """Each call gets what is free, at least its own thread."""
    results: list[int] = []

    def many() -> None:
        results.extend(library.run(3, 2, 1) for _ in range(30))

    callers = [threading.Thread(target=many) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 90
    assert all(1 <= tasks <= 3 for tasks in results)


def test_after_fork(library: ctypes.CDLL) -> None:
    """The child has no workers; it makes its own."""
    assert library.run(2, 2, 0) == 2
    child = os.fork()
    if child == 0:
        os._exit(0 if library.run(3, 2, 0) == 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert library.run(2, 2, 0) == 2


def test_first_calls_at_once(tmp_path: Path) -> None:
    """A pool that does not exist yet is created once."""
    fresh = build(tmp_path, [], GLUE)
    results: list[int] = []
    callers = [
        threading.Thread(target=lambda: results.append(fresh.run(4, 5, 0))) for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 4
    assert all(1 <= tasks <= 4 for tasks in results)
