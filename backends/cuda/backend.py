"""The backend's face: targets, text forms, and machine code."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.plan.plan import Plan
from rnnc.registry import Backend, Compare, TargetDescription, Trial

from .nvcc import ARCHITECTURES, code_features, compile_cuda, find_nvcc

if TYPE_CHECKING:
    from rnnc.analysis.machine import Machine
    from rnnc.passes.stream_steps import Refusal
    from rnnc.placement import Placements
    from rnnc.plan.stream import Stream
    from rnnc.runtime.artifact import Artifact, Origin
    from rnnc.runtime.manifest import Manifest
    from rnnc.runtime.memory import Array
    from rnnc.weights import MathType, WeightType


class CudaBackend:
    """`cuda` is every architecture of `ARCHITECTURES` and later ones; `cuda:sm_90` one of them."""

    forms = ("tir", "cu", "ptx", "cubin", "so")

    @property
    def defaults(self) -> tuple[str, ...]:
        """The source, and where nvcc is here, the library."""
        return ("cu", "so") if shutil.which("nvcc") else ("cu",)

    def targets(self) -> Sequence[TargetDescription]:
        problem = None
        try:
            find_nvcc()
        except DiagnosticError as error:
            problem = f"source only: {error.diagnostics[0].message}"
        rows = [TargetDescription("cuda", "NVIDIA GPUs, from Ampere on", problem, _unfit(None))]
        for name, description in ARCHITECTURES.items():
            rows.append(TargetDescription(f"cuda:{name}", description, problem, _unfit(name)))
        return rows

    def machine(self, weights: WeightType, math: MathType) -> Machine:
        from .machine import machine

        if weights != "float32":
            message = f"the CUDA backend does not store weights as '{weights}'"
            hints = ("both operands of products are rounded:  --math bf16",)
            raise DiagnosticError([Diagnostic("RNN705", message, hints=hints)])
        return machine(math)

    def emit(self, plan: Plan, variant: str | None, form: str, tuned: bool = False) -> str | bytes:
        """One CUDA C++ file ("cu"), its PTX ("ptx") or machine code ("cubin"), a shared library
        ("so"), or the device functions as TensorIR ("tir")."""
        from .capacity import smallest
        from .program import cuda_source, device_functions

        chosen = architectures(variant)
        chip = smallest(chosen)
        if form == "tir":
            return "\n".join(str(function) for function in device_functions(plan, chip))
        source = cuda_source(plan, chip)
        if form == "cu":
            return source
        if form == "ptx":
            return compile_cuda(source, "ptx", chosen).decode()
        return compile_cuda(source, form, chosen)

    def build(self, plan: Plan, variant: str | None, origin: Origin, tuned: bool) -> Artifact:
        """The shared library, for rnnc.runtime.cuda. Raises RNN702 without nvcc."""
        from rnnc.runtime.artifact import Artifact

        from .manifest import manifest

        code = self.emit(plan, variant, "so")
        assert isinstance(code, bytes)
        return Artifact(manifest(plan, architectures(variant), origin), code, origin.source)

    def placements(self, plan: Plan, variant: str | None) -> Placements:
        """Which loops are one launch, and where weights are while it runs."""
        from .capacity import smallest
        from .placements import placements

        return placements(plan, smallest(architectures(variant)))

    def c_library(
        self,
        plan: Plan,
        stream: Stream | Refusal,
        variant: str | None,
        origin: Origin,
        params: Mapping[str, Array] | None,
        tuned: bool,
    ) -> dict[str, bytes]:
        """Raises RNN701: C calls what `emit` makes."""
        raise _for_cpus_only("a C library")

    def manifest(self, plan: Plan, variant: str | None, origin: Origin, tuned: bool) -> Manifest:
        """Raises RNN701, as `build`."""
        raise _for_cpus_only("a .rnnlib")

    def ort_operator(self, plan: Plan, variant: str | None, origin: Origin, tuned: bool) -> bytes:
        """Raises RNN701, as `build`."""
        raise _for_cpus_only("an operator of ONNX Runtime")

    def tune(self, plan: Plan, origin: Origin, compare: Compare, seconds: float) -> Iterator[Trial]:
        """Raises RNN701: nothing is searched for GPUs."""
        raise _for_cpus_only("tuned")


def _for_cpus_only(what: str) -> DiagnosticError:
    message = f"a model for CUDA is a C++ file or a shared library, not {what}"
    hints = ("the source and the library:  --emit cu,so",)
    return DiagnosticError([Diagnostic("RNN701", message, hints=hints)])


def _unfit(variant: str | None) -> str | None:
    """Why no GPU of this machine runs what is made for a variant."""
    from rnnc.runtime.cuda.gpus import capabilities, runs_on

    found = capabilities()
    if isinstance(found, str):
        return found
    features = code_features(architectures(variant))
    if any(runs_on(feature, gpu) for feature in features for gpu in found):
        return None
    return "its GPU is " + ", ".join(f"sm_{major}{minor}" for major, minor in found)


def architectures(variant: str | None) -> tuple[str, ...]:
    """What `--target cuda:VARIANT` compiles for. Raises RNN701."""
    if variant is None:
        return tuple(ARCHITECTURES)
    if variant not in ARCHITECTURES:
        message = f"unknown CUDA architecture '{variant}'"
        hints = (f"known: {', '.join(ARCHITECTURES)}",)
        raise DiagnosticError([Diagnostic("RNN701", message, hints=hints)])
    return (variant,)


BACKEND: Backend = CudaBackend()
