"""A spec or a finished library as an `nn.Module`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

import rnnc
from rnnc.runtime.arguments import error, only_extent
from rnnc.runtime.artifact import SUFFIX
from rnnc.runtime.initial import random_parameters
from rnnc.runtime.model import Model
from rnnc.torch.network import Network, network
from rnnc.torch.operators import call
from rnnc.torch.places import Following

if TYPE_CHECKING:
    from rnnc.analysis.orders import Order
    from rnnc.driver import StaticValue
    from rnnc.weights import MathType, WeightType

Lengths = torch.Tensor | Mapping[str, torch.Tensor]


class Module(Following):
    """A compiled model whose parameters have their paths of the spec: `lstm[0].W_i`.

    `source` is a path or text of a spec, a finished library (`.rnnlib` or its folder; then neither
    the compiler nor TVM is needed), or what `rnnc.compile` and `rnnc.load` return. The options are
    those of `rnnc.compile`. `.cuda()` and `.cpu()` move the parameters, and compile a spec anew for
    where they are. Parameters begin as the spec's initializers say, drawn by torch's
    generator. Raises DiagnosticError, with every mistake that was found.
    """

    def __init__(
        self,
        source: str | Path | Model,
        *,
        model: str | None = None,
        sizes: Mapping[str, StaticValue] | None = None,
        hints: Mapping[str, int] | None = None,
        target: str = "cpu",
        order: Order = "auto",
        weights: WeightType = "float32",
        math: MathType = "float32",
        batch_first: bool = False,
    ) -> None:
        super().__init__()
        self._compile: partial[Model] | None = None  # for another kind of processor
        if isinstance(source, Model):
            compiled = source
        elif _is_library(source):
            compiled = rnnc.load(source)
        else:
            self._compile = partial(
                rnnc.compile,
                source,
                model=model,
                sizes=sizes,
                hints=hints,
                order=order,
                weights=weights,
                math=math,
            )
            compiled = self._compile(target=target)
        self.batch_first = batch_first
        self.network: Network = network(compiled)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all parameters anew."""
        self._owners: dict[str, tuple[torch.nn.Module, str]] = {}
        seed = int(torch.randint(2**31, ()).item())
        for path, array in random_parameters(self.network.manifest, seed).items():
            *owners, name = path.split(".")
            place: torch.nn.Module = self
            for owner in owners:
                if owner not in place._modules:
                    place.add_module(owner, torch.nn.Module())
                place = place.get_submodule(owner)
            values = torch.from_numpy(array)
            parameter = torch.nn.Parameter(values, requires_grad=values.is_floating_point())
            place.register_parameter(name, parameter)
            self._owners[path] = place, name

    def follow(self, place: str) -> None:
        """Where there was a spec."""
        if place != self.network.place and self._compile is not None:
            self.network = network(self._compile(target=place))

    def forward(
        self,
        *positional: torch.Tensor,
        lengths: Lengths | None = None,
        extents: Mapping[str, int] | None = None,
        **inputs: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """All outputs by name, for inputs by name or in the spec's order.

        Axes and `lengths` are those of `rnnc.runtime.model.BoundModel.run`. Tensors are where the
        parameters are, float32 where the spec says real.
        """
        names = self.network.inputs
        if len(positional) > len(names):
            found = f"{len(positional)} inputs were given"
            raise error("RNN731", f"{found}, the model has {len(names)}: {', '.join(names)}")
        given = dict(zip(names, positional, strict=False))
        for name, tensor in inputs.items():
            if name in given or name not in names:
                what = "is given twice" if name in given else "is no input of the model"
                raise error("RNN731", f"'{name}' {what}", f"inputs: {', '.join(names)}")
            given[name] = tensor
        for name, tensor in given.items():
            if not isinstance(tensor, torch.Tensor):
                raise error("RNN733", f"input '{name}' is {type(tensor).__name__}, not a tensor")
        known = self.network.manifest.extents
        own = {} if lengths is None else lengths
        if not isinstance(own, Mapping):
            own = {only_extent(self.network.manifest): own}
        for name, tensor in own.items():
            if name not in known:
                raise error("RNN734", f"lengths for '{name}', which is no run-time extent")
            if not isinstance(tensor, torch.Tensor):
                raise error("RNN734", f"lengths of '{name}' are {tensor!r}, not a tensor")
        for name, extent in (extents or {}).items():
            if name not in known or extent < 0:
                raise error("RNN732", f"the model has no extent '{name}' of {extent}")
        outputs = call(
            self.network,
            given,
            self._values(),
            [own.get(name) for name in known],
            [(extents or {}).get(name, -1) for name in known],
            self.batch_first,
        )
        return dict(zip(self.network.outputs, outputs, strict=True))

    def _values(self) -> list[torch.Tensor]:
        """All parameters in the network's order: without `get_parameter`, which is slow."""
        owners = [self._owners[path] for path in self.network.parameters]
        return [cast(torch.Tensor, owner._parameters[name]) for owner, name in owners]

    def extra_repr(self) -> str:
        return repr(self.network.model)


def _is_library(source: str | Path) -> bool:
    """Rather than a spec."""
    if "\n" in str(source):
        return False
    return Path(source).suffix == SUFFIX or Path(source).is_dir()
