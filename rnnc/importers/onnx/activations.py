"""The activation functions of ONNX's recurrent operators as expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .graph import Node
from .writer import Writer, number

# Defaults of alpha and beta (ONNX operator reference, LSTM); absent ones are not taken.
_DEFAULTS: Mapping[str, tuple[float, ...]] = {
    "affine": (1.0, 0.0),
    "leakyrelu": (0.01,),
    "thresholdedrelu": (1.0,),
    "scaledtanh": (1.0, 1.0),
    "hardsigmoid": (0.2, 0.5),
    "elu": (1.0,),
}
_PLAIN = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "softplus": "softplus"}
_BODIES = {
    "affine": ("affine", "{a} * v + {b}"),
    "leakyrelu": ("leaky_relu", "max(0, v) + {a} * min(0, v)"),
    "thresholdedrelu": ("thresholded_relu", "v if v > {a} else 0 * v"),
    "scaledtanh": ("scaled_tanh", "{a} * tanh({b} * v)"),
    "hardsigmoid": ("hard_sigmoid", "max(0, min(1, {a} * v + {b}))"),
    "elu": ("elu", "max(0, v) + {a} * (exp(min(0, v)) - 1)"),
    "softsign": ("softsign", "v / (1 + abs(v))"),
}


def activations(node: Node, defaults: Sequence[str], writer: Writer) -> list[str]:
    """The functions of the spec that a node activates with, for each direction in turn."""
    directions = 2 if node.attributes.get("direction") == "bidirectional" else 1
    names = node.attributes.get("activations") or [*defaults] * directions
    if len(names) != len(defaults) * directions:
        raise node.refuse(f"it has {len(names)} activations, not {len(defaults) * directions}")
    alphas = iter(node.attributes.get("activation_alpha", ()))
    betas = iter(node.attributes.get("activation_beta", ()))
    return [_activation(node, name.lower(), alphas, betas, writer) for name in names]


def _activation(
    node: Node, name: str, alphas: Iterator[float], betas: Iterator[float], writer: Writer
) -> str:
    if name in _PLAIN:
        return _PLAIN[name]
    if name not in _BODIES:
        known = ", ".join(sorted([*_PLAIN, *_BODIES]))
        raise node.refuse(f"the activation '{name}' is not known", f"known: {known}")
    settings = _DEFAULTS.get(name, ())
    given = [next(source, value) for source, value in zip((alphas, betas), settings, strict=False)]
    label, body = _BODIES[name]
    values = dict(zip("ab", map(number, given), strict=False))
    text = body.format(**values)
    plain = given == list(settings)
    own = label if plain else f"{label}_{len(writer.cells) + 1}"
    for known_name, cell in writer.cells.items():
        if cell == f"cell {known_name}(v) = {text}":
            return known_name
    return writer.function(own, f"cell {own}(v) = {text}")


def clipped(node: Node, writer: Writer) -> str:
    """The name of the function that cuts what activations take; '' without one."""
    limit = node.attributes.get("clip")
    if limit is None:
        return ""
    text = number(float(limit))
    for known_name, cell in writer.cells.items():
        if cell.endswith(f"= max(-{text}, min({text}, v))"):
            return known_name
    name = writer.name("clipped")
    return writer.function(name, f"cell {name}(v) = max(-{text}, min({text}, v))")
