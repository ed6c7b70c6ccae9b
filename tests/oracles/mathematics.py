"""Functions that the equations of several papers use, over plain float64 vectors."""

from __future__ import annotations

import numpy as np

from tests.oracles.arrays import Floats


def sigmoid(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-x))
    return found


def relu(x: Floats) -> Floats:
    return np.maximum(x, 0.0)


def identity(x: Floats) -> Floats:
    return x


def half_linear(x: Floats) -> Floats:
    """Feng et al. 2024, appendix B: positive, x + 0.5 from zero on and a sigmoid below."""
    return np.where(x >= 0, x + 0.5, sigmoid(x))


def softplus(x: Floats) -> Floats:
    found: Floats = np.log(1 + np.exp(x))
    return found


def silu(x: Floats) -> Floats:
    return x * sigmoid(x)


def softmax(x: Floats) -> Floats:
    """Over a vector, which may be empty."""
    powers: Floats = np.exp(x - np.max(x, initial=0.0))
    return powers / np.sum(powers)


def weighted(weights: Floats, values: Floats) -> Floats:
    """The sum of the rows of `values`, each times its weight."""
    found: Floats = np.sum(weights[:, None] * values, axis=0)
    return found


def layer_norm(x: Floats, gain: Floats, bias: Floats) -> Floats:
    """Ba, Kiros, Hinton 2016: biased variance, 1e-5 under the root."""
    variance = np.mean((x - np.mean(x)) ** 2)
    found: Floats = gain * (x - np.mean(x)) / np.sqrt(variance + 1e-5) + bias
    return found


def rows(x: list[Floats], *shape: int) -> Floats:
    """The values of all steps as one array [len(x), *shape], also if there are none."""
    return np.array(x, np.float64).reshape(len(x), *shape)
