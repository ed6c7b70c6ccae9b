"""What formulas.py is written in, as torch and as JAX; onnx_graphs.py has it as ONNX.

A formula is a function of a framework, its weights and its inputs. It uses the operators of arrays
(`+ - * / @ >`, slices) and what is here; whatever runs along the first axis goes through `scan`.
Modules of a peer are imported where they are used: a peer that is missing raises ImportError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
Call = Callable[[], Array]
Value = Any  # an array of the framework, or a node of an ONNX graph
# step(carry, one slice of each sequence) -> (carry, one slice of each result)
Step = Callable[[tuple[Value, ...], tuple[Value, ...]], tuple[tuple[Value, ...], tuple[Value, ...]]]
Formula = Callable[["Framework", Mapping[str, Value], Mapping[str, Value]], Value]


class Framework(Protocol):
    """The functions that formulas use beside operators. Axes count from the front."""

    def sigmoid(self, a: Value) -> Value: ...
    def tanh(self, a: Value) -> Value: ...
    def relu(self, a: Value) -> Value: ...
    def softmax(self, a: Value, axis: int) -> Value: ...
    def layer_norm(self, a: Value, gain: Value, bias: Value) -> Value: ...
    def cumulative_sum(self, a: Value) -> Value: ...
    def where(self, test: Value, a: Value, b: Value) -> Value: ...
    def concat(self, parts: Sequence[Value], axis: int) -> Value: ...
    def split(self, a: Value, sizes: Sequence[int]) -> Sequence[Value]: ...
    def sum(self, a: Value, axis: int) -> Value: ...
    def zeros(self, shape: Sequence[int]) -> Value: ...
    def constant(self, array: Array) -> Value: ...
    def reshape(self, a: Value, shape: Sequence[int]) -> Value: ...
    def swap(self, a: Value, order: Sequence[int]) -> Value: ...
    def flip(self, a: Value, axis: int) -> Value: ...
    def take(self, a: Value, places: Array) -> Value:
        """`a[places]` for an array of numbers that is known beforehand."""
        ...

    def scan(
        self, step: Step, carry: tuple[Value, ...], sequences: tuple[Value, ...]
    ) -> tuple[Value, ...]:
        """The results of all steps along the first axis of the sequences."""
        ...

    def linear_scan(self, a: Value, b: Value) -> Value:
        """h[t] = a[t] * h[t-1] + b[t] along the first axis, from zero."""
        ...


class Torch:
    """Eager torch, as fast as its users write it: no autograd, whole products where possible."""

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        found: Any = torch  # its types are narrower than what formulas call
        self.torch = found
        self.sigmoid, self.tanh, self.relu = found.sigmoid, found.tanh, found.relu
        self.where, self.zeros, self.reshape = found.where, found.zeros, found.reshape
        self.constant, self.swap = found.from_numpy, found.permute

    def call(self, formula: Formula, weights: Arrays, inputs: Arrays) -> Call:
        w = {name: self.torch.from_numpy(value) for name, value in weights.items()}
        given = {name: self.torch.from_numpy(value) for name, value in inputs.items()}

        def call() -> Array:
            with self.torch.inference_mode():
                return np.asarray(formula(self, w, given).numpy())

        return call

    def softmax(self, a: Value, axis: int) -> Value:
        return self.torch.softmax(a, axis)

    def layer_norm(self, a: Value, gain: Value, bias: Value) -> Value:
        return self.torch.nn.functional.layer_norm(a, gain.shape, gain, bias)

    def cumulative_sum(self, a: Value) -> Value:
        return self.torch.cumsum(a, -1)

    def concat(self, parts: Sequence[Value], axis: int) -> Value:
        return self.torch.cat(list(parts), axis)

    def split(self, a: Value, sizes: Sequence[int]) -> Sequence[Value]:
        parts: Sequence[Value] = self.torch.split(a, list(sizes), -1)
        return parts

    def sum(self, a: Value, axis: int) -> Value:
        return a.sum(axis)

    def flip(self, a: Value, axis: int) -> Value:
        return a.flip(axis)

    def take(self, a: Value, places: Array) -> Value:
        return a[self.torch.from_numpy(places)]

    def scan(
        self, step: Step, carry: tuple[Value, ...], sequences: tuple[Value, ...]
    ) -> tuple[Value, ...]:
        found = []
        for now in zip(*sequences, strict=True):
            carry, result = step(carry, now)
            found.append(result)
        return tuple(self.torch.stack(part) for part in zip(*found, strict=True))

    def linear_scan(self, a: Value, b: Value) -> Value:
        """By doubling: about log2(T) passes over all steps."""
        factor, state, distance = a.clone(), b.clone(), 1
        while distance < len(state):
            state[distance:] += factor[distance:] * state[:-distance]
            factor[distance:] *= factor[:-distance].clone()
            distance *= 2
        return state


class TorchCompiled(Torch):
    """torch.compile of every step, which takes as long whatever T is; of all that has no steps."""

    def call(self, formula: Formula, weights: Arrays, inputs: Arrays) -> Call:
        self.torch.compiler.reset()
        self.steps: dict[int, Step] = {}
        self.calls = 0
        stepping = super().call(formula, weights, inputs)
        stepping()
        if not self.steps:
            return super().call(self.torch.compile(formula, dynamic=False), weights, inputs)

        def call() -> Array:
            self.calls = 0
            return stepping()

        return call

    def scan(
        self, step: Step, carry: tuple[Value, ...], sequences: tuple[Value, ...]
    ) -> tuple[Value, ...]:
        # The n-th scan of a call has the same step each time, but in another function object.
        if self.calls not in self.steps:
            self.steps[self.calls] = self.torch.compile(step, dynamic=False)
        self.calls += 1
        return super().scan(self.steps[self.calls - 1], carry, sequences)


class Jax:
    """JAX: one jitted function, loops by lax.scan. Threads are those that the process may use."""

    def __init__(self, threads: int) -> None:
        import jax

        self.jax, self.np = jax, jax.numpy
        self.sigmoid, self.relu = jax.nn.sigmoid, jax.nn.relu
        self.tanh, self.where, self.concat = self.np.tanh, self.np.where, self.np.concatenate
        self.zeros, self.reshape, self.swap = self.np.zeros, self.np.reshape, self.np.transpose
        self.constant, self.flip, self.sum = self.np.asarray, self.np.flip, self.np.sum

    def call(self, formula: Formula, weights: Arrays, inputs: Arrays) -> Call:
        compiled = self.jax.jit(lambda w, given: formula(self, w, given))
        w = {name: self.np.asarray(value) for name, value in weights.items()}
        given = {name: self.np.asarray(value) for name, value in inputs.items()}
        return lambda: np.asarray(compiled(w, given).block_until_ready())

    def softmax(self, a: Value, axis: int) -> Value:
        return self.jax.nn.softmax(a, axis)

    def layer_norm(self, a: Value, gain: Value, bias: Value) -> Value:
        centred = a - a.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        return centred * self.jax.lax.rsqrt(variance + 1e-5) * gain + bias

    def cumulative_sum(self, a: Value) -> Value:
        return self.np.cumsum(a, -1)

    def split(self, a: Value, sizes: Sequence[int]) -> Sequence[Value]:
        ends = np.cumsum(sizes)[:-1]
        parts: Sequence[Value] = self.np.split(a, ends, -1)
        return parts

    def take(self, a: Value, places: Array) -> Value:
        return a[places]

    def scan(
        self, step: Step, carry: tuple[Value, ...], sequences: tuple[Value, ...]
    ) -> tuple[Value, ...]:
        results: tuple[Value, ...] = self.jax.lax.scan(step, carry, sequences)[1]
        return results

    def linear_scan(self, a: Value, b: Value) -> Value:
        def after(left: tuple[Value, Value], right: tuple[Value, Value]) -> tuple[Value, Value]:
            return left[0] * right[0], right[0] * left[1] + right[1]

        return self.jax.lax.associative_scan(after, (a, b))[1]
