"""An explanation as JSON. The keys are stable: docs/schedules.md lists them."""

from __future__ import annotations

from rnnc.analysis.explanation import Amount, Explained, Explanation
from rnnc.cli.json_report import Json
from rnnc.placement import Placements


def explanation_to_json(found: Explanation) -> dict[str, Json]:
    """Every amount is a number, or null if an extent is missing; with its formula beside it."""
    return {
        "model": found.model,
        "sizes": dict(found.values),
        "extents": list(found.extents),
        "schedule": found.schedule,
        **_amounts(found),
        "components": [_component(component) for component in found.components],
        "hoisted": list(found.hoisted),
        "prepared": list(found.prepared),
        "weights": found.weights,
        "masked": list(found.masked),
        "device": None if found.placements is None else _placements(found.placements),
        "preparation": list(found.preparation),
        "order": list(found.order),
        "alternatives": [
            {"order": other.order, **_amount("waves", other.waves)} for other in found.others
        ],
    }


def _component(found: Explained) -> dict[str, Json]:
    return {
        "variables": list(found.variables),
        "grid": [
            {"dim": d.name, "lower": str(d.lower), "upper": str(d.upper), "static": d.static}
            for d in found.grid
        ],
        "edges": [
            {
                "read": edge.text,
                "distances": [list(vector) for vector in edge.distances],
                "rays": [list(vector) for vector in edge.rays],
            }
            for edge in found.edges
        ],
        "schedule": found.schedule,
        **_amounts(found),
        "data_dependent": found.data_dependent,
        "fused": [list(products) for products in found.fused],
        "rejected": [
            {"schedule": other.schedule, "legal": other.legal, "reason": other.reason}
            for other in found.rejected
        ],
    }


def _placements(found: Placements) -> dict[str, Json]:
    return {
        "name": found.device,
        "steps": [
            {
                "computes": list(step.computes),
                "level": step.level,
                "blocks": step.blocks,
                "threads": step.threads,
                "reason": step.why,
                "products": [
                    {
                        "kernel": product.kernel,
                        "weights": list(product.weights),
                        "math": product.math,
                        "weights_in": product.home,
                        "bytes": product.size,
                        "reason": product.why,
                    }
                    for product in step.products
                ],
            }
            for step in found.steps
        ],
    }


def _amounts(found: Explanation | Explained) -> dict[str, Json]:
    return {
        **_amount("critical_path", found.critical_path),
        **_amount("evaluations", found.evaluations),
        **_amount("skipped", found.skipped),
        **_amount("waves", found.waves),
        **_amount("max_width", found.max_width),
    }


def _amount(key: str, amount: Amount) -> dict[str, Json]:
    return {key: amount.value, f"{key}_formula": amount.formula}
