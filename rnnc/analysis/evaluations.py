"""How many evaluations a recurrence has, and how many points it only keeps a state at.

A state is what is read at another point. It is evaluated at the points of the dims that all states
share: a stack memory `s[t, i]` beside a controller `h[t]` is T evaluations. What runs in different
directions is never computed at once, and counts for itself. A point at which a state is a copy of
what it was (`h[t] = h[t-1]` where nothing is due) is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnnc.analysis.boxes import bounds_of, box_of, hull
from rnnc.analysis.copies import is_copy
from rnnc.analysis.counting import count
from rnnc.analysis.critical_path import Paths
from rnnc.analysis.dependence import Dependence
from rnnc.analysis.distances import moves, still
from rnnc.analysis.longest import Longest
from rnnc.analysis.partition import Part, Partition
from rnnc.analysis.recurrences import Recurrence
from rnnc.ir.domain import Dim, Domain
from rnnc.ir.poly import Poly


def evaluations(paths: Paths, recurrence: Recurrence) -> Longest:
    """At how many points some state is computed."""
    reads = paths.recurrences.reads(recurrence)
    return _counted(paths, recurrence, recurrence.statements, reads, False)


def skipped(paths: Paths, recurrence: Recurrence) -> Longest:
    """At how many points a state is only kept."""
    reads = paths.recurrences.reads(recurrence)
    return _counted(paths, recurrence, recurrence.statements, reads, True)


def states(paths: Paths, recurrence: Recurrence) -> tuple[str, ...]:
    """The variables that are evaluated, without those that have further dims."""
    variables = paths.recurrences.variables
    return tuple(dict.fromkeys(variables[name] for name in _states(paths, recurrence)))


def grid(paths: Paths, recurrence: Recurrence) -> tuple[Dim, ...]:
    """The dims of an evaluation, each as long as any state needs it."""
    domains = [paths.graph[name].domain for name in _states(paths, recurrence)]
    shared = [d.name for d in domains[0].dims if all(d.name in o.names for o in domains)]
    return tuple(
        box_of(domains[0].dim(name), hull(bounds_of(domain.dim(name)) for domain in domains))
        for name in shared
    )


def _states(paths: Paths, recurrence: Recurrence) -> tuple[str, ...]:
    """The statements of states that have no further dims, but all that an evaluation needs."""
    waiting = (e.source for e in recurrence.reads if moves(e) and (e.delay or _kept(paths, e)))
    read = [name for name in dict.fromkeys(waiting) if name in paths.recurrences.variables]
    domains = {name: set(paths.graph[name].domain.names) for name in read}
    full = {name: own for name, own in domains.items() if own >= set(recurrence.needed)} or domains
    fewest = min(map(len, full.values()))
    return tuple(name for name, own in full.items() if len(own) == fewest)


def _kept(paths: Paths, edge: Dependence) -> bool:
    return is_copy(paths.graph, edge.reader)


def _counted(
    paths: Paths, recurrence: Recurrence, nodes: Part, edges: Sequence[Dependence], kept: bool
) -> Longest:
    partition = Partition.of(nodes, edges)
    total = Longest()
    for part in partition.recurrences():
        inside = partition.inside(part)
        if paths.composed(part) or paths.affine(part, inside):
            total += _points(paths, recurrence, part, kept)
        else:
            carried = paths.carried(part, inside)[1]
            total += _counted(paths, recurrence, part, carried, kept)
    return total


def _points(paths: Paths, recurrence: Recurrence, part: Part, kept: bool) -> Longest:
    """The points at which the states of a part are computed, or kept."""
    members = set(part)
    turns = _turns(recurrence)
    found: dict[int, dict[str, Poly]] = {}
    names = [dim.name for dim in grid(paths, recurrence)]
    for name in _states(paths, recurrence):
        if name in members and is_copy(paths.graph, name) == kept:
            domain = paths.graph[name].domain
            dims = tuple(dim for dim in domain.dims if dim.name in names)
            counts = found.setdefault(turns.get(name, 0), {})
            variable = paths.recurrences.variables[name]
            more = count(Domain(dims, domain.constraints))
            counts[variable] = counts.get(variable, Poly()) + more
    return sum((Longest.of(counts.values()) for counts in found.values()), Longest())


def _turns(recurrence: Recurrence) -> dict[str, int]:
    """How many other evaluations come first at the point of a statement."""
    here = still(recurrence.reads)
    found = dict.fromkeys(here, 0)
    for _ in range(len(found)):
        before = dict(found)
        for source, reader, delay in here.edges(data="delay"):
            found[reader] = max(found[reader], found[source] + delay)
        if found == before:
            break
    return found
