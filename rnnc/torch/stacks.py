"""`torch.nn.LSTM`, `GRU` and `RNN`, compiled: the same constructor, state_dict, call and result."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Literal, cast

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import rnnc
from rnnc.runtime.arguments import error
from rnnc.torch.network import Network, network
from rnnc.torch.operators import call
from rnnc.torch.places import Following
from rnnc.torch.specs import Kind, Stack, spec

States = torch.Tensor | tuple[torch.Tensor, torch.Tensor]
Sequences = torch.Tensor | PackedSequence
_WAYS = (("fwd", ""), ("bwd", "_reverse"))


class _Layers(Following):
    """What the three have in common. The model is compiled once for each configuration and kind of
    device."""

    def __init__(
        self,
        stack: Stack,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        batch_first: bool,
        dropout: float,
        proj_size: int,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.bidirectional = stack.bias, stack.bidirectional
        self.batch_first, self.dropout, self.proj_size = batch_first, dropout, proj_size
        self._stack = stack
        sizes = {"X": input_size, "H": hidden_size, "L": num_layers}
        if stack.projected:
            sizes["P"] = proj_size
        self._sizes = tuple(sizes.items())
        place = torch.get_default_device() if device is None else torch.device(device)
        self.network = _compiled(stack, self._sizes, "cuda" if place.type == "cuda" else "cpu")
        self._keys: dict[str, str] = {}
        shapes = self.network.model.parameters
        for layer in range(num_layers):
            for cell, suffix in _WAYS[: 1 + stack.bidirectional]:
                for name in stack.weights:
                    path, key = f"{cell}[{layer}].{name}", f"{name}_l{layer}{suffix}"
                    self._keys[path] = key
                    values = torch.empty(shapes[path][1], device=device, dtype=dtype)
                    self.register_parameter(key, torch.nn.Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all parameters anew, as torch.nn does."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            torch.nn.init.uniform_(weight, -bound, bound)

    def follow(self, place: str) -> None:
        if place != self.network.place:
            self.network = _compiled(self._stack, self._sizes, place)

    def forward(self, input: Sequences, hx: States | None = None) -> tuple[Sequences, States]:
        """(output, h_n), for an LSTM (output, (h_n, c_n)): shapes are those of torch.nn."""
        if self.training and self.dropout and self.num_layers > 1:
            message = "dropout between layers is not compiled: it is zero only in evaluation"
            raise error("RNN744", message, "call .eval(), or make it with dropout=0")
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        if input.dim() == 2:
            states = None if hx is None else _each(hx, lambda state: state.unsqueeze(1))
            axis = 0 if self.batch_first else 1
            output, last = self._padded(input.unsqueeze(axis), states, None, self.batch_first)
            return output.squeeze(axis), _each(last, lambda state: state.squeeze(1))
        return self._padded(input, hx, None, self.batch_first)

    def _packed(self, input: PackedSequence, hx: States | None) -> tuple[Sequences, States]:
        """Rows are computed in the order in which they are packed: by falling length."""
        data, sizes, order, back = input
        x, lengths = pad_packed_sequence(PackedSequence(data, sizes))
        if hx is not None and order is not None:
            hx = _each(hx, lambda state: state.index_select(1, order))
        output, last = self._padded(x, hx, lengths, False)
        if back is not None:
            last = _each(last, lambda state: state.index_select(1, back))
        packed = pack_padded_sequence(output, lengths)
        return PackedSequence(packed.data, sizes, order, back), last

    def _padded(
        self, x: torch.Tensor, hx: States | None, lengths: torch.Tensor | None, batch_first: bool
    ) -> tuple[torch.Tensor, States]:
        given = {"x": x}
        if hx is not None:
            states = hx if isinstance(hx, tuple) else (hx,)
            wanted = [f"{name}0" for name in self._stack.states]
            if len(states) != len(wanted):
                raise error("RNN731", f"the states are {len(states)}, not {len(wanted)}")
            given |= dict(zip(wanted, map(self._by_direction, states), strict=True))
        own = cast(dict[str, torch.Tensor], self._parameters)
        parameters = [own[self._keys[path]] for path in self.network.parameters]
        found = call(self.network, given, parameters, [lengths], [-1], batch_first)
        outputs = dict(zip(self.network.outputs, found, strict=True))
        last = [outputs[f"{name}_n"] for name in self._stack.states]
        if self.bidirectional:
            last = [state.flatten(0, 1) for state in last]
        return outputs["y"], last[0] if len(last) == 1 else (last[0], last[1])

    def _by_direction(self, state: torch.Tensor) -> torch.Tensor:
        """[layer * directions, ...] as [layer, direction, ...]."""
        if not self.bidirectional:
            return state
        if state.shape[0] != 2 * self.num_layers:
            found = f"a state has {state.shape[0]} layers and directions"
            raise error("RNN732", f"{found}, not {2 * self.num_layers}")
        return state.reshape(-1, 2, *state.shape[1:])


class LSTM(_Layers):
    """`torch.nn.LSTM`, with its exceptions. Raises RNN744 for dropout in training."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        options = num_layers, bias, batch_first, dropout, bidirectional, proj_size
        torch.nn.LSTM(input_size, hidden_size, *options, device="meta")  # checks them
        stack = Stack("lstm", bias, bidirectional, proj_size > 0)
        sizes = input_size, hidden_size, num_layers
        super().__init__(stack, *sizes, batch_first, dropout, proj_size, device, dtype)


class GRU(_Layers):
    """`torch.nn.GRU`, with its exceptions. Raises RNN744 for dropout in training."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        options = num_layers, bias, batch_first, dropout, bidirectional
        torch.nn.GRU(input_size, hidden_size, *options, device="meta")  # checks them
        stack = Stack("gru", bias, bidirectional, False)
        sizes = input_size, hidden_size, num_layers
        super().__init__(stack, *sizes, batch_first, dropout, 0, device, dtype)


class RNN(_Layers):
    """`torch.nn.RNN`, with its exceptions. Raises RNN744 for dropout in training."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        options = num_layers, nonlinearity, bias, batch_first, dropout, bidirectional
        torch.nn.RNN(input_size, hidden_size, *options, device="meta")  # checks them
        kind: Kind = "rnn_relu" if nonlinearity == "relu" else "rnn_tanh"
        stack = Stack(kind, bias, bidirectional, False)
        sizes = input_size, hidden_size, num_layers
        super().__init__(stack, *sizes, batch_first, dropout, 0, device, dtype)
        self.nonlinearity = nonlinearity


@cache
def _compiled(stack: Stack, sizes: tuple[tuple[str, int], ...], target: str) -> Network:
    return network(rnnc.compile(spec(stack), sizes=dict(sizes), target=target))


def _each(states: States, change: Callable[[torch.Tensor], torch.Tensor]) -> States:
    if isinstance(states, tuple):
        return change(states[0]), change(states[1])
    return change(states)
