"""What the docstring of an architecture says in a fixed form.

    "Cho et al. 2014, arXiv 1406.1078: reset before the product in the paper, after it in cuDNN.

    More of it.
    Critical path: T."

Authors and year, where it was published, a colon, what it is. A line without a year before its
first colon cites nothing: it only says what it is. The critical path is a formula in extents and
statics; that of a cell is the one of a layer of it over T steps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(
    r"(?P<authors>[^\d:]+) (?P<year>(?:19|20)\d\d)(?: \((?P<venue>[^)]+)\))?"
    r"(?:, arXiv (?P<arxiv>\d{4}\.\d{4,5}))?(?:, [^:]+)?: (?P<what>.+)"
)

_PATH = re.compile(r"^ *Critical path: (?P<formula>.+)\.$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Citation:
    """`paper` is the authors and where to find it: `Cho et al., arXiv 1406.1078`."""

    paper: str
    year: int
    what: str


def citation(docstring: str | None) -> Citation | None:
    """None for a docstring that names no source in this form."""
    found = _FORM.fullmatch(first_line(docstring))
    if found is None:
        return None
    place = f"arXiv {found['arxiv']}" if found["arxiv"] else found["venue"]
    paper = f"{found['authors']}, {place}" if place else found["authors"]
    return Citation(paper, int(found["year"]), found["what"])


def critical_path(docstring: str | None) -> str | None:
    """The formula after `Critical path:`, None where there is none."""
    found = _PATH.search(docstring or "")
    return found["formula"] if found else None


def first_line(docstring: str | None) -> str:
    return (docstring or "").partition("\n")[0]
