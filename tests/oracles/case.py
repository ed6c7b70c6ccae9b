"""One architecture with its oracle, sizes and inputs; and how its oracle runs over a batch.

Oracles know one row of one sequence. What the language says about a batch is literal here: every
row is run by itself on its own part of the inputs, every sequence between resets by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.oracles.arrays import Array, Arrays
from tests.oracles.layers import Outputs, Sizes

Generator = np.random.Generator
Static = int | float | bool | str | tuple["Static", ...]
Draw = Callable[[Generator, Mapping[str, int], tuple[int, ...]], Array]
Oracle = Callable[[Arrays, Arrays, Sizes], Outputs]


def normal(random: Generator, _: Sizes, shape: tuple[int, ...]) -> Array:
    return random.normal(size=shape)


def fractions(random: Generator, _: Sizes, shape: tuple[int, ...]) -> Array:
    return random.uniform(0, 1, shape)


def words(random: Generator, sizes: Sizes, shape: tuple[int, ...]) -> Array:
    """Tokens of a vocabulary of V."""
    return random.integers(0, sizes["V"], shape)


def counts(random: Generator, sizes: Sizes, shape: tuple[int, ...]) -> Array:
    """How many words sentences of at most J have; at least one."""
    return random.integers(1, sizes["J"] + 1, shape)


def children(random: Generator, _: Sizes, shape: tuple[int, ...]) -> Array:
    """For every node, along the first axis, an earlier one, or -1: more often than not, one."""
    found = np.full(shape, -1)
    for node in range(1, shape[0]):
        draws = random.integers(-1, node, (2, *shape[1:]))
        found[node] = np.max(draws, axis=0)
    return found


def siblings(random: Generator, sizes: Sizes, shape: tuple[int, ...]) -> Array:
    """As `children`, for nodes along the second axis; the first is that of a static dim."""
    places, nodes, *rest = shape
    return np.swapaxes(children(random, sizes, (nodes, places, *rest)), 0, 1)


KINDS: Mapping[str, Draw] = {
    "": normal,
    "fractions": fractions,
    "words": words,
    "counts": counts,
    "children": children,
    "siblings": siblings,
}


@dataclass(frozen=True, slots=True)
class Input:
    """`axes` names the sizes of an array's axes, "B" the batch; `draw` makes up its values."""

    axes: str
    draw: Draw


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A model of the standard library, or of `text`.

    `sizes` holds its statics that are sizes and its run-time `extents`; `settings` the other
    statics. `outputs` names the axes of every output. Parameters get normal values times `scale`.
    """

    name: str
    oracle: Oracle
    sizes: Mapping[str, int]
    inputs: Mapping[str, Input]
    outputs: Mapping[str, str]
    file: str = ""
    model: str = ""
    text: str = ""
    extents: Sequence[str] = ("T",)
    settings: Mapping[str, Static] = field(default_factory=dict)
    scale: float = 1.0
    seed: int = 2  # of the parameters
    least: int = 0  # the least extent for which there is a result

    def __str__(self) -> str:
        return self.name

    @property
    def statics(self) -> dict[str, Static]:
        """What is fixed when the model is compiled."""
        own = {name: size for name, size in self.sizes.items() if name not in self.extents}
        return {**own, **self.settings}

    def with_extents(self, extent: int) -> Sizes:
        return {**self.sizes, **dict.fromkeys(self.extents, extent)}

    def draw_inputs(self, sizes: Sizes, batch: int, seed: int) -> dict[str, Array]:
        random, known = np.random.default_rng(seed), {**sizes, "B": batch}
        return {
            name: given.draw(random, known, shape_of(given.axes, known))
            for name, given in self.inputs.items()
        }

    def draw_params(self, signature: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, Array]:
        """Values for parameters of these dtypes ("real", "complex", "int", "bool") and shapes.

        Nothing is zero or one, so that nothing hides what it is added to or multiplied with.
        """
        random, found = np.random.default_rng(self.seed), dict[str, Array]()
        for path, (dtype, shape) in signature.items():
            # Products with a vector of numbers of size one stay of size one.
            size = self.scale / np.sqrt(shape[-1] if len(shape) > 1 else 2)
            match dtype:
                case "bool":
                    found[path] = random.random(shape) < 0.5
                case "int":
                    # The only ints among the parameters are permutations.
                    found[path] = random.permutation(shape[0])
                case "complex":
                    imaginary = 1j * random.normal(size=shape)
                    found[path] = np.asarray(size * (random.normal(size=shape) + imaginary))
                case _:
                    found[path] = np.asarray(size * random.normal(size=shape))
        return found

    def expected(
        self,
        params: Arrays,
        inputs: Mapping[str, Array],
        sizes: Sizes,
        lengths: Mapping[str, Array] | None = None,
        resets: Array | None = None,
    ) -> dict[str, Array]:
        """All outputs as the oracle has them, in rnnc's layout; zero beyond a row's length.

        `lengths` gives rows their own extents; `resets` [T, B] is true where a sequence begins
        (for a model whose only extent is T).
        """
        batch = self.batch(inputs, lengths)
        found: dict[str, Array] = {}
        for row in range(batch):
            own = {name: sizes[name] for name in self.extents}
            for name, given in (lengths or {}).items():
                own[name] = int(given[row])
            for start, stop in sequences(None if resets is None else resets[:, row], own):
                extents = own if resets is None else {"T": stop - start}
                cut = {name: slice(start, start + extents[name]) for name in self.extents}
                outputs = self.oracle(params, self.row(inputs, row, cut), {**sizes, **extents})
                assert outputs.keys() == self.outputs.keys()
                for name, value in outputs.items():
                    axes = self.outputs[name].split()
                    shape = shape_of(self.outputs[name], {**sizes, "B": batch})
                    whole = found.setdefault(name, np.zeros(shape, np.asarray(value).dtype))
                    place = tuple(row if a == "B" else cut.get(a, slice(None)) for a in axes)
                    whole[place] = value
        return found

    def batch(self, inputs: Mapping[str, Array], lengths: Mapping[str, Array] | None) -> int:
        for name, given in self.inputs.items():
            return int(inputs[name].shape[given.axes.split().index("B")])
        return len(next(iter((lengths or {}).values())))

    def row(self, inputs: Mapping[str, Array], row: int, cut: Mapping[str, slice]) -> Arrays:
        """The inputs of one row, those with an extent cut to a part of it."""
        found = {
            name: inputs[name][
                tuple(row if a == "B" else cut.get(a, slice(None)) for a in given.axes.split())
            ]
            for name, given in self.inputs.items()
        }
        return Arrays({name: np.asarray(value) for name, value in found.items()})


def shape_of(axes: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The sizes of axes, each a name or a product such as `2*H`."""
    shape = list[int]()
    for axis in axes.split():
        size = 1
        for factor in axis.split("*"):
            size *= int(factor) if factor.isdigit() else sizes[factor]
        shape.append(size)
    return tuple(shape)


def sequences(resets: Array | None, extents: Mapping[str, int]) -> list[tuple[int, int]]:
    """Where the sequences of a row begin and end; without resets there is one."""
    if resets is None:
        return [(0, 0)]  # the end is the row's extents, whatever they are called
    steps = extents["T"]
    starts = [0, *(t for t in range(1, steps) if resets[t])]
    return list(zip(starts, [*starts[1:], steps], strict=True))


def case(
    file: str,
    model: str,
    oracle: Oracle,
    sizes: str,
    inputs: str,
    outputs: str,
    *,
    name: str = "",
    variant: str = "",
    extents: str = "T",
    text: str = "",
    scale: float = 1.0,
    seed: int = 2,
    least: int = 0,
    **settings: Static,
) -> Case:
    """A case from texts: sizes `H=5 T=7`, inputs `x: T B X, source: S B = words`, outputs
    `y: T B 2*H`. It is called `name`, or like its model and the `variant` of its settings."""
    pairs = (size.split("=") for size in sizes.split())
    return Case(
        name=f"{model}-{variant}" if variant else name or model,
        oracle=oracle,
        sizes={name: int(size) for name, size in pairs},
        inputs={name: _input(value) for name, value in _entries(inputs)},
        outputs=dict(_entries(outputs)),
        file=file,
        model=model,
        text=text,
        extents=extents.split(),
        settings=settings,
        scale=scale,
        seed=seed,
        least=least,
    )


def _entries(text: str) -> list[tuple[str, str]]:
    entries = (entry.partition(":") for entry in text.split(","))
    return [(name.strip(), value.strip()) for name, _, value in entries]


def _input(text: str) -> Input:
    axes, _, kind = text.partition("=")
    return Input(axes.strip(), KINDS[kind.strip()])
