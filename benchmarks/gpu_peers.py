"""What gpu.py compares with, all of it of torch: cuDNN, torch.compile, a Triton scan, FlashRNN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from gpu_rows import DEVICE, Row

Call = Callable[[], Any]
Tensors = Mapping[str, Any]


class Missing(Exception):
    """A peer that is not here, or does not know the row."""


def peers(row: Row) -> dict[str, Callable[[Row, Tensors, Tensors], Call]]:
    """How to make a call, of parameters and inputs, that returns y."""
    match row.kind:
        case "lstm" | "gru":
            kinds = {"float32": (torch.float32, False), "tf32": (torch.float32, True)}
            kinds |= {"fp16": (torch.float16, True), "bf16": (torch.bfloat16, True)}
            found: dict[str, Callable[[Row, Tensors, Tensors], Call]] = {
                f"cuDNN {name}": _cudnn(*kind) for name, kind in kinds.items()
            }
            if row.kind == "lstm" and row.sizes["L"] == 1:
                found |= {"torch.compile bf16": _compiled_lstm, "FlashRNN bf16": _flashrnn}
            return found
        case "layer_norm":
            return {"torch eager tf32": _layer_norm(False), "torch.compile tf32": _layer_norm(True)}
        case "grid":
            return {"torch eager tf32": _grid}
    return {"Triton scan": _triton_scan}


def _cudnn(dtype: Any, tf32: bool) -> Callable[[Row, Tensors, Tensors], Call]:
    def make(row: Row, params: Tensors, inputs: Tensors) -> Call:
        module = torch.nn.LSTM if row.kind == "lstm" else torch.nn.GRU
        made = module(row.sizes["X"], row.sizes["H"], row.sizes["L"], device=DEVICE)
        state = {
            f"{name}_l{layer}": params[f"fwd[{layer}].{name}"]
            for layer in range(row.sizes["L"])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        made.load_state_dict(state)
        made = made.to(dtype)
        made.flatten_parameters()
        x = inputs["x"].to(dtype)

        def call() -> Any:
            torch.backends.cudnn.allow_tf32 = tf32
            torch.backends.cuda.matmul.allow_tf32 = tf32
            return made(x)[0]

        return call

    return make


def _compiled_lstm(row: Row, params: Tensors, inputs: Tensors) -> Call:
    """The step compiled, the steps in a loop."""
    dtype = torch.bfloat16
    w, u, b, c = (params[f"fwd[0].{n}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    wide, recurrent, bias = w.to(dtype), u.to(dtype).T.contiguous(), (b + c)
    x = inputs["x"].to(dtype)

    def step(now: Any, h: Any, c: Any) -> tuple[Any, Any]:
        i, f, g, o = (now + (h @ recurrent).float()).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return (torch.sigmoid(o) * torch.tanh(c)).to(dtype), c

    fast = torch.compile(step, dynamic=False)
    shape = (row.batch, row.sizes["H"])

    def call() -> Any:
        gates = torch.nn.functional.linear(x, wide).float() + bias
        h = torch.zeros(shape, dtype=dtype, device=DEVICE)
        c = torch.zeros(shape, device=DEVICE)
        return _over_steps(fast, gates, h, c)

    return call


def _over_steps(step: Callable[[Any, Any, Any], Any], gates: Any, h: Any, c: Any) -> Any:
    """All h, [T, ...]: `step` makes h and c of the gates' input products and the h and c before."""
    found = []
    for now in gates:
        h, c = step(now, h, c)
        found.append(h)
    return torch.stack(found)


def _layer_norm(compiled: bool) -> Callable[[Row, Tensors, Tensors], Call]:
    """The steps in a loop, eager or each of them compiled."""

    def make(row: Row, params: Tensors, inputs: Tensors) -> Call:
        p = {name.removeprefix("lnlstm."): value for name, value in params.items()}
        recurrent, shape = p["U"].T.contiguous(), (row.batch, row.sizes["H"])

        def norm(name: str, value: Any) -> Any:
            size = value.shape[-1:]
            gain, bias = p[f"norm_{name}.gain"], p[f"norm_{name}.bias"]
            return torch.nn.functional.layer_norm(value, size, gain, bias, 1e-5)

        def step(now: Any, h: Any, c: Any) -> tuple[Any, Any]:
            i, f, g, o = (now + norm("h", h @ recurrent)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            return torch.sigmoid(o) * torch.tanh(norm("c", c)), c

        fast = torch.compile(step, dynamic=False) if compiled else step

        def call() -> Any:
            torch.backends.cuda.matmul.allow_tf32 = True
            gates = norm("x", inputs["x"] @ p["W"].T) + p["b"]
            zero = torch.zeros(shape, device=DEVICE)
            return _over_steps(fast, gates, zero, zero)

        return call

    return make


def _grid(row: Row, params: Tensors, inputs: Tensors) -> Call:
    """The points of an anti-diagonal, which do not depend on each other, in one product."""
    rows, columns, hidden = row.extents["R"], row.extents["C"], row.sizes["H"]
    x = inputs["x"]
    layers = [
        tuple(params[f"{name}[{layer}]"] for name in ("W", "U_down", "U_right", "b"))
        for layer in range(row.sizes["L"])
    ]
    diagonals = []
    for d in range(rows + columns - 1):
        i = torch.arange(max(0, d - columns + 1), min(rows, d + 1), device=DEVICE)
        diagonals.append((i, d - i))

    def call() -> Any:
        torch.backends.cuda.matmul.allow_tf32 = True
        below, beside = x, x
        for w, u_down, u_right, b in layers:
            from_below, from_beside = below @ w.T, beside @ w.T
            # With an edge of zeros above and to the left.
            down = torch.zeros(rows + 1, columns + 1, row.batch, hidden, device=DEVICE)
            right = torch.zeros_like(down)
            for i, j in diagonals:
                past = down[i, j + 1] @ u_down.T + right[i + 1, j] @ u_right.T + b
                down[i + 1, j + 1] = torch.tanh(from_below[i, j] + past)
                right[i + 1, j + 1] = torch.tanh(from_beside[i, j] + past)
            below, beside = down[1:, 1:], right[1:, 1:]
        return below + beside

    return call


def _triton_scan(row: Row, params: Tensors, inputs: Tensors) -> Call:
    try:
        from gpu_triton import scan
    except ImportError as problem:
        raise Missing(f"no triton: {problem}") from problem
    return lambda: scan(inputs["a"], inputs["b"])


def _flashrnn(row: Row, params: Tensors, inputs: Tensors) -> Call:
    try:
        from flashrnn import flashrnn
    except ImportError as problem:
        raise Missing("not installed") from problem
    hidden, dtype = row.sizes["H"], torch.bfloat16
    w, u, b, c = (params[f"fwd[0].{n}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    x = inputs["x"].to(dtype)
    # Its gates stand in the order i, f, z, o, which is torch's: [batch, steps, gates, heads, size].
    recurrent = u.view(4, 1, hidden, hidden).permute(1, 3, 0, 2).contiguous().to(dtype)
    bias = (b + c).view(4, 1, hidden).contiguous().to(dtype)

    def call() -> Any:
        gates = torch.nn.functional.linear(x, w.to(dtype)).transpose(0, 1).contiguous()
        gates = gates.view(row.batch, row.extents["T"], 4, 1, hidden)
        states, _ = flashrnn(
            gates, recurrent, bias, function="lstm", dtype="bfloat16", backend="cuda_fused"
        )
        return states[0].squeeze(2).transpose(0, 1)

    return call
