"""Frozen values as JSON and back, to the last bit.

Rules of this file:

* What is read back is what was written: a float keeps all its digits, an array its bytes.
* The type that is asked for says what is read. No name in a file ever chooses a class.
* A field that is None or empty is left out; what is missing is None, empty, or the field's default.
"""

from __future__ import annotations

import math
import types
import typing
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cache, partial
from typing import Any

import numpy as np

from scaler.adapters.journal.plain_arrays import (
    array_from_plain,
    bytes_from_plain,
    plain_array,
    plain_bytes,
)
from scaler.errors import JournalError

Plain = Any  # what the module json reads and writes
_Write = Callable[[Any], Plain]
_Read = Callable[[Plain], Any]


def to_plain_value(value: object, *, but: str = "") -> Plain:
    """Return a value as JSON has it; of a dataclass without the field ``but``.

    >>> to_plain_value({"a": (1.5, float("nan"))})
    {'a': [1.5, 'nan']}
    """
    kind: Any = type(value)
    if but:
        return _plain_object([one.name for one in fields(kind) if one.name != but], value)
    return _writer(kind)(value)


def from_plain_value(kind: Any, plain: Plain) -> Any:  # noqa: ANN401 - it is of the kind asked for
    """Return the value of a type that `to_plain_value` wrote.

    Raises:
        JournalError: it is not of that type.

    >>> from_plain_value(tuple[float, ...], [1.5, "nan"])
    (1.5, nan)
    """
    try:
        return _reader(kind)(plain)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise JournalError(f"{str(plain)[:200]} is no {kind}: {error!r}") from error


def _plain_float(value: float) -> Plain:
    return float(value) if math.isfinite(value) else str(float(value))


def _plain_mapping(value: Mapping[str, object]) -> Plain:
    return {str(key): to_plain_value(one) for key, one in value.items()}


def _plain_list(value: Iterable[object]) -> Plain:
    return [to_plain_value(one) for one in value]


# By the first class that fits. Subclasses of int and str are told as what they are made of.
_WRITERS: tuple[tuple[Any, _Write], ...] = (
    (Enum, lambda value: value.value),
    ((str, bool, int, types.NoneType), lambda value: value),
    (float, _plain_float),
    (np.ndarray, plain_array),
    (np.generic, lambda value: to_plain_value(value.item())),
    (datetime, datetime.isoformat),
    (date, date.isoformat),
    (timedelta, timedelta.total_seconds),
    (bytes, plain_bytes),
    (Mapping, _plain_mapping),
    ((Sequence, deque), _plain_list),
    (AbstractSet, lambda value: _plain_list(sorted(value))),
)


_EMPTYABLE = (tuple, list, deque, Mapping, AbstractSet)


@cache
def _writer(kind: Any) -> _Write:  # noqa: ANN401 - a type
    if is_dataclass(kind):
        return partial(_plain_object, [one.name for one in fields(kind)])
    for bases, write in _WRITERS:
        if issubclass(kind, bases):
            return write
    raise TypeError(f"{kind.__name__} has no form in a journal")


def _plain_object(names: Sequence[str], value: object) -> Plain:
    plain = {}
    for name in names:
        one = getattr(value, name)
        if one is None or (isinstance(one, _EMPTYABLE) and not one):
            continue
        plain[name] = to_plain_value(one)
    return plain


# By the class itself; what is more than one class is read by the functions below.
_READERS: Mapping[Any, _Read] = {
    Any: lambda plain: plain,
    float: float,
    bytes: bytes_from_plain,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    timedelta: lambda plain: timedelta(seconds=plain),
}


@cache
def _reader(kind: Any) -> _Read:  # noqa: ANN401 - a type, or an alias of one
    if kind in _READERS:
        return _READERS[kind]
    if kind in (str, bool, int):
        return partial(_checked, kind)
    if is_dataclass(kind):
        return _object_reader(kind)
    origin, parts = _origin(kind), typing.get_args(kind)
    if origin is None and issubclass(kind, Enum):
        return typing.cast("_Read", kind)
    return _generic_reader(kind, origin, parts)


def _origin(kind: Any) -> Any:  # noqa: ANN401 - as above
    """Return what a generic type is made from; since NumPy 2.5 NDArray is an alias of one."""
    return typing.get_origin(getattr(typing.get_origin(kind), "__value__", kind))


def _generic_reader(kind: Any, origin: Any, parts: Sequence[Any]) -> _Read:  # noqa: ANN401 - as above
    if origin in (typing.Union, types.UnionType):
        return _union_reader(parts)
    if origin is np.ndarray:
        return array_from_plain
    if origin is tuple and parts[-1] is not Ellipsis:
        each = [_reader(one) for one in parts]
        return lambda plain: tuple([of(one) for of, one in zip(each, plain, strict=True)])
    if origin is not None and issubclass(origin, Mapping):
        of = _reader(parts[1])
        return lambda plain: {key: of(one) for key, one in plain.items()}
    if origin in (tuple, frozenset, Sequence):
        made, of = frozenset if origin is frozenset else tuple, _reader(parts[0])
        return lambda plain: made([of(one) for one in plain])
    raise TypeError(f"{kind} has no form in a journal")


def _checked(kind: type, plain: Plain) -> Any:  # noqa: ANN401 - of that kind
    if type(plain) is not kind:
        raise TypeError(f"it is {type(plain).__name__}")
    return plain


def _union_reader(parts: Sequence[Any]) -> _Read:
    """Unions are ``X | None`` and ``X | str``, where no X is written as a text."""
    known = [one for one in parts if one not in (types.NoneType, str)]
    (kind,) = known or [str]
    of, texts = _reader(kind), str in parts and kind is not str
    return lambda plain: plain if plain is None or (texts and isinstance(plain, str)) else of(plain)


def _object_reader(kind: Any) -> _Read:  # noqa: ANN401 - a dataclass
    hints = typing.get_type_hints(kind)
    each = [
        (one.name, _reader(hints[one.name]), _absent(one, hints[one.name])) for one in fields(kind)
    ]

    def read(plain: Plain) -> Any:  # noqa: ANN401 - of that kind
        return kind(
            **{name: of(plain[name]) if name in plain else absent() for name, of, absent in each}
        )

    return read


def _absent(field: Field[Any], hint: Any) -> Callable[[], Any]:  # noqa: ANN401 - an alias of a type
    """Return what makes the value of a field that was left out."""
    origin = _origin(hint)
    if types.NoneType in typing.get_args(hint):
        return lambda: None
    if origin in (tuple, frozenset, Sequence):
        return frozenset if origin is frozenset else tuple
    if origin not in (None, np.ndarray, typing.Union, types.UnionType):
        return dict
    if field.default_factory is not MISSING:
        return field.default_factory

    def default() -> Any:  # noqa: ANN401 - of the field
        if field.default is MISSING:
            raise KeyError(field.name)
        return field.default

    return default
