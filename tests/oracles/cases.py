"""Every model and every cell of the standard library, with its oracle.

Sizes are small, odd and, where that is possible, all different, so that a confused axis shows.
"""

from __future__ import annotations

from tests.oracles.memories import MEMORIES
from tests.oracles.networks import NETWORKS
from tests.oracles.wrapped import WRAPPED

CASES = (*NETWORKS, *MEMORIES, *WRAPPED)
