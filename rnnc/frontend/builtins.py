"""The names that every file knows."""

from __future__ import annotations

import math

CONSTANTS = {"pi": math.pi, "inf": math.inf}

# One tensor in, one of the same shape out.
_CURVES = ("sigmoid", "tanh", "relu", "softplus", "exp", "log", "sqrt", "abs", "sin", "cos")
POINTWISE = (*_CURVES, "floor", "re", "im", "conj", "stop_gradient", "identity")
REDUCTIONS = ("sum", "prod", "max", "min", "any", "all", "argmax", "mean", "logsumexp")
# Over grid names only these, too; `softmax` and `cumsum` keep the name.
GRID_FUNCTIONS = (*REDUCTIONS, "concat", "stack", "softmax", "cumsum")

# Positional parameters of the others; those after '?' may be left out.
PARAMETERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(POINTWISE, ("x",)),
    **dict.fromkeys((*REDUCTIONS, "softmax", "cumsum", "norm", "flip"), ("x", "?axis")),
    "max": ("x", "?y", "?axis"),
    "min": ("x", "?y", "?axis"),
    "split": ("x", "parts", "?axis"),
    "repeat": ("x", "count"),
    "reshape": ("x", "shape"),
    "outer": ("a", "b"),
    "fft": ("x",),
    "ifft": ("x",),
    "complex": ("re", "im"),
    "zeros": ("shape",),
    "ones": ("shape",),
    "eye": ("size",),
    "logaddexp": ("x", "y"),
    "straight_through": ("value", "gradient"),
    "dropout": ("rate", "x"),
}
# Any number of tensors.
VARIADIC = ("concat", "stack")
# In the default of a param only.
DISTRIBUTIONS = ("normal", "uniform", "orthogonal", "permutation")

BUILTINS = frozenset((*PARAMETERS, *VARIADIC, *DISTRIBUTIONS))
