"""What the runtime must know of a plan compiled for GPUs."""

from __future__ import annotations

from dataclasses import replace

from rnnc.plan.plan import Plan
from rnnc.plan.prepare import with_masks
from rnnc.runtime.artifact import CUDA, Origin
from rnnc.runtime.manifest import Manifest, TargetInfo

from ..cpu.manifest import manifest as cpu_manifest
from ..cpu.target import host
from .nvcc import code_features
from .tiles import LANES


def manifest(plan: Plan, architectures: tuple[str, ...], origin: Origin) -> Manifest:
    """Arrays are laid out as for a processor whose vectors are as wide as a warp; zeros that masks
    make are stored as others."""
    dense = with_masks(plan, ())
    made = cpu_manifest(dense, replace(host(), vector_bytes=4 * LANES), origin)
    target = TargetInfo(CUDA, ",".join(architectures), code_features(architectures))
    return replace(made, target=target)
