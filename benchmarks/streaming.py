"""What libraries weigh, what a call costs besides its work from C, NumPy, torch and JAX, and steps
of an LSTM against ONNX Runtime, from C and as an operator inside of it.

python benchmarks/streaming.py [H]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from callers import overheads
from safetensors.numpy import save_file

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.sampling import random_parameters

SPEC = """from lstm import lstm

model one{X, H}:
    dim t in 0..T
    input x[t]: [X], h0, c0: [H] = 0
    h[t], c[t] = lstm{H}(x[t], h[t-1], c[t-1])
    h[-1] = h0
    c[-1] = c0
    output y[t] = h[t]

model stateful{X, H}:
    dim t in 0..T
    input x[t]: [X], h0, c0: [H]
    h[t], c[t] = lstm{H}(x[t], h[t-1], c[t-1])
    h[-1] = h0
    c[-1] = c0
    output y[t] = h[t]
    output hn = h[T-1]
    output cn = c[T-1]

model tiny{H}:
    dim t in 0..T
    input x[t]: [H]
    h[t] = tanh(x[t] + h[t-1])
    output y[t] = h[t]
"""
STEPS, ROUNDS = 1000, 10


def main() -> None:
    width = int(sys.argv[1]) if len(sys.argv) > 1 else 128
    with tempfile.TemporaryDirectory(prefix="rnnc-") as place:
        folder = Path(place)
        source = Source("streaming.rnn", SPEC)
        one = Compilation(source, Request("one", {"X": width, "H": width}))
        for made in (one, Compilation(source, Request("tiny", {"H": 1}))):
            made.build_c_library(folder, None)
            library = folder / "lib" / f"lib{made.graph.name}.so"
            print(f"{library.name:28} {library.stat().st_size / 1024:8.1f} KB")
        save_file(dict(random_parameters(one.graph, 0)), folder / "weights.safetensors")
        program = folder / "streaming"
        sources = [Path(__file__).with_suffix(".c")]
        sources += [folder / "lib" / f"lib{name}.a" for name in ("one", "tiny")]
        options = [f"-I{folder / 'include'}", "-lpthread", "-lm", "-o", str(program)]
        subprocess.run(["cc", "-O2", *map(str, sources), *options], check=True)
        subprocess.run([program, folder / "weights.safetensors"], check=True)
        overheads(folder / "lib" / "libtiny.so")
        inside = Compilation(source, Request("stateful", {"X": width, "H": width}))
        peers(inside, width, folder)


def peers(inside: Compilation, width: int, folder: Path) -> None:
    """ONNX Runtime's LSTM and ours as an operator, on one thread each."""
    try:
        import onnxruntime

        models = {"ONNX Runtime": lstm(width), "our operator in it": inside.onnx(None, True)}
    except ImportError:
        print("onnx and onnxruntime are not installed")
        return
    library = folder / "stateful.ort.so"
    library.write_bytes(inside.ort_operator())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.register_custom_ops_library(str(library))
    for name, model in models.items():
        measure(name, onnxruntime.InferenceSession(model, options), width)


def lstm(width: int) -> bytes:
    """A model of ONNX's LSTM with the inputs and outputs of `stateful`, an axis more in each."""
    from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

    random = np.random.default_rng(0)
    shapes = {"W": (1, 4 * width, width), "R": (1, 4 * width, width), "B": (1, 8 * width)}
    weights = [
        numpy_helper.from_array(random.normal(0, 0.1, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]

    def value(name: str, *shape: int | str) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    given, made = ["x", "W", "R", "B", "", "h0", "c0"], ["y", "hn", "cn"]
    state = (1, 1, width)
    graph = helper.make_graph(
        [helper.make_node("LSTM", given, made, hidden_size=width)],
        "lstm",
        [value("x", "T", 1, width), value("h0", *state), value("c0", *state)],
        [value("y", "T", 1, 1, width), value("hn", *state), value("cn", *state)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def measure(name: str, session: Any, width: int) -> None:
    """Step by step on arrays that are bound once, and whole."""
    from onnxruntime import OrtValue

    one: dict[str, int] = {"T": 1, "batch": 1}
    binding = session.io_binding()
    ports = {entry.name: entry.shape for entry in (*session.get_inputs(), *session.get_outputs())}
    for port, shape in ports.items():
        array = np.zeros([one.get(size, size) for size in shape], np.float32)
        bind = binding.bind_ortvalue_input if port in ("x", "h0", "c0") else None
        (bind or binding.bind_ortvalue_output)(port, OrtValue.ortvalue_from_numpy(array))
    whole = {
        port: np.zeros([one.get(n, n) for n in ports[port]], np.float32) for port in ("h0", "c0")
    }
    whole["x"] = np.zeros((STEPS, 1, width), np.float32)
    step = min(timed(lambda: session.run_with_iobinding(binding), STEPS) for _ in range(ROUNDS))
    sequence = min(timed(lambda: session.run(None, whole), 1) for _ in range(ROUNDS))
    print(f"{f'step of {name}':28} {step:8.3f} us")
    print(f"{f'{STEPS} steps of it':28} {sequence:8.3f} us")


def timed(call: object, count: int) -> float:
    """Microseconds of a call."""
    assert callable(call)
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count * 1e6


if __name__ == "__main__":
    main()
