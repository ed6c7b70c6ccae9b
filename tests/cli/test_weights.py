"""`rnnc weights`: what it computes is tested in tests/importers/test_layouts.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rnnc.arrays import read_arrays, write_arrays
from tests.cli.conftest import Rnnc


def test_the_command(rnnc: Rnnc, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.GRU(3, 5, num_layers=2)
    state = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    write_arrays(tmp_path / "a.npz", {f"encoder.{name}": a for name, a in state.items()})
    file, names = str(tmp_path / "a.npz"), ["--forward", "encoder[{layer}]"]
    steps = (
        ("a.npz", "b.safetensors", ["--from", "torch", "--prefix", "encoder.", *names]),
        ("b.safetensors", "c.npz", ["--to", "keras", *names]),
        ("c.npz", "d.safetensors", ["--from", "keras", *names]),
    )
    for before, after, options in steps:
        result = rnnc("weights", str(tmp_path / before), "-o", str(tmp_path / after), *options)
        assert result.code == 0, result.err
    first, last = read_arrays(tmp_path / "b.safetensors"), read_arrays(tmp_path / "d.safetensors")
    assert "encoder[1].c_n" in first and first.keys() == last.keys()
    for path, array in first.items():
        np.testing.assert_array_equal(last[path], array)
    assert rnnc("weights", file, "--from", "onnx", "-o", str(tmp_path / "x.npz")).code == 1
