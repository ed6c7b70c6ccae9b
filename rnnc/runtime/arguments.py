"""The arguments of a call: checked against the signature, brought into form."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.manifest import Affine, DType, Manifest, Port
from rnnc.runtime.memory import DTYPES, NOT_AN_ARRAY, Array, Ints
from rnnc.runtime.ports import batch_before, batch_last, dim_text, grid_shape, shape_text

_MOST = int(np.iinfo(np.int32).max)  # kernels take lengths as int32
KINDS: dict[DType, str] = {"real": "fiub", "int": "iu", "bool": "b"}  # NumPy's, that are taken
Lengths = npt.ArrayLike | Mapping[str, npt.ArrayLike]


@dataclass(frozen=True, slots=True)
class Arguments:
    """Inputs in the order of the manifest, extents, batch, and each row's own extents; `ragged` if
    rows were given extents of their own.

    Inputs are aligned, of the port's dtype, in the order of axes that kernels know, with contiguous
    value axes; those that were left out are None.
    """

    inputs: tuple[Array | None, ...]
    extents: Mapping[str, int]
    batch: int
    lengths: Mapping[str, Ints]
    ragged: bool


def error(code: str, message: str, *hints: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic(code, message, hints=hints)])


def collect(
    manifest: Manifest,
    given: Mapping[str, npt.ArrayLike],
    extents: Mapping[str, int],
    lengths: Lengths | None,
    batch_first: bool,
) -> Arguments:
    """Raises RNN731 for missing or unknown inputs, RNN732 for shapes, RNN733 for dtypes and RNN734
    for lengths; all inputs that are wrong are reported at once. Ranges are left to the library.
    """
    check_names(manifest.inputs, given)
    wrong: list[Diagnostic] = []
    found: dict[str, Array] = {}
    for port in manifest.inputs:
        if port.name in given:
            try:
                found[port.name] = formed(port, given[port.name], batch_first)
            except DiagnosticError as problem:
                wrong += problem.diagnostics
    if wrong:
        raise DiagnosticError(wrong)
    ports = [port for port in manifest.inputs if port.name in found]
    known = _extents(manifest, ports, found, extents)
    batch = int(found[ports[0].name].shape[len(ports[0].dims)]) if ports else 1
    for port in ports:
        misfit = misfit_of(port, found[port.name], known, batch, batch_first)
        if misfit is not None:
            wrong.append(Diagnostic("RNN732", misfit))
    if wrong:
        raise DiagnosticError(wrong)
    own = row_lengths(manifest, known, batch, lengths)
    inputs = tuple(found.get(port.name) for port in manifest.inputs)
    return Arguments(inputs, known, batch, own, lengths is not None)


# ---- one input --------------------------------------------------------------------------------


def formed(port: Port, value: npt.ArrayLike, batch_first: bool) -> Array:
    """The array as kernels take it; copied only where its values or its memory do not fit."""
    try:
        array = np.asarray(value)
    except NOT_AN_ARRAY as reason:
        message = f"input '{port.name}' cannot be read as an array: {reason}"
        raise error("RNN733", message) from reason
    place = len(port.dims) + 1
    if (
        np.iscomplexobj(array)
        and port.shape[:1] == (2,)
        and array.ndim == place + len(port.shape) - 1
    ):
        array = np.stack([array.real, array.imag], axis=place)  # how kernels know complex inputs
    if array.dtype.kind not in KINDS[port.dtype]:
        message = f"input '{port.name}' holds {array.dtype} but must hold {port.dtype} values"
        raise error("RNN733", message)
    wanted = len(port.dims) + 1 + len(port.shape)
    if array.ndim != wanted:
        text = shape_text(port, batch_first)
        message = f"input '{port.name}' has {array.ndim} axes but must be {text}"
        raise error("RNN732", message)
    if port.dtype == "int":
        array = _within_int32(port, array)
    array = array.astype(DTYPES[port.dtype], copy=False)
    if batch_first:
        array = batch_last(port, array)
    return array if _fits_kernels(port, array) else np.array(array, order="C")


def _fits_kernels(port: Port, array: Array) -> bool:
    """Aligned, and the value axes are contiguous."""
    expected = array.itemsize
    for axis in range(array.ndim - 1, len(port.dims), -1):
        if array.shape[axis] != 1 and array.strides[axis] != expected:
            return False
        expected *= array.shape[axis]
    return bool(array.flags.aligned)


def _within_int32(port: Port, array: Array) -> Array:
    """The array, or its nearest int32s: a wider int must not wrap around into a legal value.

    Where a range is declared, `in_range` finds them, unless they are beyond a row's length.
    """
    limits = np.iinfo(np.int32)
    if not array.size or (array.min() >= limits.min and array.max() <= limits.max):
        return array
    if port.range is None:
        raise error("RNN733", f"input '{port.name}' holds values that no int32 can hold")
    low = np.maximum(array, limits.min) if array.dtype.kind == "i" else array
    return np.minimum(low, limits.max)


# ---- all inputs -------------------------------------------------------------------------------


def check_names(ports: Sequence[Port], given: Mapping[str, npt.ArrayLike]) -> None:
    """Whether these are the inputs, and all that have no default. Raises RNN731."""
    names = [port.name for port in ports]
    wrong: list[Diagnostic] = []
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            listed = ", ".join(names) or "none"
            hint = f"did you mean '{close[0]}'?" if close else f"inputs: {listed}"
            wrong.append(Diagnostic("RNN731", f"the model has no input '{name}'", hints=(hint,)))
    for port in ports:
        if port.name not in given and port.default is None:
            message = f"input '{port.name}' is missing: {shape_text(port)}"
            wrong.append(Diagnostic("RNN731", message))
    if wrong:
        raise DiagnosticError(wrong)


def _extents(
    manifest: Manifest,
    ports: list[Port],
    arrays: Mapping[str, Array],
    given: Mapping[str, int],
) -> dict[str, int]:
    """All extents: as the caller says, else as the first input has them. Raises RNN732."""
    known: dict[str, int] = {}
    for name, value in given.items():
        if name not in manifest.extents:
            listed = ", ".join(manifest.extents) or "none"
            raise error("RNN732", f"the model has no extent '{name}'", f"extents: {listed}")
        try:
            known[name] = operator.index(value)
        except TypeError as reason:
            raise error("RNN732", f"extent '{name}' must be an int, not {value!r}") from reason
        if not 0 <= known[name] <= _MOST:
            raise error("RNN732", f"extent '{name}' is {value}, which is not in 0..{_MOST + 1}")
    dims = [
        (dim.extent, dim.offset, int(arrays[port.name].shape[axis]))
        for port in ports
        for axis, dim in enumerate(port.dims)
        if dim.extent is not None
    ]
    # An empty axis of T-1 steps may be of T = 1 or of T = 0: asked last.
    for extent, offset, size in sorted(dims, key=lambda dim: dim[2] == 0 and dim[1] < 0):
        known.setdefault(extent, max(0, size - offset))
    missing = [name for name in manifest.extents if name not in known]
    if missing:
        named = ", ".join(f"'{name}': 10" for name in missing)
        message = f"no input tells the extent {', '.join(missing)}"
        raise error("RNN732", message, f"say it:  extents={{{named}}}")
    return {name: known[name] for name in manifest.extents}


def misfit_of(
    port: Port, array: Array, extents: Mapping[str, int], batch: int, batch_first: bool
) -> str | None:
    """What is wrong with an array's shape."""
    given = list((batch_before(port, array) if batch_first else array).shape)
    start = f"input '{port.name}' is {given} but must be {shape_text(port, batch_first)}"
    grid = len(port.dims)
    for axis, expected in enumerate(grid_shape(port, extents)):
        if array.shape[axis] != expected:
            text = dim_text(port, axis)
            return start if text.isdecimal() else f"{start}, and {text} is {expected}"
    if array.shape[grid] != batch:
        return f"{start}, and the batch is {batch}"
    return start if array.shape[grid + 1 :] != port.shape else None


def row_lengths(
    manifest: Manifest, extents: Mapping[str, int], batch: int, given: Lengths | None
) -> dict[str, Ints]:
    """int32 [batch] for each extent: what was given, else the extent itself. Raises RNN734."""
    named: dict[str, npt.ArrayLike] = {}
    if isinstance(given, Mapping):
        named = dict(given)
    elif given is not None:
        named = {only_extent(manifest): given}
    for name in named:
        if name not in manifest.extents:
            raise error("RNN734", f"lengths for '{name}', which is no run-time extent")
    return {
        name: _own(name, named[name], extents[name], batch)
        if name in named
        else np.full(batch, extents[name], np.int32)
        for name in manifest.extents
    }


def only_extent(manifest: Manifest) -> str:
    """What lengths without a name are lengths of. Raises RNN734."""
    if len(manifest.extents) != 1:
        known = ", ".join(manifest.extents) or "none"
        message = f"lengths need the name of their extent: the model has {known}"
        raise error("RNN734", message, "give a dict:  lengths={'T': ...}")
    return manifest.extents[0]


def _own(name: str, given: npt.ArrayLike, extent: int, batch: int) -> Ints:
    try:
        array = np.asarray(given)
    except NOT_AN_ARRAY as reason:
        raise error("RNN734", f"lengths of '{name}' are no array: {reason}") from reason
    empty = array.shape == (0,)  # NumPy takes an empty list for floats
    if array.shape != (batch,) or (array.dtype.kind not in "iu" and not empty):
        message = f"lengths of '{name}' must be {batch} ints, one a row"
        raise error("RNN734", f"{message}; found {array.dtype}{list(array.shape)}")
    for length in (array.min(), array.max()) if batch else ():
        if not 0 <= int(length) <= extent:
            raise error("RNN734", f"a length of {int(length)} is not in 0..{extent} ('{name}')")
    return np.ascontiguousarray(array, np.int32)


# ---- ranges -----------------------------------------------------------------------------------

Wide = npt.NDArray[np.int64]


def in_range(manifest: Manifest, arguments: Arguments, rows: Ints, starts: Ints) -> Arguments:
    """The arguments of sequences that were cut from rows, with all ints in their declared range.

    The library looks at ints itself, but knows nothing of `rows` and `starts`, the row and first
    step that each sequence was cut from, for the message (RNN733). An int at a step that its
    sequence does not have says nothing: it is replaced.
    """
    if all(port.range is None for port in manifest.inputs):
        return arguments
    inputs = tuple(
        array
        if port.range is None or array is None
        else _ranged(port, array, arguments, rows, starts)
        for port, array in zip(manifest.inputs, arguments.inputs, strict=True)
    )
    return replace(arguments, inputs=inputs)


def _ranged(port: Port, array: Array, arguments: Arguments, rows: Ints, starts: Ints) -> Array:
    assert port.range is not None
    after = (1,) * len(port.shape)
    own = {name: ints.reshape(-1, *after) for name, ints in arguments.lengths.items()}
    values: dict[str, Wide] = {name: ints.astype(np.int64) for name, ints in own.items()}
    exists = np.ones((1,) * array.ndim, np.bool_)
    for number, dim in enumerate(port.dims):
        index = np.arange(array.shape[number], dtype=np.int64)
        index = index.reshape(-1, *(1,) * (array.ndim - number - 1))
        if dim.extent is not None:
            exists = exists & (index < own[dim.extent] + dim.offset)
        values[dim.name] = index + port.lowers[number]
    lower, upper = (_affine(form, values) for form in port.range)
    ints = array.astype(np.int64)
    outside = (ints < lower) | (ints >= upper)
    if not outside.any():
        return array
    if not (outside & exists).any():
        return np.where(outside, lower, ints).astype(np.int32)
    place = [int(entry) for entry in np.argwhere(outside & exists)[0]]
    low = int(np.broadcast_to(lower, array.shape)[tuple(place)])
    high = int(np.broadcast_to(upper, array.shape)[tuple(place)])
    value = int(ints[tuple(place)])
    row = place[len(port.dims)]
    place[len(port.dims)] = int(rows[row])
    for number, dim in enumerate(port.dims):
        place[number] += int(starts[row]) if dim.extent is not None else 0
    message = f"input '{port.name}' is {value} at {place}, which is not in {low}..{high}"
    raise error("RNN733", message)


def _affine(form: Affine, values: Mapping[str, Wide]) -> Wide:
    total = np.zeros((), np.int64)
    for name, factor in form.items():
        total = total + factor * (values[name] if name else np.int64(1))
    return total
