"""What models become on processors that need not be here: the instructions of their products."""

from __future__ import annotations

import re

import pytest

from rnnc.driver import Compilation, Request, standard_source
from rnnc.weights import WeightType

AVX512 = r"zmm\d"


def assembly(target: str, weights: WeightType) -> str:
    request = Request("stacked_lstm", {"X": 5, "H": 65, "L": 2}, {}, target, weights=weights)
    text = Compilation(standard_source("stacked"), request).code("asm")
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("target", "weights", "wanted"),
    [
        ("cpu:aarch64", "float32", [r"fmla\tv\d+\.4s"]),
        ("cpu:aarch64", "bf16", [r"fmla\tv\d+\.4s", r"shl\tv\d+\.4s, v\d+\.4s, #16"]),
        ("cpu:aarch64", "int8", [r"mla\tv\d+\.4s", r"fcvtzs\tv\d+\.4s"]),
        ("cpu:x86-64-v3", "sparse", [r"vperm(d|ps)\t.*%ymm", r"vblendvps\t.*%ymm"]),
        ("cpu:x86-64-v4", "sparse", [r"vperm[it]2ps\t.*%zmm"]),
        ("cpu:x86-64-v3", "float32", [r"vfmadd\w+ps\t.*%ymm"]),
        ("cpu:x86-64-v3", "bf16", [r"vfmadd\w+ps\t.*%ymm", r"vpslld\t\$16, .*%ymm"]),
        ("cpu:x86-64-v3", "int8", [r"vpmaddwd\t.*%ymm", r"vroundps|vcvtps2dq"]),
        ("cpu:x86-64-v3-vnni", "int8", [r"vpdpbusd\t.*%ymm"]),
        ("cpu:x86-64-v4", "int8", [r"vpmaddwd\t.*%zmm"]),
        ("cpu:x86-64-v4-vnni", "int8", [r"vpdpbusd\t.*%zmm"]),
    ],
)
def test_instructions(target: str, weights: WeightType, wanted: list[str]) -> None:
    text = assembly(target, weights)
    for pattern in wanted:
        assert re.search(pattern, text), pattern
    assert bool(re.search(AVX512, text)) == target.startswith("cpu:x86-64-v4")
