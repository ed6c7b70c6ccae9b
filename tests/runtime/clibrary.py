"""A model's C library, called as C does it: with ctypes, by the names of its header."""

from __future__ import annotations

import ctypes
import functools
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from rnnc.driver import Compilation
from rnnc.ir.pointwise import Array
from rnnc.sampling import random_parameters
from rnnc.weights import WeightType
from tests.runtime.networks import compilation

_TYPES = {"int64_t": ctypes.c_int64}


@dataclass(frozen=True, slots=True)
class CLibrary:
    """`call` is the header's struct; `interface` the number that it was made with."""

    name: str
    folder: Path
    functions: ctypes.CDLL
    interface: int
    header: str
    call: type[ctypes.Structure]
    parameters: type[ctypes.Structure]

    def struct(self, name: str) -> type[ctypes.Structure]:
        return struct(self.header, f"{self.name}_{name}")

    @property
    def error(self) -> str:
        function = self.functions[f"{self.name}_error"]
        function.restype = ctypes.c_char_p
        return str(function().decode())

    def create(self, params: Mapping[str, Array]) -> ctypes.c_void_p:
        """A model from arrays by path."""
        given, model = self.parameters(), ctypes.c_void_p()
        kept = [c_array(array) for array in params.values()]
        for path, array in zip(params, kept, strict=True):
            setattr(given, c_name(path), array.ctypes.data)
        code = self.functions[f"{self.name}_create"](
            ctypes.c_uint64(self.interface), ctypes.byref(given), ctypes.byref(model)
        )
        assert code == 0, self.error
        return model

    def forward(self, model: ctypes.c_void_p, call: ctypes.Structure) -> int:
        return int(self.functions[f"{self.name}_forward"](model, ctypes.byref(call)))

    def workspace_size(self, call: ctypes.Structure) -> int:
        function = self.functions[f"{self.name}_workspace_size"]
        function.restype = ctypes.c_int64
        return int(function(ctypes.byref(call)))


def c_array(array: Array) -> Array:
    """As kernels take it: float32, int32 or one byte."""
    array = np.asarray(array)
    kinds = {"f": np.float32, "i": np.int32, "b": np.bool_}
    return np.asarray(array, kinds[array.dtype.kind], order="C")


def c_name(path: str) -> str:
    return re.sub(r"\W+", "_", path).strip("_")


def struct(header: str, name: str) -> type[ctypes.Structure]:
    """A struct of the header as ctypes has it."""
    match = re.search(rf"typedef struct {name} {{\n(.*?)\n}} {name};", header, re.DOTALL)
    assert match is not None
    members = re.findall(r"^  ([\w ]+?) ?(\*?)(\w+);", match[1], re.MULTILINE)
    fields = [(member, ctypes.c_void_p if star else _TYPES[kind]) for kind, star, member in members]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


@functools.cache
def c_library(name: str, weights: WeightType = "float32") -> CLibrary:
    return compiled_library(compilation(name, weights))


@functools.cache
def c_library_with_weights(name: str) -> CLibrary:
    """Those that tests draw with seed 0 are embedded."""
    made = compilation(name)
    drawn = random_parameters(made.graph, 0)
    with tempfile.TemporaryDirectory(prefix="rnnc-test-") as folder:
        weights = Path(folder) / "weights.safetensors"
        save_file({path: c_array(array) for path, array in drawn.items()}, weights)
        return compiled_library(made, weights)


def compiled_library(made: Compilation, embedded: Path | None = None) -> CLibrary:
    folder, name = Path(tempfile.mkdtemp(prefix="rnnc-test-")), made.graph.name
    made.build_c_library(folder, embedded)
    header = (folder / "include" / f"{name}.h").read_text()
    number = re.search(r"_INTERFACE UINT64_C\((\w+)\)", header)
    assert number is not None
    return CLibrary(
        name,
        folder,
        ctypes.CDLL(str(folder / "lib" / f"lib{name}.so")),
        int(number[1], 16),
        header,
        struct(header, f"{name}_call"),
        struct(header, f"{name}_parameters"),
    )


def called(
    library: CLibrary,
    model: ctypes.c_void_p,
    inputs: Mapping[str, Array],
    extents: Mapping[str, int],
    shapes: Mapping[str, Array],
    batch: int,
    lengths: Mapping[str, Array] | None = None,
    threads: int = 1,
    pool: int = 0,
) -> dict[str, Array]:
    """Outputs of the shapes and kinds of `shapes`, from memory that held something else."""
    given = {name: c_array(array) for name, array in inputs.items()}
    given |= {f"lengths_{name}": c_array(array) for name, array in (lengths or {}).items()}
    outputs = {name: np.full_like(c_array(array), 7) for name, array in shapes.items()}
    call = library.call(**extents, batch=batch, threads=threads, pool=pool)
    for name, array in (*given.items(), *outputs.items()):
        setattr(call, name, array.ctypes.data)
    workspace = np.full(library.workspace_size(call), 0xFF, np.uint8)
    call.workspace, call.workspace_size = workspace.ctypes.data, workspace.size
    assert library.forward(model, call) == 0, library.error
    return outputs


class Stream:
    """A stream of so many rows; `start` are the inputs that decide how it begins."""

    def __init__(
        self, library: CLibrary, model: ctypes.c_void_p, batch: int, start: Mapping[str, Array]
    ) -> None:
        self.library, self.model = library, model
        size = library.functions[f"{library.name}_stream_size"]
        size.restype = ctypes.c_int64
        self.memory = np.full(int(size(ctypes.c_int64(batch))), 0xFF, np.uint8)
        self.place = ctypes.c_void_p()
        kept, given = self.start(start)
        init = library.functions[f"{library.name}_stream_init"]
        code = init(
            *(model, ctypes.c_int64(batch), ctypes.byref(given)),
            *(ctypes.c_void_p(self.memory.ctypes.data), ctypes.c_int64(self.memory.size)),
            ctypes.byref(self.place),
        )
        assert code == 0 and kept is not None, library.error

    def start(self, given: Mapping[str, Array]) -> tuple[list[Array], ctypes.Structure]:
        kept, made = [c_array(array) for array in given.values()], self.library.struct("start")()
        for name, array in zip(given, kept, strict=True):
            if hasattr(made, name):
                setattr(made, name, array.ctypes.data)
        return kept, made

    def reset(self, row: int, start: Mapping[str, Array]) -> int:
        kept, given = self.start(start)
        function = self.library.functions[f"{self.library.name}_stream_reset"]
        code = function(self.model, self.place, ctypes.c_int64(row), ctypes.byref(given))
        assert kept is not None
        return int(code)

    def copy(self) -> Stream:
        other = object.__new__(Stream)
        other.library, other.model = self.library, self.model
        other.memory, other.place = np.empty_like(self.memory), ctypes.c_void_p()
        code = self.library.functions[f"{self.library.name}_stream_copy"](
            *(self.place, ctypes.c_void_p(other.memory.ctypes.data)),
            *(ctypes.c_int64(other.memory.size), ctypes.byref(other.place)),
        )
        assert code == 0, self.library.error
        return other

    def step(self, inputs: Mapping[str, Array], shapes: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs of the shapes and kinds of `shapes`."""
        call = self.library.struct("step_call")()
        given = {name: c_array(array) for name, array in inputs.items()}
        outputs = {name: np.full_like(c_array(array), 7) for name, array in shapes.items()}
        for name, array in (*given.items(), *outputs.items()):
            if hasattr(call, name):
                setattr(call, name, array.ctypes.data)
        step = self.library.functions[f"{self.library.name}_step"]
        assert step(self.model, self.place, ctypes.byref(call)) == 0, self.library.error
        return outputs
