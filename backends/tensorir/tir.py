"""TensorIR by construction: a builder that knows loops, vectors and nothing of recurrences.

TVMScript parses Python source and its pipeline runs forty passes. Kernels that are generated as
explicit vector code need neither: they go from these nodes to LLVM directly.

Conventions: offsets are int64 counts of elements; vectors are contiguous; a store or load needs no
alignment beyond that of one element (on current processors the unaligned instruction costs nothing
where the address happens to be aligned).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from tvm import tirx
from tvm.ir import PointerType, PrimType

Expr: TypeAlias = tirx.Expr
Statement: TypeAlias = tirx.Stmt
Buffer: TypeAlias = tirx.Buffer
Function: TypeAlias = tirx.PrimFunc

_UNBOUNDED = 1 << 40
_DTYPE_BYTES = {
    "uint8": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "float32": 4,
    "float64": 8,
}
_LINE = 64  # bytes of a cache line


# ---- expressions ------------------------------------------------------------------------------


def int64(value: int | Expr) -> Expr:
    """A constant, or an integer expression widened."""
    if isinstance(value, int):
        return tirx.IntImm("int64", value)
    return value if dtype_of(value) == "int64" else tirx.Cast("int64", value)


def int32(value: int) -> Expr:
    return tirx.IntImm("int32", value)


def dtype_of(value: Expr) -> str:
    """The dtype with its lanes: float32, int64, float32x16."""
    return str(value.ty)


def element_of(dtype: str) -> str:
    """float32x16 -> float32."""
    return dtype.partition("x")[0] if "x" in dtype else dtype


def lanes_of(value: Expr) -> int:
    _, _, lanes = dtype_of(value).partition("x")
    return int(lanes) if lanes else 1


def with_lanes(dtype: str, lanes: int) -> str:
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def splat(value: Expr, lanes: int) -> Expr:
    """`value` in every lane."""
    return value if lanes == 1 else tirx.Broadcast(value, lanes)


def constant(value: float, like: Expr) -> Expr:
    """A number of the dtype and lanes of `like`."""
    dtype = element_of(dtype_of(like))
    make = tirx.FloatImm if dtype.startswith("float") else tirx.IntImm
    number = make(dtype, value if make is tirx.FloatImm else int(value))
    return splat(number, lanes_of(like))


def intrinsic(name: str, dtype: str, *arguments: Expr) -> Expr:
    """A call of an LLVM intrinsic; the overload follows from the types."""
    return tirx.call_llvm_intrin(dtype, name, *arguments)


def multiply_add(a: Expr, b: Expr, c: Expr) -> Expr:
    """a * b + c in one instruction where the processor has one."""
    return intrinsic("llvm.fmuladd", dtype_of(c), a, b, c)


def minimum(a: Expr, b: Expr) -> Expr:
    """b if it is NaN or smaller than a, else a: NaN in the *second* operand passes through."""
    return tirx.Select(tirx.LT(a, b), a, b)


def maximum(a: Expr, b: Expr) -> Expr:
    """b if it is NaN or larger than a, else a: NaN in the *second* operand passes through."""
    return tirx.Select(tirx.GT(a, b), a, b)


def quotient(a: Expr, b: Expr | int) -> Expr:
    """a / b for integers that are not negative: the plain division instruction."""
    return tirx.Div(a, int64(b))


def remainder(a: Expr, b: Expr | int) -> Expr:
    """a % b for integers that are not negative."""
    return tirx.Mod(a, int64(b))


def ceiling_quotient(a: Expr, b: int) -> Expr:
    """The least number of blocks of `b` that cover `a`."""
    return quotient(a + int64(b - 1), b)


def first_lanes(count: Expr, lanes: int) -> Expr:
    """The mask of the lanes below `count` (int64)."""
    numbers = tirx.Ramp(int32(0), int32(1), lanes)
    return tirx.LT(numbers, tirx.Broadcast(tirx.Cast("int32", count), lanes))


# ---- memory -----------------------------------------------------------------------------------


def load(buffer: Buffer, offset: Expr | int, lanes: int = 1) -> Expr:
    """`lanes` consecutive elements."""
    return tirx.BufferLoad(buffer, [_index(offset, lanes)])


def masked_load(buffer: Buffer, offset: Expr | int, mask: Expr) -> Expr:
    """Elements where `mask` holds, zero elsewhere; what the mask hides is not touched."""
    lanes = lanes_of(mask)
    element = buffer.ty.dtype
    zero = constant(0, tirx.BufferLoad(buffer, [_index(0, lanes)]))
    return intrinsic(
        "llvm.masked.load", with_lanes(str(element), lanes), address(buffer, offset), mask, zero
    )


def address(buffer: Buffer, offset: Expr | int) -> Expr:
    return tirx.address_of(tirx.BufferLoad(buffer, [int64(offset)]))


def _index(offset: Expr | int, lanes: int) -> Expr:
    start = int64(offset)
    return start if lanes == 1 else tirx.Ramp(start, int64(1), lanes)


# ---- statements -------------------------------------------------------------------------------


class Builder:
    """The statements of one function, in order; `with` opens what nests.

    Parameters are declared first, in the order of the C signature. Every pointer is a buffer of
    its own, and LLVM is told that different buffers do not overlap: memory that is written under
    one name and read under another needs one buffer, or a barrier in between.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._parameters: list[Expr] = []
        self._blocks: list[list[Statement]] = [[]]

    # parameters

    def pointer(self, name: str, dtype: str = "float32") -> Buffer:
        """A parameter `dtype *name`."""
        variable = tirx.Var(name, PointerType(PrimType(dtype)))
        self._parameters.append(variable)
        buffer = view(name, dtype)
        self.add(tirx.DeclBuffer(buffer, data=variable))
        return buffer

    def scalar(self, name: str, dtype: str = "int64") -> Expr:
        """A parameter passed by value; dtype "handle" is `void *`."""
        variable = tirx.Var(name, dtype)
        self._parameters.append(variable)
        return variable

    # statements

    def add(self, statement: Statement) -> None:
        self._blocks[-1].append(statement)

    def let(self, value: Expr, name: str = "v") -> Expr:
        """`value`, computed once, here; visible to the end of the enclosing block.

        It goes through memory of the function, which LLVM turns into a register at once. TVM's own
        binding node is of no use: its code generator substitutes bound values into one another,
        which takes time exponential in the length of the chain.
        """
        dtype, lanes = element_of(dtype_of(value)), lanes_of(value)
        if dtype == "bool":  # in memory it is a byte
            byte = self.let(tirx.Cast(with_lanes("uint8", lanes), value), name)
            return tirx.NE(byte, constant(0, byte))
        memory = self.local(name, lanes, dtype)
        self.store(memory, 0, value)
        return load(memory, 0, lanes)

    def store(self, buffer: Buffer, offset: Expr | int, value: Expr) -> None:
        """A scalar or vector to consecutive elements."""
        self.add(tirx.BufferStore(buffer, value, [_index(offset, lanes_of(value))]))

    def masked_store(self, buffer: Buffer, offset: Expr | int, value: Expr, mask: Expr) -> None:
        """Only the lanes of `mask`; the others are not touched."""
        target = address(buffer, offset)
        self.add(tirx.Evaluate(intrinsic("llvm.masked.store", "void", value, target, mask)))

    def local(self, name: str, size: int, dtype: str = "float32") -> Buffer:
        """Room for `size` elements of the function itself: registers where indices are constant."""
        buffer = _buffer(name, dtype, size, "local")
        self.add(tirx.AllocBuffer(buffer))
        return buffer

    def aligned(self, name: str, size: int, dtype: str = "float32") -> tuple[Buffer, Expr]:
        """Room like `local`, and the first of its elements that begins a cache line.

        What is stored and loaded again in vectors should not lie across two lines; TVM does not
        align the stack.
        """
        width = _DTYPE_BYTES[dtype]
        buffer = self.local(name, size + _LINE // width, dtype)
        begin = tirx.reinterpret("int64", address(buffer, 0))
        ahead = tirx.FloorMod(-begin, int64(_LINE))
        return buffer, self.let(quotient(ahead, width), "aligned")

    def prefetch(self, buffer: Buffer, offset: Expr | int) -> None:
        """Ask for the cache line at `offset`, which need not exist."""
        arguments = (address(buffer, offset), int32(0), int32(3), int32(1))
        self.add(tirx.Evaluate(intrinsic("llvm.prefetch", "void", *arguments)))

    def call(self, function: str, *arguments: Expr) -> None:
        """Call the C function `int32_t function(arguments)`, which may touch any memory."""
        self.add(tirx.Evaluate(tirx.call_extern("int32", function, *arguments)))

    @contextmanager
    def loop(
        self, start: Expr | int, stop: Expr | int, step: int = 1, name: str = "i"
    ) -> Iterator[Expr]:
        """for (int64_t i = start; i < stop; i += step)"""
        variable = tirx.Var(name, "int64")
        extent = stop - start if isinstance(stop, int) and isinstance(start, int) else None
        with self._nested() as body:
            yield variable
        count = int64(extent) if extent is not None else int64(stop) - int64(start)
        if isinstance(start, int) and start == 0:
            count = int64(stop)
        kind = tirx.ForKind.SERIAL
        stride = int64(step) if step != 1 else None
        self.add(tirx.For(variable, int64(start), count, kind, _sequence(body), step=stride))

    @contextmanager
    def when(self, condition: Expr) -> Iterator[None]:
        """if (condition) { ... }"""
        with self._nested() as body:
            yield
        self.add(tirx.IfThenElse(condition, _sequence(body), None))

    @contextmanager
    def block(self) -> Iterator[None]:
        """{ ... }: names bound inside end with it."""
        with self._nested() as body:
            yield
        self.add(_sequence(body))

    @contextmanager
    def _nested(self) -> Iterator[list[Statement]]:
        body: list[Statement] = []
        self._blocks.append(body)
        yield body
        self._blocks.pop()

    def finish(self) -> Function:
        """The function `int32_t name(parameters)`, which returns 0, with the C calling convention.

        It is not marked `noalias`: LLVM could then carry values over a barrier in registers,
        because a call cannot change memory that only a noalias pointer reaches.
        """
        body = [*self._blocks[0], tirx.Return(int32(0))]
        function = tirx.PrimFunc(self._parameters, _sequence(body), ret_type=PrimType("int32"))
        return function.with_attr({"global_symbol": self.name, "calling_conv": 1})


def view(name: str, dtype: str) -> Buffer:
    """Memory behind a pointer, of any size."""
    return _buffer(name, dtype, _UNBOUNDED, "global")


def _buffer(name: str, dtype: str, size: int, scope: str) -> Buffer:
    # Element alignment: arrays of users come from anywhere.
    alignment = _DTYPE_BYTES[dtype]
    return tirx.decl_buffer((size,), dtype, name, scope=scope, data_alignment=alignment)


def _sequence(statements: Sequence[Statement]) -> Statement:
    if len(statements) == 1:
        return statements[0]
    return tirx.SeqStmt(list(statements)) if statements else tirx.Evaluate(int32(0))
