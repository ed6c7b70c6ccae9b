"""Recurrent matrices that keep lengths, built here as whole matrices (section 4)."""

from __future__ import annotations

import numpy as np

from tests.oracles.arrays import Arrays, Complexes, Floats
from tests.oracles.layers import Outputs, Sizes
from tests.oracles.mathematics import rows


def reflection(v: Complexes) -> Complexes:
    """I - 2 v v* / |v|^2."""
    found: Complexes = np.eye(len(v)) - 2 * np.outer(v, np.conj(v)) / np.real(np.vdot(v, v))
    return found


def fourier(size: int) -> Complexes:
    """The unitary matrix of the discrete Fourier transform."""
    places = np.arange(size)
    found: Complexes = np.exp(-2j * np.pi * np.outer(places, places) / size) / np.sqrt(size)
    return found


def unitary(p: Arrays) -> Complexes:
    """D3 R2 F^-1 D2 P R1 F D1, with P the permutation that puts entry P[i] at place i."""
    D1, D2, D3 = (np.diag(np.exp(1j * p[f"theta{k}"])) for k in (1, 2, 3))
    R1, R2 = (reflection(p.complexes(f"v{k}")) for k in (1, 2))
    size = len(D1)
    P = np.zeros((size, size))
    P[np.arange(size), p.ints("P")] = 1
    F = fourier(size)
    found: Complexes = D3 @ R2 @ F.conj().T @ D2 @ P @ R1 @ F @ D1
    return found


def mod_relu(z: Complexes, b: Floats) -> Complexes:
    lengths = np.abs(z)
    found: Complexes = z * np.maximum(lengths + b, 0) / (lengths + 1e-5)
    return found


def urnn_network(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    cell = p.under("urnn")
    matrix, h, found = unitary(cell), p.complexes("h0"), []
    for step in x["x"]:
        h = mod_relu(matrix @ h + cell.complexes("V") @ step, cell["b"])
        found.append(p["W_o"] @ np.concatenate([np.real(h), np.imag(h)]) + p["b_o"])
    return {"y": rows(found, n["Y"])}


def orthogonal_rnn(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    U, h, found = np.eye(n["H"]), np.zeros(n["H"]), []
    for k in range(n["K"]):
        U = U @ np.real(reflection(p.complexes(f"v[{k}]")))
    for step in x["x"]:
        h = np.tanh(p["W"] @ step + U @ h + p["b"])
        found.append(h)
    return {"y": rows(found, n["H"])}
