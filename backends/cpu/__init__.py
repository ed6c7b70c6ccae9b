"""The CPU backend: Plan -> TensorIR -> object (LLVM) -> shared library with a small C runtime.

Importing this package imports nothing of TVM; only the modules that emit code do.
"""

from .backend import BACKEND

__all__ = ["BACKEND"]
