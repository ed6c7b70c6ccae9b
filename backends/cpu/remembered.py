"""Tilings that were measured to be better than the default: one JSON file in the user's cache.

    {"tilings": [{"cpu": ..., "rnnc": ..., "tvm": ..., "shape": {...}, "tiling": {...}}, ...]}

It holds those of all processors and versions that wrote to it; each reads its own. What cannot be
understood is left out with a warning: a cache never stops a compilation.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import tvm

from rnnc.atomic import make_folder, write_text
from rnnc.runtime import processor
from rnnc.runtime.records import decode
from rnnc.version import VERSION

from ..tensorir.tiling import Shape, Tiling
from .cache import cache_folder

_VARIABLE = "RNNC_TILINGS"


@dataclass(frozen=True, slots=True)
class Entry:
    """The tiling of a shape, measured on a processor with kernels of these versions."""

    cpu: str
    rnnc: str
    tvm: str
    shape: Shape
    tiling: Tiling


def place() -> Path:
    """The file: $RNNC_TILINGS, or rnnc/tilings.json in the user's cache."""
    if chosen := os.environ.get(_VARIABLE):
        return Path(chosen)
    return cache_folder() / "tilings.json"


def recall() -> tuple[tuple[Shape, Tiling], ...]:
    """What is known of this processor and these versions."""
    found: dict[Shape, Tiling] = {}
    for number, raw in enumerate(_entries(place())):
        try:
            entry = decode(Entry, raw)
        except ValueError as error:
            _warn(f"entry {number} is left out: {error}")
            continue
        if (entry.cpu, entry.rnnc, entry.tvm) != _here():
            continue
        if not entry.tiling.suits(entry.shape):
            _warn(f"entry {number} is left out: its tiling does not suit its shape")
            continue
        found[entry.shape] = entry.tiling
    return tuple(found.items())


def remember(shape: Shape, tiling: Tiling) -> None:
    """In place of what was known of the shape. The file is written whole or not at all (RNN792)."""
    made = json.loads(json.dumps(asdict(Entry(*_here(), shape, tiling))))
    others = [raw for raw in _entries(place()) if not _same(raw, made)]
    make_folder(place().parent)
    write_text(place(), json.dumps({"tilings": [*others, made]}, indent=1) + "\n")


def _here() -> tuple[str, str, str]:
    return processor.model(), VERSION, str(tvm.__version__)


def _entries(path: Path) -> list[object]:
    """As they were read; none if there is no file, or no file of this kind."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        _warn(f"it cannot be read: {error}")
        return []
    entries = data.get("tilings") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        _warn("it is no file of tilings")
        return []
    return entries


def _same(raw: object, made: Mapping[str, object]) -> bool:
    """Whether two entries are of one shape, processor and version."""
    if not isinstance(raw, dict):
        return False
    return all(raw.get(key) == made[key] for key in ("cpu", "rnnc", "tvm", "shape"))


def _warn(problem: str) -> None:
    warnings.warn(f"tuned tilings in '{place()}': {problem}", stacklevel=3)
