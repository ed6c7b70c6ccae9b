"""THE ordered list of passes, run on each of the two graphs that `prepare_weights` makes."""

from __future__ import annotations

from collections.abc import Callable

from rnnc.ir.graph import Graph
from rnnc.passes.bind_sizes import BindSizes
from rnnc.passes.complete_variables import CompleteVariables
from rnnc.passes.drop_unit_dims import DropUnitDims
from rnnc.passes.drop_unused_dims import DropUnusedDims
from rnnc.passes.eliminate_common import EliminateCommon
from rnnc.passes.eliminate_dead import EliminateDead
from rnnc.passes.fold_constants import FoldConstants
from rnnc.passes.hoist_sums import HoistSums
from rnnc.passes.hold_copies import HoldCopies
from rnnc.passes.lower_rates import LowerRates
from rnnc.passes.propagate_copies import PropagateCopies
from rnnc.passes.push_views import PushViews
from rnnc.passes.resolve_reads import ResolveReads
from rnnc.passes.rewrite import Pass
from rnnc.passes.split_complex import SplitComplex
from rnnc.passes.split_concat_products import SplitConcatProducts
from rnnc.passes.stride_domains import StrideDomains
from rnnc.passes.unroll_reductions import UnrollReductions


def before_division() -> tuple[Pass, ...]:
    """What makes a graph ready to be divided by `prepare_weights`."""
    return (
        BindSizes(),  # shapes are counted
        SplitComplex(),  # before anybody else: no other pass, plan or kernel knows complex numbers
        EliminateDead(),  # nothing is prepared that nobody reads
        ResolveReads(),  # a weight under a name of its own is the expression that it names
        DropUnusedDims(),  # a weight in an equation of time does not depend on it
        EliminateCommon(),  # what is written twice is prepared once
    )


def before_export() -> tuple[Pass, ...]:
    """What makes a graph ready to be written in another language, near to what the spec says."""
    return (
        BindSizes(),
        SplitComplex(),  # ONNX has no arithmetic of complex numbers
        EliminateDead(),
        ResolveReads(),
    )


def pipeline() -> tuple[Pass, ...]:
    return (
        BindSizes(),  # first: every later pass may compare and count sizes
        EliminateDead(),  # before any work is spent on what nobody reads
        ResolveReads(),  # an aliased variable would hide the op behind it from the next ones
        UnrollReductions(),  # before views: each term then picks its own neighbour
        HoldCopies(),  # a written-out term reads one neighbour: it may be held by then
        ResolveReads(),  # a written-out term reads one case of what it read
        DropUnitDims(),  # terms and first layers get the dims of what they are combined with
        FoldConstants(),  # indices of terms and first layers are numbers now
        PushViews(),  # gates become blocks of weights
        SplitConcatProducts(),  # makes views of weights; a view of a view is composed next
        PushViews(),
        PropagateCopies(),  # picks of stacked neighbours became copies of them
        ResolveReads(),  # what was copied may be a variable, met in one case
        EliminateCommon(),  # before sums are regrouped: equal terms must be one term
        LowerRates(),  # behind the last resolved read; sums are regrouped with what it leaves
        HoistSums(),  # last that creates nodes: it looks at the final recurrences
        DropUnusedDims(),  # behind it: a sum over all points may have invariant terms
        EliminateDead(),
    )


def completion() -> tuple[Pass, ...]:
    """What makes the optimized graph one that is scheduled: nodes are statements with storage."""
    return (
        CompleteVariables(),
        StrideDomains(),  # last: variables' own copies skip points as well
    )


def optimize(
    graph: Graph,
    passes: tuple[Pass, ...],
    after: Callable[[str, Graph], None] = lambda name, graph: None,
) -> Graph:
    """Runs the passes in order; `after` sees the graph behind each one (verifier, --emit)."""
    for step in passes:
        graph = step.run(graph)
        after(step.name, graph)
    return graph
