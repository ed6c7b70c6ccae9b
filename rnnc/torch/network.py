"""A compiled model on tensors: what an operator of torch computes, and weights packed once.

Memory is shared with NumPy's arrays in both directions, so that no value is copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.weak import WeakIdKeyDictionary

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.artifact import CUDA, Artifact
from rnnc.runtime.manifest import Manifest
from rnnc.runtime.memory import Array
from rnnc.runtime.model import BoundModel, Model, opened

DTYPES = {"real": torch.float32, "int": torch.int32, "bool": torch.bool}
_ANY_INT = (torch.int32, torch.int64, torch.int16, torch.int8, torch.uint8)
# NumPy takes complex inputs for their two parts.
_TAKEN = {"real": (torch.float32, torch.complex64), "int": _ANY_INT, "bool": (torch.bool,)}
_CONVERT = "convert it:  .float()"

Tensors = Sequence[torch.Tensor | None]


@dataclass(frozen=True, slots=True)
class _Packed:
    """Weights as they were when they were packed: `kept` holds their memory, so that nothing else
    can have their addresses."""

    stamps: tuple[int, ...]
    kept: tuple[torch.Tensor, ...]
    bound: BoundModel


class Network:
    """A compiled model, known to torch's operators by its key: the same for the same library."""

    def __init__(self, model: Model) -> None:
        self.model = model
        digest = hashlib.sha256(model.manifest.to_json().encode() + model.artifact.library)
        self.key = f"{model.manifest.model}:{digest.hexdigest()[:16]}"
        self.inputs = tuple(port.name for port in model.manifest.inputs)
        self.outputs = tuple(port.name for port in model.manifest.outputs)
        self.parameters = tuple(model.parameters)
        self.place = "cuda" if model.manifest.target.triple == CUDA else "cpu"  # torch's names
        self._dtypes = {port.name: port.dtype for port in model.manifest.inputs}
        self._packed: MutableMapping[torch.Tensor, _Packed] = WeakIdKeyDictionary()
        self._alone = model.bind({}) if not self.parameters else None

    @property
    def manifest(self) -> Manifest:
        return self.model.manifest

    def __reduce__(self) -> tuple[object, tuple[Artifact]]:
        """Modules can be copied and pickled: with the library, not with this process's part."""
        return _restored, (self.model.artifact,)

    def bound(self, parameters: Sequence[torch.Tensor]) -> BoundModel:
        """The model with these weights, in the order of `self.parameters`.

        They are packed again if one of them is another tensor or was written to since, as far as
        torch counts that.
        """
        if self._alone is not None:
            return self._alone
        first = parameters[0]
        known = self._packed.get(first)
        stamps = _stamps(parameters)
        if known is not None and known.stamps == stamps:
            return known.bound
        arrays = {}
        for path, parameter in zip(self.parameters, parameters, strict=True):
            check_place(f"parameter '{path}'", parameter, self.place)
            if parameter.is_floating_point() and parameter.dtype != torch.float32:
                raise _error("RNN724", f"parameter '{path}' holds {parameter.dtype}", _CONVERT)
            arrays[path] = parameter.detach().cpu().numpy()
        made = self._bind(arrays, first.device)
        if not any(parameter.is_inference() for parameter in parameters):
            kept = tuple(parameter.detach() for parameter in parameters)
            self._packed[first] = _Packed(stamps, kept, made)
        return made

    def _bind(self, arrays: Mapping[str, Array], device: torch.device) -> BoundModel:
        if self.place == "cpu":
            return self.model.bind(arrays)
        from rnnc.runtime.cuda.model import CudaModel

        assert isinstance(self.model, CudaModel)
        return self.model.bind(arrays, device.index)

    def run(
        self,
        inputs: Mapping[str, torch.Tensor],
        parameters: Sequence[torch.Tensor],
        lengths: Tensors,
        extents: Sequence[int],
        batch_first: bool,
    ) -> list[torch.Tensor]:
        """The outputs in the manifest's order; see `rnnc.torch.operators.forward`."""
        for name, tensor in inputs.items():
            check_place(f"input '{name}'", tensor, self.place)
            wanted = self._dtypes[name]
            if tensor.dtype not in _TAKEN[wanted]:
                message = f"input '{name}' holds {tensor.dtype} but must hold {DTYPES[wanted]}"
                raise _error("RNN733", message, _CONVERT)
        named = zip(self.manifest.extents, lengths, strict=True)
        own = {name: tensor for name, tensor in named if tensor is not None}
        given = {n: e for n, e in zip(self.manifest.extents, extents, strict=True) if e >= 0}
        bound = self.bound(parameters)
        if self.place == "cuda" and inputs:
            tensors: Mapping[str, Any] = inputs
            shared = bound.run(tensors, lengths=own or None, extents=given, batch_first=batch_first)
            made: Mapping[str, Any] = shared
            return list(made.values())
        arrays = {name: tensor.detach().numpy() for name, tensor in inputs.items()}
        found = bound.run(
            arrays,
            lengths={name: tensor.cpu().numpy() for name, tensor in own.items()} or None,
            extents=given,
            threads=torch.get_num_threads(),
            batch_first=batch_first,
        )
        return [torch.from_numpy(array).to(self.place) for array in found.values()]


_NETWORKS: dict[str, Network] = {}


def network(model: Model) -> Network:
    """The network of a model, registered under its key for this process."""
    made = Network(model)
    return _NETWORKS.setdefault(made.key, made)


def find(key: str) -> Network:
    """Raises RNN742 where no module of this process has made it."""
    found = _NETWORKS.get(key)
    if found is None:
        hint = "make its rnnc.torch.Module first: a graph holds only the name of its library"
        raise _error("RNN742", f"no model '{key}' was loaded in this process", hint)
    return found


def _restored(artifact: Artifact) -> Network:
    return network(opened(artifact))


def check_place(name: str, tensor: torch.Tensor, place: str) -> None:
    """Raises RNN743 for a tensor without memory of this kind of device, laid out in strides."""
    if tensor.device.type != place or tensor.layout != torch.strided:
        kernels = "CPU" if place == "cpu" else "GPU"
        message = f"{name} is on {tensor.device} ({tensor.layout}); kernels run on the {kernels}"
        raise _error("RNN743", message, f"move it:  .{place}()")


def _error(code: str, message: str, *hints: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic(code, message, hints=hints)])


def _stamps(parameters: Sequence[torch.Tensor]) -> tuple[int, ...]:
    """Addresses and version counters; tensors of the inference mode have none."""
    if any(parameter.is_inference() for parameter in parameters):
        return ()
    return tuple(p.data_ptr() for p in parameters) + tuple(p._version for p in parameters)
