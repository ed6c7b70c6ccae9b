"""Backends: what one must offer, and how the installed ones are found.

A backend is an object behind an entry point of the group `rnnc.backends`; rnnc itself imports none
by name, so another package can bring one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol

from rnnc.diagnostics import Diagnostic, DiagnosticError

if TYPE_CHECKING:
    from rnnc.analysis.machine import Machine
    from rnnc.passes.stream_steps import Refusal
    from rnnc.placement import Placements
    from rnnc.plan.plan import Plan
    from rnnc.plan.stream import Stream
    from rnnc.runtime.artifact import Artifact, Origin
    from rnnc.runtime.manifest import Manifest
    from rnnc.runtime.memory import Array
    from rnnc.weights import MathType, WeightType

_GROUP = "rnnc.backends"


@dataclass(frozen=True, slots=True)
class TargetDescription:
    """One row of `rnnc targets`: `problem` says why nothing can be built for it here, `unfit` why
    what is built cannot run here; None if it can."""

    name: str
    description: str
    problem: str | None
    unfit: str | None


@dataclass(frozen=True, slots=True)
class Trial:
    """What is known of one shape of products after `seconds` of a search: tilings as text, and how
    many times faster the best is than that with which the search began."""

    shape: str
    default: str
    best: str
    gain: float
    seconds: float


# How many times faster the second library is, for each of some batches; None if they disagree.
Compare = Callable[["Artifact", "Artifact"], Sequence[float] | None]


class Backend(Protocol):
    """Turns a plan into text or a library; `variant` is what follows the colon of a target.

    `forms` are what `emit` gives, `defaults` what is made unless something is asked for. `tuned`:
    what `tune` has found on this machine is used in libraries for it.
    """

    @property
    def forms(self) -> tuple[str, ...]: ...

    @property
    def defaults(self) -> tuple[str, ...]: ...

    def targets(self) -> Sequence[TargetDescription]:
        """What can be named, the default first; imports nothing heavy."""
        ...

    def machine(self, weights: WeightType, math: MathType) -> Machine:
        """What decides between orders that are all legal. Raises RNN705 for types that no variant
        has. Imports nothing heavy."""
        ...

    def emit(self, plan: Plan, variant: str | None, form: str, tuned: bool) -> str | bytes:
        """The kernels in one of the forms: text, or machine code as bytes."""
        ...

    def build(self, plan: Plan, variant: str | None, origin: Origin, tuned: bool) -> Artifact:
        """The finished library, with its manifest and the source."""
        ...

    def placements(self, plan: Plan, variant: str | None) -> Placements | None:
        """Where a device keeps weights and what it runs as one launch; None where there is nothing
        to say. Imports nothing heavy."""
        ...

    def c_library(
        self,
        plan: Plan,
        stream: Stream | Refusal,
        variant: str | None,
        origin: Origin,
        params: Mapping[str, Array] | None,
        tuned: bool,
    ) -> dict[str, bytes]:
        """The files of a C library by path, header and all; with `params` it holds its weights."""
        ...

    def manifest(self, plan: Plan, variant: str | None, origin: Origin, tuned: bool) -> Manifest:
        """What a library of the plan says of itself, without making it."""
        ...

    def ort_operator(self, plan: Plan, variant: str | None, origin: Origin, tuned: bool) -> bytes:
        """The shared library of an operator of ONNX Runtime that runs the plan."""
        ...

    def tune(self, plan: Plan, origin: Origin, compare: Compare, seconds: float) -> Iterator[Trial]:
        """Searches for about so long how this machine computes the plan fastest, and remembers
        what it finds at once."""
        ...


def backend_names() -> tuple[str, ...]:
    """The installed backends, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=_GROUP)}))


def find_backend(target: str) -> tuple[Backend, str | None]:
    """The backend and variant of a target `cpu` or `cpu:x86-64-v3`.

    Raises RNN701 if there is none, or if what it needs is not installed.
    """
    name, _, variant = target.partition(":")
    for entry in entry_points(group=_GROUP):
        if entry.name == name:
            try:
                backend: Backend = entry.load()
            except ImportError as error:
                message = f"the backend '{name}' cannot be loaded: {error}"
                raise DiagnosticError([Diagnostic("RNN701", message)]) from error
            return backend, variant or None
    known = ", ".join(backend_names()) or "none"
    message = f"no backend for target '{target}': the installed ones are {known}"
    raise DiagnosticError([Diagnostic("RNN701", message, hints=("list them:  rnnc targets",))])
