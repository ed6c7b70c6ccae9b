"""rnnc compiles recurrent neural networks, written as equations, to native kernels."""

from rnnc.version import VERSION as __version__

__all__ = ["__version__"]
