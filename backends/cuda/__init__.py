"""The CUDA backend: Plan -> TensorIR -> one CUDA C++ file -> PTX, machine code, library (nvcc).

Importing this package imports nothing of TVM; only the modules that emit code do.
"""

from .backend import BACKEND

__all__ = ["BACKEND"]
