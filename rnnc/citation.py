"""Where an architecture comes from, as the first line of its docstring says it.

    "Cho et al. 2014, arXiv 1406.1078: reset before the product in the paper, after it in cuDNN."

Authors and year, where it was published, a colon, what it is. A line without a year before its
first colon cites nothing: it only says what it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(
    r"(?P<authors>[^\d:]+) (?P<year>(?:19|20)\d\d)(?: \((?P<venue>[^)]+)\))?"
    r"(?:, arXiv (?P<arxiv>\d{4}\.\d{4,5}))?(?:, [^:]+)?: (?P<what>.+)"
)


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


def first_line(docstring: str | None) -> str:
    return (docstring or "").partition("\n")[0]
