"""Modules whose kernels are where their parameters are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Self

import torch


class Following(torch.nn.Module):
    """`.cuda()`, `.cpu()` and `.to()` move the parameters, and kernels follow."""

    @abstractmethod
    def follow(self, place: str) -> None:
        """Compiles anew for this kind of device ("cpu", "cuda"), if need be."""

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        places = {parameter.device.type for parameter in self.parameters()} & {"cpu", "cuda"}
        if len(places) == 1:
            self.follow(*places)
        return self
