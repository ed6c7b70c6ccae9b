"""Compiled models as modules of PyTorch.

tagger = rnnc.torch.Module("tagger.rnn", sizes={"X": 64, "H": 256})
y = tagger(x)["y"]

Importing this module imports torch and the runtime; the compiler is loaded only by what compiles.
"""

from rnnc.torch.module import Module

__all__ = ["Module"]
