"""Frozen dataclasses from JSON, every field checked against its type.

    @dataclass(frozen=True, slots=True)
    class Port:
        name: str
        shape: tuple[int, ...]

    decode(Port, {"name": "x", "shape": [3]}) == Port("x", (3,))

Types that are understood: dataclasses, str, int, float, bool, literals, None and unions, tuples of
one type (`tuple[X, ...]`) or of a fixed length, mappings from str.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import TypeVar, cast

T = TypeVar("T")


def decode(kind: type[T], value: object) -> T:
    """`value`, as `json.loads` gives it, as a `kind`. Raises ValueError saying where it differs."""
    return cast(T, _decode(kind, value, ""))


def _decode(kind: object, value: object, where: str) -> object:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _record(kind, value, where)
    if origin in (types.UnionType, typing.Union):
        return _union(arguments, value, where)
    if origin is typing.Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        if arguments[-1] is Ellipsis:
            arguments = (arguments[0],) * len(value)
        if len(arguments) == len(value):
            places = [f"{where}[{number}]" for number in range(len(value))]
            return tuple(map(_decode, arguments, value, places))
    if origin is Mapping and isinstance(value, dict):
        return {str(key): _decode(arguments[1], v, f"{where}.{key}") for key, v in value.items()}
    # Exactly: true is an int to Python, and none to JSON.
    if type(value) is kind:
        return value
    if kind is float and type(value) is int:
        return float(value)
    raise ValueError(f"{where or 'it'} is {_short(value)}")


def _record(kind: type, value: object, where: str) -> object:
    hints = _hints(kind)
    if not isinstance(value, dict):
        raise ValueError(f"{where or 'it'} is {_short(value)}")
    for name in (*hints, *value):
        if name not in hints or name not in value:
            problem = "missing" if name in hints else "unknown"
            raise ValueError(f"{where}.{name}".lstrip(".") + f" is {problem}")
    return kind(
        **{
            name: _decode(hint, value[name], f"{where}.{name}".lstrip("."))
            for name, hint in hints.items()
        }
    )


def _union(choices: tuple[object, ...], value: object, where: str) -> object:
    if value is None and type(None) in choices:
        return None
    rest = [choice for choice in choices if choice is not type(None)]
    for choice in rest[:-1]:
        try:
            return _decode(choice, value, where)
        except ValueError:
            continue
    return _decode(rest[-1], value, where)


@cache
def _hints(kind: type) -> dict[str, object]:
    return dict(typing.get_type_hints(kind))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
