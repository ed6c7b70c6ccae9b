"""Sequences that come one step at a time.

    stream = network.stream(batch=2)
    for x in steps:  # [batch, X]
        y = stream.step(x=x)["y"]

What a step needs of those before is kept in a stream: memory of a fixed size, of which the library
knows the layout.
"""

from __future__ import annotations

import ctypes
import operator
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.arguments import check_names, error, formed, misfit_of
from rnnc.runtime.library import Handle
from rnnc.runtime.manifest import Port, StepPorts
from rnnc.runtime.memory import DTYPES, Array, address, aligned_zeros
from rnnc.runtime.ports import grid_shape
from rnnc.runtime.threads import thread_count


class Stream:
    """The state of a sequence in each of `batch` rows. One thread at a time may use it."""

    def __init__(self, model: Handle, ports: StepPorts, batch: int, memory: Array) -> None:
        self.batch = batch
        self._model, self._ports, self._memory = model, ports, memory
        self._functions = model.library.streams
        self._place = ctypes.c_void_p()
        self._words = struct.Struct(f"{len(ports.inputs) + len(ports.outputs) + 2}q")
        self._shapes = {
            port.name: (*grid_shape(port, {}), batch, *port.shape)
            for port in (*ports.inputs, *ports.outputs)
        }

    @staticmethod
    def of(model: Handle, batch: int, start: Mapping[str, npt.ArrayLike]) -> Stream:
        """A stream before its first step."""
        manifest = model.library.manifest
        ports = manifest.steps
        if ports is None:
            message = f"'{manifest.model}' cannot be run step by step: {manifest.no_steps}"
            hint = "rnnc compile --emit c-library makes libraries with streams"
            raise error("RNN738", message, hint)
        size = model.library.streams.size(_index("batch", batch, 2**31))
        model.library.check(-min(size, 0))
        made = Stream(model, ports, batch, _memory(size))
        arrays = _collected(ports.start, start, batch)
        model.library.check(
            made._functions.init(
                model.address, batch, _words(arrays), *made._room, ctypes.byref(made._place)
            )
        )
        return made

    def step(self, *, threads: int = 1, **inputs: npt.ArrayLike) -> dict[str, Array]:
        """The next step of all rows: outputs by name. An input has the axes of a call without those
        of steps, `[batch, X]`; so has an output. On an error the stream is as before."""
        places = self._places(inputs)
        if places is None:
            arrays = _collected(self._ports.inputs, inputs, self.batch)
            places = [0 if array is None else address(array) for array in arrays]
        made = {
            port.name: np.empty(self._shapes[port.name], DTYPES[port.dtype])
            for port in self._ports.outputs
        }
        outputs = [address(array) for array in made.values()]
        words = self._words.pack(thread_count(threads), *places, *outputs, self._model.library.pool)
        code = self._functions.step(self._model.address, self._place, words)
        if code:
            self._model.library.check(code)
        return made

    def reset(self, row: int, **start: npt.ArrayLike) -> None:
        """Brings one row to before its first step; `start` are the inputs of this row alone, as of
        a batch of one."""
        arrays = _collected(self._ports.start, start, 1)
        number = _index("row", row, self.batch)
        code = self._functions.reset(self._model.address, self._place, number, _words(arrays))
        self._model.library.check(code)

    def copy(self) -> Stream:
        """Another stream in the same state."""
        made = Stream(self._model, self._ports, self.batch, _memory(self._memory.size))
        code = self._functions.copy(self._place, *made._room, ctypes.byref(made._place))
        self._model.library.check(code)
        return made

    @property
    def _room(self) -> tuple[int, int]:
        """Where the memory of a stream begins, and how much it is."""
        return address(self._memory), self._memory.size

    def _places(self, inputs: Mapping[str, npt.ArrayLike]) -> list[int] | None:
        """Where the inputs are, if all of them are there and as the library takes them."""
        if len(inputs) != len(self._ports.inputs):
            return None
        found: list[int] = []
        for port in self._ports.inputs:
            array = inputs.get(port.name)
            if (
                type(array) is not np.ndarray
                or array.dtype != DTYPES[port.dtype]
                or array.shape != self._shapes[port.name]
                or not (array.flags.c_contiguous and array.flags.aligned)
            ):
                return None
            found.append(address(array))
        return found


def _collected(
    ports: Sequence[Port], given: Mapping[str, npt.ArrayLike], batch: int
) -> list[Array | None]:
    """An array for each input, row-major; None for one that was left out. Raises RNN73x."""
    check_names(ports, given)
    wrong: list[Diagnostic] = []
    found: list[Array | None] = []
    for port in ports:
        if port.name not in given:
            found.append(None)
            continue
        try:
            array = formed(port, given[port.name], False)
        except DiagnosticError as problem:
            wrong += problem.diagnostics
            continue
        misfit = misfit_of(port, array, {}, batch, False)
        if misfit is not None:
            wrong.append(Diagnostic("RNN732", misfit))
        found.append(np.ascontiguousarray(array))
    if wrong:
        raise DiagnosticError(wrong)
    return found


def _words(arrays: Sequence[Array | None]) -> bytes:
    places = [0 if array is None else address(array) for array in arrays]
    return struct.pack(f"{len(places) + 1}q", *places, 0)


def _index(name: str, value: int, limit: int) -> int:
    """Raises RNN738."""
    try:
        found = operator.index(value)
    except TypeError as reason:
        raise error("RNN738", f"{name} must be an int, not {value!r}") from reason
    if not 0 <= found < limit:
        raise error("RNN738", f"{name} is {found}, which is not in 0..{limit}")
    return found


def _memory(size: int) -> Array:
    try:
        return aligned_zeros((size,), np.dtype(np.uint8))
    except MemoryError as reason:
        raise error("RNN736", f"not enough memory for this stream: {reason}") from reason
