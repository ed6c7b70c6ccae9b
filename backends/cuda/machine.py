"""What work costs on a GPU, for choosing between orders (rnnc/analysis/cost.py).

Numbers are an H100's (NVIDIA's H100 whitepaper), by processor; a meeting of all blocks is assumed
to take 1.2 us. Nothing of it was measured.
"""

from __future__ import annotations

from rnnc.analysis.machine import Machine
from rnnc.weights import MathType

from .capacity import CHIPS

# Multiply-adds twice, a second, by the type of operands.
_FLOPS: dict[MathType, float] = {
    "float32": 67e12,
    "3xtf32": 165e12,
    "tf32": 495e12,
    "bf16": 990e12,
    "fp16": 990e12,
}


def machine(math: MathType) -> Machine:
    """A processor is a core: what fits into half of its registers and its shared memory stays
    there, and all take part in every wave."""
    processors = CHIPS["sm_90"].processors
    return Machine(
        cores=processors,
        flops=_FLOPS[math] / processors,
        levels=((3.3e5, 1e12), (5e7 / processors, 4.2e10), (float("inf"), 2.5e10)),
        tile=8 if math == "float32" else 16,
        barrier=1.2e-6,
        kernel=0.0,
        worth_sharing=0.0,
        lanes=32,
        step=1e-8,
        streams=16,
    )
