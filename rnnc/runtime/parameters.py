"""Parameters by path: checked, and brought into the form that the library takes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.manifest import Manifest, ParameterSpec, affine
from rnnc.runtime.memory import DTYPES, NOT_AN_ARRAY, Array


def stacked_path(template: str) -> str:
    """`lstm[l].W` without its brackets: `lstm.W`, the path of one array for all points."""
    return re.sub(r"\[[^\]]*\]", "", template)


Points = Mapping[tuple[int, ...], Array]  # an array for each grid point


def checked(manifest: Manifest, given: Mapping[str, npt.ArrayLike]) -> tuple[Points, ...]:
    """The points of each parameter of the manifest, from arrays by path: their memory, if possible.

    A complex parameter `p: complex[N]` is real[2, N], its real part and its imaginary part; a
    complex array [N] is taken apart.

    Raises every mistake at once: RNN721 for what is missing, RNN722 for what has no place, RNN723
    for a wrong shape, RNN724 for a wrong dtype, RNN725 for an int out of its range.
    """
    found: list[Diagnostic] = []
    arrays: dict[str, Array] = {}
    for name, entry in given.items():
        try:
            arrays[name] = np.asarray(entry)
        except NOT_AN_ARRAY as error:
            message = f"parameter '{name}' cannot be read as an array: {error}"
            found.append(Diagnostic("RNN724", message))
    if found:
        raise DiagnosticError(found)
    used: set[str] = set()
    stacks = stacked_positions(manifest)
    result: list[Points] = []
    for spec in manifest.parameters:
        points: dict[tuple[int, ...], Array] = {}
        stack = stacked_path(spec.template)
        for point, path in zip(spec.points, spec.paths, strict=True):
            value, name = arrays.get(path), path
            if value is None and spec.dims and stack in arrays:
                name = stack
                value = _from_stack(arrays[stack], stacks[stack], point, spec, stack, found)
                if value is None:
                    used.add(stack)
                    break
            if value is None:
                message = f"parameter '{path}' is missing: {spec.dtype}{list(spec.shape)}"
                found.append(Diagnostic("RNN721", message))
                continue
            used.add(name)
            if np.iscomplexobj(value) and spec.shape == (2, *value.shape):
                value = np.stack([value.real, value.imag])  # as complex parameters are stored
            problem = _problem(path, value, spec, point)
            if problem is not None:
                found.append(problem)
                continue
            points[point] = value
        result.append(points)
    known = [path for spec in manifest.parameters for path in spec.paths]
    for name in arrays:
        if name not in used:
            close = difflib.get_close_matches(str(name), known, 1)
            hints = (f"did you mean '{close[0]}'?",) if close else ()
            message = f"the model has no parameter '{name}'"
            found.append(Diagnostic("RNN722", message, hints=hints))
    if found:
        raise DiagnosticError(found)
    return tuple(result)


def stacked_positions(manifest: Manifest) -> dict[str, tuple[tuple[int, int], ...]]:
    """For each stacked path the range of every static dim over all its specs."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for spec in manifest.parameters:
        own = [(lower, upper) for _, lower, upper in spec.dims]
        known = ranges.get(stacked_path(spec.template))
        if known is not None and len(known) == len(own):
            own = [(min(a, c), max(b, d)) for (a, b), (c, d) in zip(known, own, strict=True)]
        ranges[stacked_path(spec.template)] = own
    return {name: tuple(own) for name, own in ranges.items()}


def arrays(manifest: Manifest, given: Sequence[Points]) -> list[Array]:
    """An array for each path, as the library takes it; copied only where its values or its memory
    do not fit."""
    with np.errstate(over="ignore"):  # what is too large is infinite
        return [
            np.require(points[point], DTYPES[spec.dtype], ["C_CONTIGUOUS", "ALIGNED"])
            for spec, points in zip(manifest.parameters, given, strict=True)
            for point in spec.points
        ]


def _from_stack(
    array: Array,
    ranges: tuple[tuple[int, int], ...],
    point: tuple[int, ...],
    spec: ParameterSpec,
    path: str,
    found: list[Diagnostic],
) -> Array | None:
    wanted = tuple(upper - lower for lower, upper in ranges)
    if array.shape[: len(wanted)] != wanted:
        shape = [*wanted, *spec.shape]
        message = f"parameter '{path}' is {list(array.shape)} but must be {shape}"
        found.append(Diagnostic("RNN723", message))
        return None
    index = tuple(i - lower for i, (lower, _) in zip(point, ranges, strict=True))
    return np.asarray(array[index])


def _problem(
    path: str, value: Array, spec: ParameterSpec, point: tuple[int, ...]
) -> Diagnostic | None:
    if value.shape != spec.shape:
        message = f"parameter '{path}' is {list(value.shape)} but must be {list(spec.shape)}"
        return Diagnostic("RNN723", message)
    allowed = {"real": "fiub", "int": "iu", "bool": "b"}[spec.dtype]
    if value.dtype.kind not in allowed:
        message = f"parameter '{path}' holds {value.dtype} but must hold {spec.dtype} values"
        return Diagnostic("RNN724", message)
    if spec.dtype == "int" and value.size:
        return _out_of_range(path, value, spec, point)
    return None


def _out_of_range(
    path: str, value: Array, spec: ParameterSpec, point: tuple[int, ...]
) -> Diagnostic | None:
    """Kernels trust indices: an int outside its range would be read outside an array."""
    least, most = int(np.iinfo(np.int32).min), int(np.iinfo(np.int32).max) + 1
    if spec.range is not None:
        names = {name: i for (name, _, _), i in zip(spec.dims, point, strict=True)}
        least, most = (affine(form, names) for form in spec.range)
    bad = [int(entry) for entry in (value.min(), value.max()) if not least <= int(entry) < most]
    if not bad:
        return None
    message = f"parameter '{path}' holds {bad[0]}, which is not in {least}..{most}"
    return Diagnostic("RNN725", message)
