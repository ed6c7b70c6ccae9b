"""Named arrays of one batch row, as the oracles take them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Arrays:
    """Parameters by path or inputs by name. `read` collects the names that were asked for, so
    that a test can tell a parameter that an oracle does not know of."""

    def __init__(
        self, values: Mapping[str, Array], prefix: str = "", read: set[str] | None = None
    ) -> None:
        self.values, self.prefix = values, prefix
        self.read: set[str] = set() if read is None else read

    def under(self, owner: str) -> Arrays:
        """The arrays whose path begins with `owner` and a dot, by what follows it."""
        return Arrays(self.values, f"{self.prefix}{owner}.", self.read)

    def _find(self, name: str) -> Array:
        path = self.prefix + name
        self.read.add(path)
        return self.values[path]

    def __getitem__(self, name: str) -> Floats:
        found = self._find(name)
        assert not np.iscomplexobj(found), name
        return found.astype(np.float64)

    def complexes(self, name: str) -> Complexes:
        return self._find(name).astype(np.complex128)

    def ints(self, name: str) -> Ints:
        found = self._find(name)
        assert np.issubdtype(found.dtype, np.integer), name
        return found.astype(np.int64)

    def bools(self, name: str) -> Bools:
        found = self._find(name)
        assert found.dtype == np.bool_, name
        return found.astype(np.bool_)
