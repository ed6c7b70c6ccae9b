"""The arguments of a call: checked against the signature, brought into form."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.manifest import Manifest, Port, affine
from rnnc.runtime.memory import DTYPES, Array, Ints


@dataclass(frozen=True, slots=True)
class Arguments:
    """Inputs in the order of the manifest, extents, batch, and each row's own extents."""

    inputs: tuple[Array, ...]
    extents: Mapping[str, int]
    batch: int
    lengths: Mapping[str, Ints]


def error(code: str, message: str, *hints: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic(code, message, hints=hints)])


def collect(
    manifest: Manifest,
    given: Mapping[str, npt.ArrayLike],
    extents: Mapping[str, int],
    lengths: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None,
    batch_first: bool,
) -> Arguments:
    """Raises RNN731 for missing or unknown inputs, RNN732 for shapes, RNN733 for dtypes and values,
    RNN734 for lengths; all wrong names are reported at once.
    """  # fmt: skip
    names = [port.name for port in manifest.inputs]
    wrong: list[Diagnostic] = []
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hints = (f"did you mean '{close[0]}'?",) if close else (f"inputs: {', '.join(names)}",)
            wrong.append(Diagnostic("RNN731", f"the model has no input '{name}'", hints=hints))
    for port in manifest.inputs:
        if port.name not in given and port.default is None:
            message = f"input '{port.name}' is missing: {shape_text(port)}"
            wrong.append(Diagnostic("RNN731", message))
    if wrong:
        raise DiagnosticError(wrong)
    arrays: dict[str, Array] = {}
    known = {name: int(value) for name, value in extents.items()}
    unknown = [name for name in known if name not in manifest.extents]
    if unknown:
        raise error("RNN732", f"the model has no run-time extent '{unknown[0]}'")
    batch: int | None = None
    for port in manifest.inputs:
        if port.name in given:
            array = typed(port, np.asarray(given[port.name]))
            array = in_order(port, array, batch_first)
            batch = measure(port, array, known, batch)
            arrays[port.name] = array
    missing = [name for name in manifest.extents if name not in known]
    if missing:
        hint = f"say it:  extents={{'{missing[0]}': 10}}"
        raise error("RNN732", f"no input tells the run-time extent '{missing[0]}'", hint)
    rows = 1 if batch is None else batch
    for port in manifest.inputs:
        if port.name not in arrays:
            shape = (*(dim_size(port, n, known) for n in range(len(port.dims))), rows, *port.shape)
            default = np.asarray(port.default, DTYPES[port.dtype])
            arrays[port.name] = np.ascontiguousarray(np.broadcast_to(default, shape))
    own = row_lengths(manifest, known, rows, lengths)
    for port in manifest.inputs:
        if port.range is not None:
            check_range(port, arrays[port.name], known, own)
    return Arguments(tuple(arrays[name] for name in names), known, rows, own)


def shape_text(port: Port) -> str:
    sizes = [dim_text(port, number) for number in range(len(port.dims))]
    return f"{port.dtype}[{', '.join([*sizes, 'batch', *map(str, port.shape)])}]"


def dim_text(port: Port, number: int) -> str:
    dim = port.dims[number]
    if dim.extent is None:
        return str(dim.size)
    return dim.extent if not dim.offset else f"{dim.extent}{dim.offset:+d}"


def dim_size(port: Port, number: int, extents: Mapping[str, int]) -> int:
    dim = port.dims[number]
    if dim.extent is None:
        assert dim.size is not None
        return dim.size
    return max(0, extents[dim.extent] + dim.offset)


def typed(port: Port, array: Array) -> Array:
    """The array in the port's own dtype; float64 becomes float32."""
    allowed = {"real": "fiub", "int": "iu", "bool": "b"}[port.dtype]
    if array.dtype.kind not in allowed:
        message = f"input '{port.name}' holds {array.dtype} but must hold {port.dtype} values"
        raise error("RNN733", message)
    if port.dtype == "int":
        array = _within_int32(port, array)
    return array.astype(DTYPES[port.dtype], copy=False)


def _within_int32(port: Port, array: Array) -> Array:
    """The array, or its nearest int32s: a wider int must not wrap around into a legal value.

    Where a range is declared, `check_range` finds them, unless they are beyond a row's length.
    """
    limits = np.iinfo(np.int32)
    if not array.size or (array.min() >= limits.min and array.max() <= limits.max):
        return array
    if port.range is None:
        raise error("RNN733", f"input '{port.name}' holds values that no int32 can hold")
    low = np.maximum(array, limits.min) if array.dtype.kind == "i" else array
    return np.minimum(low, limits.max)


def in_order(port: Port, array: Array, batch_first: bool) -> Array:
    """[static dims, run-time dims, batch, axes] from the caller's order."""
    wanted = len(port.dims) + 1 + len(port.shape)
    if array.ndim != wanted:
        message = f"input '{port.name}' has {array.ndim} axes but must be {shape_text(port)}"
        raise error("RNN732", message)
    running = sum(dim.extent is not None for dim in port.dims)
    if batch_first and running:
        first = len(port.dims) - running
        array = np.moveaxis(array, first, len(port.dims))
    contiguous = array.strides[len(port.dims) + 1 :]
    expected = np.empty(port.shape, array.dtype).strides
    return array if contiguous == expected else np.ascontiguousarray(array)


def measure(port: Port, array: Array, known: dict[str, int], batch: int | None) -> int:
    """Checks an array's shape; learns extents from it and returns the batch."""
    for number, dim in enumerate(port.dims):
        size = array.shape[number]
        if dim.extent is None:
            expected, why = dim.size, ""
        else:
            known.setdefault(dim.extent, size - dim.offset)
            expected = known[dim.extent] + dim.offset
            why = f" ({dim_text(port, number)} is {expected} elsewhere)"
        if size != expected:
            message = (
                f"input '{port.name}' is {list(array.shape)} but must be {shape_text(port)}: "
                f"axis {number} has {size}, not {expected}{why}"
            )
            raise error("RNN732", message)
    rows = int(array.shape[len(port.dims)])
    if batch is not None and rows != batch:
        message = f"input '{port.name}' has a batch of {rows}, the inputs before it one of {batch}"
        raise error("RNN732", message)
    if array.shape[len(port.dims) + 1 :] != port.shape:
        message = f"input '{port.name}' is {list(array.shape)} but must be {shape_text(port)}"
        raise error("RNN732", message)
    return rows


def row_lengths(
    manifest: Manifest,
    extents: Mapping[str, int],
    batch: int,
    given: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None,
) -> dict[str, Ints]:
    """int32 [batch] for each extent: what was given, else the extent itself."""
    named: dict[str, npt.ArrayLike] = {}
    if isinstance(given, Mapping):
        named = dict(given)
    elif given is not None:
        if len(manifest.extents) != 1:
            known = ", ".join(manifest.extents) or "none"
            message = f"lengths need the name of their extent: the model has {known}"
            raise error("RNN734", message, "give a dict:  lengths={'T': ...}")
        named = {manifest.extents[0]: given}
    for name in named:
        if name not in manifest.extents:
            raise error("RNN734", f"lengths for '{name}', which is no run-time extent")
    found: dict[str, Ints] = {}
    for name in manifest.extents:
        if name not in named:
            found[name] = np.full(batch, extents[name], np.int32)
            continue
        array: npt.NDArray[np.integer] = np.asarray(named[name])
        if array.shape != (batch,) or array.dtype.kind not in "iu":
            message = f"lengths of '{name}' must be {batch} ints, one a row"
            raise error("RNN734", f"{message}; found {array.dtype}{list(array.shape)}")
        if array.size and (array.min() < 0 or array.max() > extents[name]):
            bad = int(array.max() if array.max() > extents[name] else array.min())
            raise error("RNN734", f"a length of {bad} is not in 0..{extents[name]} ('{name}')")
        found[name] = array.astype(np.int32)
    return found


def check_range(
    port: Port, array: Array, extents: Mapping[str, int], lengths: Mapping[str, Ints]
) -> None:
    """Int inputs lie in their declared range, wherever the row has a value."""
    assert port.range is not None
    values = array.astype(np.int64)
    env: dict[str, int | npt.NDArray[np.int64]] = dict(extents)
    valid = np.ones((1,) * array.ndim, np.bool_)
    for number, dim in enumerate(port.dims):
        index = np.arange(array.shape[number], dtype=np.int64)
        index = index.reshape(-1, *(1,) * (array.ndim - number - 1))
        if dim.extent is not None:
            own = lengths[dim.extent].reshape(-1, *(1,) * len(port.shape))
            valid = valid & (index < own + dim.offset)
        env[dim.name] = index + port.lowers[number]
    lower = affine(port.range[0], env)  # type: ignore[arg-type]
    upper = affine(port.range[1], env)  # type: ignore[arg-type]
    outside = valid & ((values < lower) | (values >= upper))
    if np.any(outside):
        place = tuple(int(i) for i in np.argwhere(np.broadcast_to(outside, array.shape))[0])
        low = int(np.broadcast_to(lower, array.shape)[place])
        high = int(np.broadcast_to(upper, array.shape)[place])
        message = f"input '{port.name}' is {int(values[place])} at {list(place)}"
        raise error("RNN733", f"{message}, which is not in {low}..{high}")
