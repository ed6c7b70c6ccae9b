"""The backend's face: targets, text forms, and the finished artifact of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.plan.plan import Plan
from rnnc.registry import Backend, Compare, TargetDescription, Trial

if TYPE_CHECKING:
    from rnnc.analysis.machine import Machine
    from rnnc.passes.stream_steps import Refusal
    from rnnc.plan.stream import Stream
    from rnnc.runtime.artifact import Artifact, Origin
    from rnnc.runtime.manifest import Manifest
    from rnnc.runtime.memory import Array
    from rnnc.weights import MathType, WeightType

    from .target import CpuTarget


class CpuBackend:
    """`cpu` is this processor; `cpu:NAME` one of `target.NAMED`."""

    forms = ("tir", "asm")
    defaults = ("lib",)

    def targets(self) -> Sequence[TargetDescription]:
        from .library import find_compiler
        from .target import NAMED

        rows = [TargetDescription("cpu", "this processor", _problem(find_compiler, None), None)]
        for name, target in NAMED.items():
            try:
                problem = _problem(find_compiler, target.architecture)
            except DiagnosticError as error:
                problem = error.diagnostics[0].message
            rows.append(
                TargetDescription(
                    f"cpu:{name}",
                    f"{target}; int8 weights by {target.byte_products}",
                    problem,
                    _unfit(target),
                )
            )
        return rows

    def machine(self, weights: WeightType, math: MathType) -> Machine:
        from rnnc.analysis.machine import CPU

        if math != "float32":
            message = f"a CPU has no tensor cores to multiply '{math}' with"
            hints = ("compile for a GPU:  --target cuda", "or store weights so:  --weights bf16")
            raise DiagnosticError([Diagnostic("RNN705", message, hints=hints)])
        return CPU

    def emit(self, plan: Plan, variant: str | None, form: str, tuned: bool) -> str:
        """The kernels as TensorIR ("tir") or assembly ("asm")."""
        from .library import assembly
        from .program import functions

        target = chosen_target(plan, variant, tuned)
        made = functions(arranged(plan), target)
        if form == "asm":
            return assembly(made, target)
        return "\n".join(str(function) for function in made)

    def build(self, plan: Plan, variant: str | None, origin: Origin, tuned: bool) -> Artifact:
        """The shared library of a plan, with its manifest and the source."""
        return built(arranged(plan), chosen_target(plan, variant, tuned), origin)

    def placements(self, plan: Plan, variant: str | None) -> None:
        """Caches keep what they like."""

    def c_library(
        self,
        plan: Plan,
        stream: Stream | Refusal,
        variant: str | None,
        origin: Origin,
        params: Mapping[str, Array] | None,
        tuned: bool,
    ) -> dict[str, bytes]:
        """The files of a C library by path; with `params` it holds its weights."""
        from .clibrary import c_library

        target = chosen_target(plan, variant, tuned)
        return c_library(arranged(plan), arranged_stream(stream), target, origin, params)

    def manifest(self, plan: Plan, variant: str | None, origin: Origin, tuned: bool) -> Manifest:
        """What a library of the plan says of itself, without making it."""
        from .manifest import manifest

        return manifest(arranged(plan), chosen_target(plan, variant, tuned), origin)

    def ort_operator(self, plan: Plan, variant: str | None, origin: Origin, tuned: bool) -> bytes:
        """The shared library of an operator of ONNX Runtime."""
        from .ortop import ort_operator

        return ort_operator(arranged(plan), chosen_target(plan, variant, tuned), origin)

    def tune(self, plan: Plan, origin: Origin, compare: Compare, seconds: float) -> Iterator[Trial]:
        """Tilings of the products, beginning with those that are remembered."""
        from .search import search

        target, plan = chosen_target(plan, None, True), arranged(plan)
        return search(plan, target, lambda tried: built(plan, tried, origin), compare, seconds)


def arranged(plan: Plan) -> Plan:
    """The plan as this backend runs it: what a thread can do in one go, on rows of its own."""
    from rnnc.plan.fusing import fused
    from rnnc.plan.rows import with_rows

    return with_rows(fused(plan))


def arranged_stream(stream: Stream | Refusal) -> Stream | Refusal:
    from rnnc.plan.stream import Stream

    if not isinstance(stream, Stream):
        return stream
    beginning = None if stream.beginning is None else arranged(stream.beginning)
    return Stream(beginning, arranged(stream.step), stream.states)


def chosen_target(plan: Plan, variant: str | None, tuned: bool) -> CpuTarget:
    """The processor that a variant names; tuned tilings are known of this one alone."""
    from .remembered import recall
    from .target import find_target

    target = find_target(variant or "host", plan.weights)
    if tuned and variant in (None, "host"):
        return replace(target, tilings=recall())
    return target


def built(plan: Plan, target: CpuTarget, origin: Origin) -> Artifact:
    from rnnc.runtime.artifact import Artifact

    from .clibrary import interface_source
    from .entry import entry_source
    from .interface import compiling
    from .library import emit_objects, link
    from .manifest import manifest
    from .program import functions

    about = manifest(plan, target, origin)
    with TemporaryDirectory(prefix="rnnc-") as name:
        folder = Path(name)
        interface = folder / "interface.c"
        interface.write_text(entry_source(plan, target) + interface_source(about, None, None))
        with compiling(interface, target, folder) as compiled:
            objects = emit_objects(functions(plan, target), target, folder)
            link([*objects, *compiled()], target, folder / "model.so")
        library = (folder / "model.so").read_bytes()
    return Artifact(about, library, origin.source)


def _problem(find_compiler: object, architecture: str | None) -> str | None:
    import os

    machine = architecture or os.uname().machine
    try:
        find_compiler(machine)  # type: ignore[operator]
    except DiagnosticError as error:
        return error.diagnostics[0].message
    return None


# What tells the levels of x86 from those below, of the names that the runtime knows.
_LEVELS = {"x86-64-v3": ("avx2", "fma"), "x86-64-v4": ("avx512f", "avx512bw", "avx512dq")}


def _unfit(target: CpuTarget) -> str | None:
    """Why this processor cannot run code for a target. Without LLVM, which would be exact."""
    from rnnc.runtime.processor import lacking, machine

    if target.architecture != machine():
        return f"this is {machine()}"
    own = (name.removeprefix("+") for name in target.features)
    missing = lacking([*_LEVELS.get(target.cpu, ()), *own])
    return f"this processor lacks {', '.join(missing)}" if missing else None


BACKEND: Backend = CpuBackend()
