"""Device functions in TensorIR as CUDA C++ text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import PointerType, PrimType

from ..tensorir.tir import Buffer, Builder, Expr, Function, Statement, dtype_of, int64, view
from .tiles import BLOCK

_ARCHITECTURE = "sm_80"  # for TVM; the text holds for all later ones


class DeviceBuilder(Builder):
    """Builds `__global__ void name(parameters)`, a grid of blocks of `block` threads."""

    def __init__(self, name: str, block: int = BLOCK) -> None:
        super().__init__(name)
        self.block_size = block
        self._block = tirx.Var("block", "int32")
        self._thread = tirx.Var("thread", "int32")
        self.blocks = self.scalar("blocks")  # the host passes how many there are
        self._scratch: dict[str, tuple[Expr, Buffer, int]] = {}

    @property
    def thread(self) -> Expr:
        """The number of this thread in its block."""
        return int64(self._thread)

    def scratch(self, function: str, count: int, dtype: str = "float32") -> Buffer:
        """The memory of the block that `function<COUNT>()` gives: one for all who ask for it, as
        large as the most that is asked for."""
        if function not in self._scratch:
            name = function.removeprefix("rnnc_")
            variable = tirx.Var(name, PointerType(PrimType(dtype)))
            self._scratch[function] = (variable, view(name, dtype), 0)
        variable, buffer, most = self._scratch[function]
        self._scratch[function] = (variable, buffer, max(count, most))
        return buffer

    def grid(self) -> tuple[Expr, Expr]:
        """The number of this thread in the grid, and of all threads."""
        number = int64(self._block) * int64(self.block_size) + int64(self._thread)
        count = self.blocks * int64(self.block_size)
        return self.let(number, "number"), self.let(count, "threads")

    def shared(self) -> Buffer:
        """The shared memory that the host asks for when it launches, as floats."""
        pointer = PointerType(PrimType("float32"))
        variable = tirx.Var("shared", pointer)
        self.add(tirx.Bind(variable, tirx.call_extern(pointer, "rnnc_shared")))
        buffer = view("shared", "float32")
        self.add(tirx.DeclBuffer(buffer, data=variable))
        return buffer

    @contextmanager
    def unrolled(self, count: int, name: str) -> Iterator[Expr]:
        """A loop whose turns the compiler writes one after another: indices are constants."""
        variable = tirx.Var(name, "int64")
        with self._nested() as body:
            yield variable
        statement = tirx.SeqStmt(list(body)) if len(body) > 1 else body[0]
        kind = tirx.ForKind.UNROLLED
        self.add(tirx.For(variable, int64(0), int64(count), kind, statement))

    @contextmanager
    def times(self, count: int, name: str) -> Iterator[Expr]:
        """A plain loop."""
        with self.loop(0, count, name=name) as number:
            yield number

    def let(self, value: Expr, name: str = "v") -> Expr:
        """Integers are constants of the text, which TVM's C generator, unlike its LLVM one, keeps
        as such. For floats its simplifier is not made: they go through memory, as everywhere."""
        if dtype_of(value).startswith("float"):
            return super().let(value, name)
        variable = tirx.Var(name, value.ty)
        self.add(tirx.Bind(variable, value))
        return variable

    def kernel(self) -> Function:
        """The finished function."""
        statements: list[Statement] = []
        for function, (variable, buffer, count) in self._scratch.items():
            found = tirx.call_extern(variable.ty, f"{function}<{count}>")
            statements += [tirx.Bind(variable, found), tirx.DeclBuffer(buffer, data=variable)]
        statements += self._blocks[0] or [tirx.Evaluate(tirx.IntImm("int32", 0))]
        statement: Statement = tirx.SeqStmt(statements)
        for variable, tag, extent in (
            (self._thread, "threadIdx.x", self.block_size),
            (self._block, "blockIdx.x", 1),
        ):
            axis = tirx.IterVar(None, variable, tirx.IterVar.ThreadIndex, tag)
            count = tirx.IntImm("int32", extent)
            statement = tirx.AttrStmt(axis, "thread_extent", count, statement)
        function = tirx.PrimFunc(self._parameters, statement)
        return function.with_attr({"global_symbol": self.name, "calling_conv": 2})


def cuda_text(functions: Sequence[Function]) -> str:
    """The functions as CUDA C++, without what TVM puts before them."""
    target = tvm.target.Target({"kind": "cuda", "arch": _ARCHITECTURE})
    named = {
        str(function.attrs["global_symbol"]): function.with_attr(
            {"target": target, "tirx.is_global_func": True}
        )
        for function in functions
    }
    module = tirx.transform.LowerIntrin()(tvm.IRModule(named))
    compiler = "tvm_callback_cuda_compile"
    before = tvm_ffi.get_global_func(compiler, allow_missing=True)
    # TVM would compile the text at once; we want nothing but the text.
    tvm_ffi.register_global_func(compiler, lambda code, target: "//", override=True)
    try:
        built = tvm_ffi.get_global_func("target.build.cuda")(module, target)
    finally:
        if before is not None:
            tvm_ffi.register_global_func(compiler, before, override=True)
    text = str(built.inspect_source("cuda"))
    text = text[text.index('extern "C" __global__') :]
    text = re.sub(r"^extern .*\);\n", "", text, flags=re.MULTILINE).strip() + "\n"
    # Blocks that hold weights have a processor for themselves, all of its registers included.
    others = rf"__launch_bounds__\((?!{BLOCK}\))(\d+)\)"
    text = re.sub(others, r"__launch_bounds__(\1, 1)", text)
    return "".join(map(_plain_scalars, re.split(r"(?=^extern)", text, flags=re.MULTILINE)))


_ZERO = r"\[\(int64_t\)0\]"


def _plain_scalars(function: str) -> str:
    """Arrays of one element as variables, where nothing but their element 0 is named."""
    single = set(re.findall(r"alignas\(\d\) \w+ (\w+)\[1\];", function))
    single -= set(re.findall(r"(\w+)\[(?!1\];)(?!\(int64_t\)0\])", function))

    def element(found: re.Match[str]) -> str:
        return found[1] if found[1] in single else found[0]

    def declared(found: re.Match[str]) -> str:
        return f"{found[1]} {found[2]};" if found[2] in single else found[0]

    function = re.sub(rf"\b(\w+){_ZERO}", element, function)
    function = re.sub(r"alignas\(\d\) (\w+) (\w+)\[1\];", declared, function)
    return re.sub(r"(\w+) (\w+);\n +\2 = ", r"\1 \2 = ", function)
