"""The activation functions of ONNX's recurrent operators, found in forms.

    max(0, v) + 0.1 * (exp(min(0, v)) - 1)      is      Elu(v), alpha 0.1

However it is written, a function is the one that has the same form; what multiplies its argument
goes into the weights. Equations: ONNX operator reference, LSTM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from .forms import Applied, Form

PLAIN: Mapping[str, str] = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "softplus": "Softplus",
}


def number(value: float) -> Form:
    return Form.constant(np.asarray(value, np.float64))


def applied(function: str, *arguments: Form) -> Form:
    """The function of the arguments; where their order does not matter, it does not."""
    if function in ("min", "max"):
        arguments = tuple(sorted(arguments, key=lambda form: form.key))
    return Form.factor(Applied(function, arguments))


def _above(v: Form) -> Form:
    return Form.factor(Applied("Relu", (v,)))


def _below(v: Form) -> Form:
    return applied("min", number(0), v)


def _tanh(v: Form) -> Form:
    return Form.factor(Applied("Tanh", (v,)))


# What each function of one number `a` is; with several ways to write it, all of them. What holds
# another one inside comes before it.
_BODIES: tuple[tuple[str, Callable[[Form, float], Form]], ...] = (
    ("LeakyRelu", lambda v, a: _above(v) + number(a) * _below(v)),
    ("LeakyRelu", lambda v, a: applied("select", applied("lt", number(0), v), v, number(a) * v)),
    ("LeakyRelu", lambda v, a: applied("select", applied("le", number(0), v), v, number(a) * v)),
    ("ThresholdedRelu", lambda v, a: applied("select", applied("lt", number(a), v), v, number(0))),
    ("Elu", lambda v, a: _above(v) + number(a) * applied("exp", _below(v)) - number(a)),
    ("ScaledTanh", lambda v, a: number(a) * _tanh(v)),
    ("HardSigmoid", lambda v, a: applied("max", number(0), applied("min", number(1), v))),
    ("HardSigmoid", lambda v, a: applied("min", number(1), _above(v))),
    ("Softsign", lambda v, a: applied("div", v, number(1) + applied("abs", v))),
    ("clip", lambda v, a: applied("max", number(-a), applied("min", number(a), v))),
    ("clip", lambda v, a: applied("min", number(a), applied("max", number(-a), v))),
    ("Relu", lambda v, a: applied("max", number(0), v)),
)
_SETTINGS: Mapping[str, Callable[[float], tuple[float, ...]]] = {
    "HardSigmoid": lambda a: (1.0, 0.0),
    "ScaledTanh": lambda a: (a, 1.0),
    **dict.fromkeys(("LeakyRelu", "ThresholdedRelu", "Elu", "clip"), lambda a: (a,)),
}
_TERMS = 3
_PIECES = frozenset(("min", "max", "exp", "select", "div", "Relu", "Tanh"))
ACTIVATIONS = frozenset((*PLAIN.values(), *(name for name, _ in _BODIES))) - {"clip"}


def collapsed(form: Form) -> Form:
    """The form, as one factor if it is an activation function or ONNX's clip of something."""
    if not _may_be_one(form):
        return form
    inner = dict.fromkeys(_inner(form))
    arguments = [form for form in inner if any(term.factors for term in form.terms)]
    numbers = dict.fromkeys([1.0, *_numbers([form, *inner])])
    for name, body in _BODIES:
        for argument in arguments:
            for value in numbers:
                if body(argument, value) == form:
                    settings = _SETTINGS[name](value) if name in _SETTINGS else ()
                    return Form.factor(Applied(name, (argument,), settings))
    return form


def _may_be_one(form: Form) -> bool:
    """Whether it is made of what bodies are made of, and is none of them yet."""
    if isinstance(form.single, Applied) and form.single.function in ACTIVATIONS:
        return False
    return len(form.terms) <= _TERMS and all(
        term.number is not None
        and all(isinstance(f, Applied) and f.function in _PIECES for f in term.factors)
        for term in form.terms
    )


def _inner(form: Form) -> Iterator[Form]:
    """What functions are applied to, down to the arguments of activations."""
    for term in form.terms:
        for factor in term.factors:
            if isinstance(factor, Applied) and factor.function != "product":
                for argument in factor.arguments:
                    yield argument
                    if factor.function not in ACTIVATIONS:
                        yield from _inner(argument)


def _numbers(forms: list[Form]) -> Iterator[float]:
    return (term.number for form in forms for term in form.terms if term.number is not None)
