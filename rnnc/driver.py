"""Every stage of the compiler, in order: this file is the architecture.

    text -> parse -> elaborate -> divide -> optimize -> schedule -> plan -> emit | build -> load

Stages are imported when they are called, so that `check` never pays for numpy or TVM. All raise
`DiagnosticError` for mistakes in what they are given, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from rnnc.collector import paused
from rnnc.diagnostics import Diagnostic, DiagnosticError, DiagnosticSink, Source
from rnnc.frontend.reading import read_source as read_source

if TYPE_CHECKING:
    from rnnc.analysis.components import Options, Schedule
    from rnnc.analysis.explanation import Explanation
    from rnnc.analysis.orders import Order
    from rnnc.frontend import ast
    from rnnc.ir.graph import Graph
    from rnnc.passes.prepare_weights import Divided
    from rnnc.passes.rewrite import Pass
    from rnnc.passes.stream_steps import Refusal
    from rnnc.plan.plan import Plan
    from rnnc.plan.stream import Stream
    from rnnc.runtime.artifact import Artifact, Origin
    from rnnc.runtime.model import Model
    from rnnc.weights import MathType, WeightType

# What -D can give a static: a size, a switch, a list, or the name of a cell or function.
StaticValue = int | float | bool | str | tuple["StaticValue", ...]

LIBRARY_SUFFIX = ".rnnlib"
IR_SUFFIX = ".rir"


# ---- sources ----------------------------------------------------------------------------------


def standard_source(name: str) -> Source:
    """A file of the standard library; it must exist."""
    entry = files("rnnc.cells") / f"{name}.rnn"
    return Source(str(entry), entry.read_text(encoding="utf-8"))


@cache
def standard_library() -> Mapping[str, ast.Module]:
    """Every file of the standard library, by the name under which it is imported, sorted."""
    names = sorted(entry.name for entry in files("rnnc.cells").iterdir())
    modules = [name.removesuffix(".rnn") for name in names if name.endswith(".rnn")]
    return MappingProxyType({name: parse(standard_source(name)) for name in modules})


# ---- what needs no sizes ----------------------------------------------------------------------


def parse(source: Source) -> ast.Module:
    """The syntax tree. Raises all syntax errors of the file."""
    from rnnc.frontend.parser import parse

    sink = DiagnosticSink()
    tree = parse(source, sink)
    sink.raise_errors()
    return tree


def format_source(source: Source) -> str:
    """The text in the canonical format. Raises all syntax errors."""
    from rnnc.frontend.format import format_source

    sink = DiagnosticSink()
    text = format_source(source, sink)
    sink.raise_errors()
    assert text is not None, "a file that cannot be formatted has an error"
    return text


def diagnose(source: Source) -> tuple[Diagnostic, ...]:
    """Every mistake and warning of a file and of what it imports, in source order.

    Sizes are symbols; every cell is checked by itself.
    """
    from rnnc.frontend.check import check

    return check(source)


# ---- what needs sizes -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be compiled of a file: which model, its statics, for which target.

    `hints` are likely run-time extents; they steer decisions of cost and never results. `order`
    overrides the choice between orders that are all legal. `weights` is the type in which the
    weights of matrix products are stored; `math` that in which tensor cores multiply. `tuned`: what
    `rnnc tune` has found on this machine is used in libraries for it.
    """

    model: str | None = None
    sizes: Mapping[str, StaticValue] = field(default_factory=dict)
    hints: Mapping[str, StaticValue] = field(default_factory=dict)
    target: str = "cpu"
    order: Order = "auto"
    weights: WeightType = "float32"
    tuned: bool = True
    math: MathType = "float32"


class Compilation:
    """One file on its way through the stages; each is computed when it is first asked for."""

    def __init__(self, source: Source, request: Request) -> None:
        self.source = source
        self.request = request

    @property
    def is_ir(self) -> bool:
        """Whether the source is the IR's text form, which on stdin has no suffix to tell."""
        return self.source.name.endswith(IR_SUFFIX) or self.source.text.startswith("graph ")

    @cached_property
    def tree(self) -> ast.Module:
        return parse(self.source)

    @cached_property
    def graph(self) -> Graph:
        """The recurrence as it was written: from `.rnn`, or from `.rir` as it is."""
        if self.is_ir:
            from rnnc.ir.parser import parse_graph
            from rnnc.ir.statics import with_statics

            return with_statics(parse_graph(self.source), self.request.sizes)
        from rnnc.frontend.elaborate import elaborate

        return elaborate(self.source, self.request.model, self.request.sizes)

    @cached_property
    def divided(self) -> Divided:
        """What the parameters alone decide, computed when they are bound, and the rest."""
        from rnnc.passes.pipeline import before_division
        from rnnc.passes.prepare_weights import prepare_weights

        require_sizes(self.graph)
        return prepare_weights(run_passes(self.graph, before_division()))

    @cached_property
    def optimized(self) -> Graph:
        """What a call computes, after all passes."""
        from rnnc.passes.pipeline import pipeline

        return run_passes(self.divided.main, pipeline())

    @cached_property
    def completed(self) -> Graph:
        """Every variable has a value wherever it is stored, and statements count only the points
        at which they are computed: what is scheduled and planned."""
        from rnnc.passes.pipeline import completion

        return run_passes(self.optimized, completion())

    @cached_property
    def schedule(self) -> Schedule:
        """An order for every recurrence."""
        from rnnc.analysis.schedule import schedule

        return schedule(self.completed, self.options)

    @cached_property
    def options(self) -> Options:
        """What decides between orders."""
        from rnnc.analysis.components import Options
        from rnnc.analysis.orders import check_order
        from rnnc.registry import find_backend
        from rnnc.weights import stored

        request = self.request
        check_order(request.order)
        backend, _ = find_backend(request.target)
        hints = {name: value for name, value in request.hints.items() if type(value) is int}
        return Options(
            request.order,
            tuple(hints.items()),
            weights=stored(request.weights, request.math),
            machine=backend.machine(request.weights, request.math),
        )

    @cached_property
    def prepared(self) -> tuple[Graph, Schedule] | None:
        """What runs once, when parameters are bound, and its order; None if there is nothing."""
        from rnnc.analysis.schedule import schedule
        from rnnc.passes.pipeline import completion, pipeline

        if self.divided.preparation is None:
            return None
        completed = run_passes(self.divided.preparation, (*pipeline(), *completion()))
        return completed, schedule(completed)

    @cached_property
    def masked(self) -> tuple[str, ...]:
        """The prepared weights of which a mask makes entries zero."""
        from rnnc.analysis.masks import masked

        return () if self.divided.preparation is None else masked(self.divided.preparation)

    @cached_property
    def preparation(self) -> Plan | None:
        """The program of what is prepared."""
        from rnnc.plan.build import build_plan

        return None if self.prepared is None else build_plan(*self.prepared)

    @cached_property
    def plan(self) -> Plan:
        """The scheduled program that backends read, with its preparation."""
        from rnnc.analysis.row_ends import shared_ends
        from rnnc.plan.build import build_plan, check_indices
        from rnnc.plan.prepare import with_masks, with_preparation

        check_indices(self.graph)  # many layers take long to optimize
        plan = replace(
            build_plan(self.completed, self.schedule),
            weights=self.request.weights,
            math=self.request.math,
            shared_ends=tuple(shared_ends(self.graph).items()),
        )
        if self.preparation is None:
            return plan
        order = [node.id for node in self.divided.params]
        return with_preparation(with_masks(plan, self.masked), self.preparation, order)

    @cached_property
    def stream(self) -> Stream | Refusal:
        """The programs for one step at a time, or why there are none."""
        from rnnc.analysis.schedule import schedule
        from rnnc.passes.pipeline import completion, pipeline
        from rnnc.passes.stream_steps import Refusal, stream_steps
        from rnnc.plan.build import build_plan
        from rnnc.plan.prepare import with_masks
        from rnnc.plan.stream import Stream

        def planned(graph: Graph) -> Plan:
            completed = run_passes(graph, (*pipeline(), *completion()))
            made = build_plan(completed, schedule(completed))
            return with_masks(replace(made, weights=self.request.weights), self.masked)

        steps = stream_steps(self.divided.main)
        if isinstance(steps, Refusal):
            return steps
        beginning = None if steps.beginning is None else planned(steps.beginning)
        return Stream(beginning, planned(steps.step), steps.states)

    def text(self, stage: str) -> str:
        """A stage as text: "ast", "ir", "opt" or "plan"."""
        from rnnc.ir.printer import print_graph
        from rnnc.outline import outline
        from rnnc.plan.printer import print_plan

        match stage:
            case "ast":
                return outline(self.tree)
            case "ir":
                require_sizes(self.graph)
                return print_graph(self.graph)
            case "opt":
                return print_graph(self.optimized)
            case _:
                return print_plan(self.plan)

    def code(self, form: str) -> str | bytes:
        """The kernels in a form of the target: "tir", "asm", "cu", ... Raises RNN701 for others."""
        from rnnc.registry import find_backend

        backend, variant = find_backend(self.request.target)
        if form not in backend.forms:
            message = f"the target '{self.request.target}' has no form '{form}'"
            hints = (f"it has {', '.join(backend.forms)}",)
            raise DiagnosticError([Diagnostic("RNN701", message, hints=hints)])
        return backend.emit(self.plan, variant, form, self.request.tuned)

    @cached_property
    def artifact(self) -> Artifact:
        """The compiled library, with its manifest and the source in the canonical format."""
        from rnnc.registry import find_backend

        backend, variant = find_backend(self.request.target)
        with paused():
            return backend.build(self.plan, variant, self.origin, self.request.tuned)

    @property
    def origin(self) -> Origin:
        """What the library is made from."""
        from rnnc.runtime.artifact import Origin

        text = self.source.text if self.is_ir else format_source(self.source)
        return Origin(text, {**self.graph.values, **self.request.sizes})

    def build_c_library(self, folder: Path, weights: Path | None) -> None:
        """Writes a C library into a folder, each file whole or not at all; `weights` go into it."""
        from rnnc.arrays import read_arrays
        from rnnc.atomic import make_folder, write_bytes
        from rnnc.registry import find_backend

        params = None if weights is None else read_arrays(weights)
        backend, variant = find_backend(self.request.target)
        made = backend.c_library(
            self.plan, self.stream, variant, self.origin, params, self.request.tuned
        )
        for path, data in made.items():
            make_folder((folder / path).parent)
            write_bytes(folder / path, data)

    def ort_operator(self) -> bytes:
        """The shared library of an operator of ONNX Runtime that is this model."""
        from rnnc.registry import find_backend

        backend, variant = find_backend(self.request.target)
        return backend.ort_operator(self.plan, variant, self.origin, self.request.tuned)

    def onnx(self, weights: Path | None, operator: bool = False, lengths: bool = False) -> bytes:
        """The model as ONNX; without `weights`, parameters are drawn as the spec says.

        With `operator` it is one node, which the library of `ort_operator` runs; with `lengths`
        it has inputs for the extents of each row.
        """
        from rnnc.arrays import read_arrays
        from rnnc.exporters.onnx import export_node, export_onnx
        from rnnc.exporters.parameters import drawn, parameters
        from rnnc.passes.pipeline import before_export
        from rnnc.registry import find_backend

        require_sizes(self.graph)
        graph = run_passes(self.graph, before_export())
        found = drawn(graph) if weights is None else parameters(graph, read_arrays(weights))
        if operator:
            backend, variant = find_backend(self.request.target)
            about = backend.manifest(self.plan, variant, self.origin, self.request.tuned)
            return bytes(export_node(about, found, lengths).SerializeToString())
        return bytes(export_onnx(graph, found, lengths).SerializeToString())

    def build(self, path: Path) -> None:
        """Writes the artifact. Whole or not at all."""
        from rnnc.runtime.artifact import write

        write(path, self.artifact)

    def load(self) -> Model:
        """The compiled model, ready to be called."""
        from rnnc.runtime.model import opened

        return opened(self.artifact)


def run_passes(
    graph: Graph,
    passes: tuple[Pass, ...],
    after: Callable[[str, Graph], None] = lambda name, graph: None,
) -> Graph:
    """The graph after the passes, verified behind each; `after` sees each pass's result."""
    from rnnc.ir.verifier import verify
    from rnnc.passes.pipeline import optimize

    sound: Graph | None = None

    def checked(name: str, found: Graph) -> None:
        nonlocal sound
        verify(found, sound)
        sound = found
        after(name, found)

    return optimize(graph, passes, checked)


def require_sizes(graph: Graph) -> None:
    """Raises RNN304 where statics are still open: compiling needs numbers."""
    missing = [size.name for size in graph.sizes if size.kind == "static" and size.value is None]
    if missing:
        names = ", ".join(missing)
        given = " ".join(f"-D {name}=64" for name in missing)
        message = f"'{graph.name}' cannot be compiled without a number for {names}"
        raise DiagnosticError([Diagnostic("RNN304", message, hints=(f"say it:  {given}",))])


def open_model(name: str, request: Request) -> Model:
    """The model of a spec, compiled, or of a finished library."""
    if name.endswith(LIBRARY_SUFFIX) or Path(name).is_dir():
        from rnnc.runtime.model import load

        return load(Path(name))
    return Compilation(read_source(name), request).load()


def explain(compilation: Compilation, extents: Mapping[str, int]) -> Explanation:
    """What was found in each recurrence, what was rejected and why, and the critical path.

    `extents` may give run-time extents: then there are numbers beside the formulas.
    """
    from rnnc.analysis.explanation import explanation
    from rnnc.analysis.listing import listing
    from rnnc.passes.bind_sizes import BindSizes
    from rnnc.passes.complete_variables import CompleteVariables
    from rnnc.plan.fused import fused_products
    from rnnc.registry import find_backend

    require_sizes(compilation.graph)
    written = CompleteVariables().run(BindSizes().run(compilation.graph))
    scheduled = compilation.completed
    try:
        fused = tuple(fused_products(compilation.plan.steps, scheduled))
    except DiagnosticError:  # what cannot be compiled can be explained
        fused = ()
    prepared = compilation.divided.preparation
    once = () if prepared is None else [n for n in prepared.nodes if n.op.name == "matmul"]
    texts = [node.spans[0].text if node.spans else node.id for node in once]
    values = {**compilation.graph.values, **extents}
    steps = () if compilation.prepared is None else listing(*compilation.prepared, values)
    found = explanation(
        written, scheduled, compilation.schedule, compilation.options, fused, texts, steps, values
    )
    spans = [prepared[name].spans[0].text for name in compilation.masked] if prepared else []
    placed = None
    if compilation.request.target != "cpu":
        backend, variant = find_backend(compilation.request.target)
        placed = backend.placements(compilation.plan, variant)
    return replace(
        found,
        weights=compilation.request.weights,
        masked=tuple(dict.fromkeys(spans)),
        placements=placed,
    )
