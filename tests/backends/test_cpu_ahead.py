"""What is asked for before a product: the vectors that its epilogue reads, and nothing else."""

from __future__ import annotations

import pytest
from rnnc.backends.cpu.ahead import vectors_read
from rnnc.backends.cpu.program import functions
from rnnc.backends.cpu.target import host
from rnnc.backends.tensorir.packing import products

from rnnc.driver import Compilation, Request, standard_source
from rnnc.plan.plan import Kernel


def compilation(hidden: int) -> Compilation:
    sizes = {"X": hidden, "H": hidden, "L": 1}
    return Compilation(standard_source("stacked"), Request("stacked_lstm", sizes))


def recurrent(made: Compilation) -> Kernel:
    """The kernel that reads the state of the step before."""
    return next(kernel for kernel in made.plan.kernels if len(kernel.defines) > 12)


def test_epilogue_of_a_recurrent_product() -> None:
    made = compilation(256)
    kernel = recurrent(made)
    buffers = {buffer.name: buffer for buffer in made.plan.buffers}
    found = products(kernel, buffers, host().lanes("float32"))
    assert found is not None
    read = [access.buffer for access in vectors_read(kernel, found.skipped)]
    # Four gates of the products that were made for all steps, and the cell; not the vector h.
    assert len(read) == 5
    assert "c" in read
    assert "h" not in read


@pytest.mark.parametrize(("hidden", "asked"), [(256, True), (64, False)])
def test_only_long_products(hidden: int, asked: bool) -> None:
    text = "".join(
        function.script()
        for function in functions(compilation(hidden).plan, host())
        if function.attrs["global_symbol"] == "rnnc_forward_general"
    )
    assert ("llvm.prefetch" in text) == asked
