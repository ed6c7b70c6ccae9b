"""rnnc compiles recurrent neural networks, written as equations, to native kernels.

    model = rnnc.compile("lstm.rnn", sizes={"X": 64, "H": 256, "L": 2})
    network = model.bind("weights.safetensors")
    y = network(x=x)["y"]

Importing this module imports nothing heavy; the compiler is loaded by the first call.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.version import VERSION as __version__

if TYPE_CHECKING:
    from rnnc.analysis.orders import Order
    from rnnc.driver import StaticValue
    from rnnc.runtime.model import Model
    from rnnc.weights import MathType, WeightType

__all__ = ["Diagnostic", "DiagnosticError", "__version__", "compile", "load"]


def compile(
    source: str | Path,
    *,
    sizes: Mapping[str, StaticValue] | None = None,
    model: str | None = None,
    hints: Mapping[str, int] | None = None,
    target: str = "cpu",
    order: Order = "auto",
    weights: WeightType = "float32",
    tuned: bool = True,
    math: MathType = "float32",
) -> Model:
    """Compiles a model and loads it.

    `source` is a path, or the text of a spec (a string of several lines). `sizes` binds the
    model's statics, as -D does on the command line; `model` says which one, where there are
    several. `hints` are likely run-time extents: they steer decisions of cost and never results.
    `order` overrides what the cost model would choose: "layered" (layers one after another),
    "wavefront" (layers too at the same time), or "sequential" (point by point, to compare with).
    `weights` is the type in which the weights of matrix products are stored: "bf16" halves what is
    read at each step, and costs accuracy. `bind` takes the same arrays and rounds them.
    `tuned`: what `rnnc tune` has found on this machine is used. `math` is the type in which the
    tensor cores of a GPU multiply (docs/cuda.md).

    Raises DiagnosticError, with every mistake that was found.
    """
    from rnnc import driver
    from rnnc.diagnostics import Source
    from rnnc.weights import check_math_type, check_weight_type

    check_weight_type(weights)
    check_math_type(math)
    is_text = isinstance(source, str) and "\n" in source
    read = Source("<text>", str(source)) if is_text else driver.read_source(str(source))
    request = driver.Request(
        model, dict(sizes or {}), dict(hints or {}), target, order, weights, tuned, math
    )
    return driver.Compilation(read, request).load()


def load(artifact: str | Path) -> Model:
    """Loads what `rnnc compile` wrote. It is checked before anything in it runs.

    Raises DiagnosticError if it is damaged, or made for another version or processor.
    """
    from rnnc.runtime.model import load

    return load(Path(artifact))
