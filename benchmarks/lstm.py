"""LSTM inference against torch and ONNX Runtime: `python benchmarks/lstm.py [--threads 2]`.

One process, interleaved rounds, medians; outputs are compared before anything is timed. The floor
of a row is the larger of its flops over the measured multiply-add peak and its weights, read once a
step, over the measured read bandwidth at their size. Prints a table and writes lstm.json. A peer
that is not installed is a row that says so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from measuring import Peaks

import rnnc
from rnnc.driver import standard_source

Array = npt.NDArray[np.float32]
Call = Callable[[], Array]
# (batch, input = hidden, layers, steps)
SHAPES = (
    (1, 64, 1, 100),
    (1, 256, 1, 100),
    (1, 256, 8, 100),
    (1, 512, 4, 100),
    (1, 1024, 1, 100),
    (32, 256, 1, 100),
    (32, 512, 4, 64),
    (64, 512, 4, 100),
    (64, 1024, 2, 32),
    (256, 256, 8, 64),
)
ROUNDS = 4


def weights(hidden: int, layers: int, seed: int) -> list[tuple[Array, Array, Array]]:
    """(W, U, b) of each layer, gates in the order i, f, g, o."""
    random = np.random.default_rng(seed)
    bound = hidden**-0.5

    def draw(*shape: int) -> Array:
        return random.uniform(-bound, bound, shape).astype(np.float32)

    return [
        (draw(4 * hidden, hidden), draw(4 * hidden, hidden), draw(4 * hidden))
        for _ in range(layers)
    ]


def ours(given: list[tuple[Array, Array, Array]], x: Array, threads: int) -> tuple[Call, float]:
    """The call, and the seconds that compiling took."""
    hidden = x.shape[-1]
    start = time.perf_counter()
    model = rnnc.compile(
        standard_source("stacked").text,
        sizes={"X": hidden, "H": hidden, "L": len(given)},
        model="stacked_lstm",
    )
    seconds = time.perf_counter() - start
    params: dict[str, Array] = {}
    for layer, (w, u, b) in enumerate(given):
        for name, array in (("W", w), ("U", u), ("b", b)):
            for gate, block in zip("ifgo", np.split(array, 4), strict=True):
                params[f"lstm[{layer}].{name}_{gate}"] = block
    bound = model.bind(params)
    return lambda: np.asarray(bound(x=x, threads=threads)["y"]), seconds


def torch_call(given: list[tuple[Array, Array, Array]], x: Array, threads: int) -> Call:
    import torch

    torch.set_num_threads(threads)
    hidden = x.shape[-1]
    network = torch.nn.LSTM(hidden, hidden, len(given)).eval()
    state = {}
    for layer, (w, u, b) in enumerate(given):
        state[f"weight_ih_l{layer}"] = torch.from_numpy(w)
        state[f"weight_hh_l{layer}"] = torch.from_numpy(u)
        state[f"bias_ih_l{layer}"] = torch.from_numpy(b)
        state[f"bias_hh_l{layer}"] = torch.zeros(4 * hidden)
    network.load_state_dict(state)
    tensor = torch.from_numpy(x)

    def call() -> Array:
        with torch.inference_mode():
            return np.asarray(network(tensor)[0].numpy())

    return call


def onnx_call(given: list[tuple[Array, Array, Array]], x: Array, threads: int) -> Call:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    steps, batch, hidden = x.shape

    def reordered(array: Array) -> Array:  # i, f, g, o -> ONNX's i, o, f, c
        i, f, g, o = np.split(array, 4)
        return np.concatenate([i, o, f, g])

    nodes, constants, name = [], [numpy_helper.from_array(np.array([1], np.int64), "axis")], "x"
    for layer, (w, u, b) in enumerate(given):
        bias = np.concatenate([reordered(b), np.zeros_like(b)])
        for key, array in (("W", reordered(w)), ("R", reordered(u)), ("B", bias)):
            constants.append(numpy_helper.from_array(array[None].copy(), f"{key}{layer}"))
        read = [name, f"W{layer}", f"R{layer}", f"B{layer}"]
        nodes.append(helper.make_node("LSTM", read, [f"y{layer}"], hidden_size=hidden))
        nodes.append(helper.make_node("Squeeze", [f"y{layer}", "axis"], [f"z{layer}"]))
        name = f"z{layer}"
    shape = [steps, batch, hidden]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "lstm",
        [value("x", TensorProto.FLOAT, shape)],
        [value(name, TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: np.asarray(session.run(None, {"x": x})[0])


PEERS = {"torch": torch_call, "onnxruntime": onnx_call}


def floor_ms(shape: tuple[int, int, int, int], peaks: Peaks) -> float:
    """Milliseconds that no LSTM of this shape can beat."""
    batch, hidden, layers, steps = shape
    flops = 2 * 8 * hidden * hidden * batch * steps * layers
    recurrent = 4 * hidden * hidden * 4  # bytes read in every step of a layer
    found: float = peaks.floor_ms(flops, recurrent * steps * layers, recurrent)
    return found


def median_ms(call: Call, seconds: float = 0.3) -> float:
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def row(shape: tuple[int, int, int, int], threads: int, peaks: Peaks) -> dict[str, object]:
    batch, hidden, layers, steps = shape
    given = weights(hidden, layers, 0)
    x = np.random.default_rng(1).normal(size=(steps, batch, hidden)).astype(np.float32)
    own, compile_s = ours(given, x, threads)
    calls: dict[str, Call] = {"rnnc": own}
    found: dict[str, object] = {"shape": list(shape), "threads": threads, "compile_s": compile_s}
    expected = own()
    for name, make in PEERS.items():
        try:
            calls[name] = make(given, x, threads)
        except ImportError as error:
            found[name] = f"not installed ({error.name})"
            continue
        difference = float(np.abs(calls[name]() - expected).max())
        assert difference < 1e-4, f"{name} differs by {difference} at {shape}"
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(median_ms(call))
            time.sleep(0.03)  # another library's threads stop spinning
    found |= {name: statistics.median(measured) for name, measured in times.items()}
    own_ms = statistics.median(times["rnnc"])
    peers = [statistics.median(times[name]) for name in calls if name != "rnnc"]
    found["ratio_to_best_peer"] = min(peers) / own_ms if peers else None
    found["floor"] = floor_ms(shape, peaks)
    found["of_floor"] = floor_ms(shape, peaks) / own_ms
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("lstm.json"))
    parser.add_argument("--shape", action="append", help="batch,hidden,layers,steps; repeatable")
    chosen = parser.parse_args()
    shapes = SHAPES
    if chosen.shape:
        shapes = tuple(tuple(map(int, text.split(","))) for text in chosen.shape)  # type: ignore[assignment]
    peaks = Peaks(chosen.threads)
    print(f"{chosen.threads} threads, peak {peaks.gflops:.0f} GFLOP/s; times in ms")
    head = ("batch,hidden,layers,steps", "rnnc", *PEERS, "ratio", "floor", "of floor", "compile s")
    print("  ".join(f"{title:>11}" for title in head))
    rows = []
    for shape in shapes:
        found = row(shape, chosen.threads, peaks)
        rows.append(found)
        cells = [",".join(map(str, shape))]
        keys = ("rnnc", *PEERS, "ratio_to_best_peer", "floor", "of_floor", "compile_s")
        for key in keys:
            value = found.get(key)
            cells.append(f"{value:.3f}" if isinstance(value, float) else str(value))
        print("  ".join(f"{cell:>11}" for cell in cells), flush=True)
    chosen.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
