"""An explanation as text for people: what `rnnc explain` prints."""

from __future__ import annotations

from collections.abc import Iterator

from rnnc.analysis.explanation import Amount, Explained, Explanation
from rnnc.analysis.listing import listed
from rnnc.placement import Placements

_WIDTH = 16
_ROUNDED = {
    "bf16": "rounded when they are bound, widened in registers",
    "int8": "with a scale a row; vectors are rounded as well, at each product",
    "sparse": "zeros are left out where enough of them stand side by side; found when bound",
}

_HOMES = {
    "registers": "in registers",
    "shared": "in shared memory",
    "cache": "from the cache",
    "memory": "from memory",
}


def report(found: Explanation) -> str:
    """The whole model, its recurrences, and the order in which all is computed."""
    return "\n".join(_lines(found))


def _lines(found: Explanation) -> Iterator[str]:
    names = ", ".join(f"{name} = {value}" for name, value in found.values.items())
    yield f"{found.model}: {names}" if names else found.model
    yield _row("critical path", f"{found.critical_path} of {_evaluations(found.evaluations)}")
    if found.skipped.value != 0:
        yield _row("skipped", f"{found.skipped}, where a state is only kept")
    yield _row("waves", f"{found.waves}, of {_points(found.max_width)}")
    yield _row("at once", listed(found.hoisted)) if found.hoisted else _row("at once", "nothing")
    if found.prepared:
        yield _row("once for all", listed(found.prepared))
    if found.weights != "float32":
        yield _row("weights", f"{found.weights}, {_ROUNDED[found.weights]}")
    if found.masked:
        yield _row("sparse", f"{listed(found.masked)}: zeros are left out if many")
    for component in found.components:
        if component.edges:
            yield ""
            yield from _recurrence(found.model, component)
    if found.preparation:
        yield ""
        yield "When parameters are bound:"
        yield from found.preparation
    if found.placements is not None:
        yield ""
        yield from _placed(found.placements)
    yield ""
    yield "In this order:"
    yield from found.order
    for other in found.others:
        yield f"Also legal, and not taken ({other.order}): {other.waves} waves"


def _recurrence(model: str, found: Explained) -> Iterator[str]:
    grid = ", ".join(str(dim).removeprefix("static ") for dim in found.grid)
    yield f"Recurrence of {listed(found.variables)} over {grid}"
    for number, edge in enumerate(found.edges):
        yield _row("" if number else "reads", str(edge))
    yield _row("schedule", f"{found.schedule}: {found.waves} waves of {_points(found.max_width)}")
    most = "at most " if found.data_dependent else ""
    path = f"{most}{found.critical_path} of {_evaluations(found.evaluations)}"
    yield _row("critical path", path)
    if found.skipped.value != 0:
        yield _row("skipped", str(found.skipped))
    for products in dict.fromkeys(found.fused):
        times = {text: products.count(text) for text in products}
        texts = [text if n == 1 else f"{n} products of {text}" for text, n in times.items()]
        yield _row("one kernel", listed(texts))
    for other in found.rejected:
        verdict = "is legal" if other.legal else "is illegal"
        yield _row("rejected", f"{model}: {other.schedule} {verdict}: {other.reason}")


def _placed(found: Placements) -> Iterator[str]:
    yield f"On {found.device}:"
    for step in found.steps:
        blocks = "as many blocks as rows need"
        if step.blocks is not None:
            blocks = "one block" if step.blocks == 1 else f"{step.blocks} blocks"
        what = "" if step.level == "launches" else f"{listed(step.computes)}: "
        yield _row(step.level, f"{what}{blocks} of {step.threads} threads, {step.why}")
        for product in step.products:
            where = f"{product.math}, {_size(product.size)} {_HOMES[product.home]}"
            why = f": {product.why}" if product.why else ""
            yield _row("", f"{listed(product.weights)}: {where}{why}")


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{-(-size // 2**10)} KiB"


def _evaluations(amount: Amount) -> str:
    return "1 evaluation" if amount.formula == "1" else f"{amount} evaluations"


def _points(width: Amount) -> str:
    if width.formula == "1":
        return "one point"
    most = "" if width.formula.startswith("at most") else "at most "
    return f"{most}{width} points"


def _row(name: str, text: str) -> str:
    return f"   {name:{_WIDTH}}{text}"
