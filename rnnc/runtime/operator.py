"""A model as one node of an ONNX model: which inputs it has, in which order.

Those of the model; the lengths of rows in each extent, which may be absent; extents that no input
has to have, a number each; the parameters. Outputs are those of the model. real is float32, int is
int32, bool is bool. The attribute `threads` says how many may work, `interface` is the manifest's.
"""

from __future__ import annotations

from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.ports import dim_text


def domain(about: Manifest) -> str:
    """In which the operator is; libraries in one session may not share theirs."""
    return f"rnnc.{about.prefix}"


def free_extents(about: Manifest) -> tuple[str, ...]:
    """The extents that are inputs of the node: those that no input says which has to be there."""
    required = (port for port in about.inputs if port.default is None)
    known = {dim.extent for port in required for dim in port.dims}
    return tuple(extent for extent in about.extents if extent not in known)


def shape(port: Port) -> tuple[str | int, ...]:
    """Its axes: numbers, or names of what is free."""
    axes: list[str | int] = []
    for number, dim in enumerate(port.dims):
        axes.append(dim_text(port, number) if dim.size is None else dim.size)
    return (*axes, "batch", *port.shape)
