"""Frozen values as JSON and back, to the last bit.

Rules of this file:

* What is read back is what was written: a float keeps all its digits, an array its bytes.
* The type that is asked for says what is read. No name in a file ever chooses a class.
* A field that is None or empty is left out; what is missing is None, empty, or the field's default.
"""

from __future__ import annotations

import base64
import math
import types
import typing
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any

import numpy as np

from scaler.errors import JournalError

Plain = Any  # what the module json reads and writes
_Encode = Callable[[Any], Plain]
_Decode = Callable[[Plain], Any]

_DTYPES = ("<f8", "<f4", "<i8", "|b1")
_WORTH_PACKING = 512  # bytes; a smaller array gains nothing


def to_plain_value(value: object) -> Plain:
    """Return a value as JSON has it.

    >>> to_plain_value({"a": (1.5, float("nan"))})
    {'a': [1.5, 'nan']}
    """
    return _encoder(type(value))(value)


def from_plain_value(kind: Any, plain: Plain) -> Any:  # noqa: ANN401 - it is of the kind asked for
    """Return the value of a type that `to_plain_value` wrote.

    Raises:
        JournalError: it is not of that type.

    >>> from_plain_value(tuple[float, ...], [1.5, "nan"])
    (1.5, nan)
    """
    try:
        return _decoder(kind)(plain)
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
        raise JournalError(f"{str(plain)[:200]} is no {kind}: {error!r}") from error


@cache
def _encoder(kind: type) -> _Encode:
    if issubclass(kind, Enum):
        return lambda value: value.value
    if issubclass(kind, float):  # np.float64 too
        return lambda value: float(value) if math.isfinite(value) else str(float(value))
    if kind in (str, bool, int, types.NoneType):
        return lambda value: value
    if issubclass(kind, np.ndarray):
        return _plain_array
    if issubclass(kind, np.generic):
        return lambda value: to_plain_value(value.item())
    if issubclass(kind, datetime):
        return lambda value: value.isoformat()
    if issubclass(kind, timedelta):
        return lambda value: value.total_seconds()
    if is_dataclass(kind):
        return _dataclass_encoder(kind)
    if issubclass(kind, Mapping):
        return lambda value: {str(key): to_plain_value(one) for key, one in value.items()}
    if issubclass(kind, bytes):
        return lambda value: base64.b64encode(value).decode("ascii")
    if issubclass(kind, Sequence | deque):
        return lambda value: [to_plain_value(one) for one in value]
    if issubclass(kind, AbstractSet):
        return lambda value: [to_plain_value(one) for one in sorted(value)]
    raise TypeError(f"{kind.__name__} has no form in a journal")


def _dataclass_encoder(kind: type) -> _Encode:
    names = [one.name for one in fields(kind)]

    def encode(value: object) -> Plain:
        plain = {}
        for name in names:
            one = getattr(value, name)
            if one is None:
                continue
            found = _encoder(type(one))(one)
            if found == [] or found == {}:  # noqa: PLC1901 - 0 and False are worth writing
                continue
            plain[name] = found
        return plain

    return encode


def _plain_array(array: np.ndarray[Any, Any]) -> Plain:
    kind = array.dtype.newbyteorder("<").str
    if kind not in _DTYPES:
        raise TypeError(f"an array of {array.dtype} has no form in a journal")
    data = np.ascontiguousarray(array.astype(kind, copy=False)).tobytes()
    packed = zlib.compress(data, 1) if len(data) >= _WORTH_PACKING else data
    form = "z" if len(packed) < len(data) else "b"
    text = base64.b64encode(packed if form == "z" else data).decode("ascii")
    return {"t": kind, "n": list(array.shape), form: text}


def _array(plain: Plain) -> np.ndarray[Any, Any]:
    if plain["t"] not in _DTYPES:
        raise ValueError(f"{plain['t']!r} is no type of an array")
    data = base64.b64decode(plain["z"] if "z" in plain else plain["b"])
    if "z" in plain:
        data = zlib.decompress(data)
    array = np.frombuffer(data, plain["t"]).reshape(plain["n"])
    return array.astype(array.dtype.newbyteorder("="))


@cache
def _decoder(kind: Any) -> _Decode:  # noqa: ANN401 - a type or an alias of one
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return lambda plain: plain
    if origin in (typing.Union, types.UnionType):
        return _union_decoder(parts)
    if origin is np.ndarray:
        return _array
    if origin is tuple:
        return _tuple_decoder(parts)
    if origin is frozenset:
        of = _decoder(parts[0])
        return lambda plain: frozenset(of(one) for one in plain)
    if origin is not None and issubclass(origin, Mapping):
        of = _decoder(parts[1])
        return lambda plain: {key: of(one) for key, one in plain.items()}
    if origin is not None and issubclass(origin, Sequence):
        of = _decoder(parts[0])
        return lambda plain: tuple(of(one) for one in plain)
    return _class_decoder(kind)


def _class_decoder(kind: type) -> _Decode:
    if kind is float:
        return lambda plain: float(plain)
    if kind in (str, bool, int):
        return lambda plain: _checked(kind, plain)
    if kind is bytes:
        return base64.b64decode
    if kind is datetime:
        return datetime.fromisoformat
    if kind is timedelta:
        return lambda plain: timedelta(seconds=plain)
    if issubclass(kind, Enum):
        return lambda plain: kind(plain)
    if is_dataclass(kind):
        return _dataclass_decoder(kind)
    raise TypeError(f"{kind} has no form in a journal")


def _checked(kind: type, plain: Plain) -> Any:  # noqa: ANN401 - of that kind
    if type(plain) is not kind:
        raise TypeError(f"it is {type(plain).__name__}")
    return plain


def _union_decoder(parts: Sequence[Any]) -> _Decode:
    """Unions are ``X | None`` and ``X | str``, where no X is written as a text."""
    known = [one for one in parts if one not in (types.NoneType, str)]
    (kind,) = known or [str]
    of = _decoder(kind)
    texts = str in parts and kind is not str
    return lambda plain: plain if plain is None or (texts and isinstance(plain, str)) else of(plain)


def _tuple_decoder(parts: Sequence[Any]) -> _Decode:
    if len(parts) == 2 and parts[1] is Ellipsis:
        of = _decoder(parts[0])
        return lambda plain: tuple([of(one) for one in plain])
    each = [_decoder(one) for one in parts]
    return lambda plain: tuple(
        [decode(one) for decode, one in zip(each, plain, strict=True)]
    )


def _dataclass_decoder(kind: type) -> _Decode:
    hints = typing.get_type_hints(kind)
    each = [(one.name, _decoder(hints[one.name]), _absent(one, hints[one.name])) for one in fields(kind)]

    def decode(plain: Plain) -> Any:  # noqa: ANN401 - of that kind
        return kind(
            **{
                name: of(plain[name]) if name in plain else missing()
                for name, of, missing in each
            }
        )

    return decode


def _absent(field: Any, hint: Any) -> Callable[[], Any]:  # noqa: ANN401 - dataclasses has no name for it
    """Return what makes the value of a field that was left out."""
    if types.NoneType in typing.get_args(hint):
        return lambda: None
    origin = typing.get_origin(hint)
    if origin in (tuple, frozenset):
        return lambda: origin()
    if origin is not None and issubclass(origin, Mapping):
        return dict
    if origin is not None and origin is not np.ndarray and issubclass(origin, Sequence):
        return tuple
    if field.default is not MISSING:
        return lambda: field.default
    if field.default_factory is not MISSING:
        return lambda: field.default_factory()

    def fail() -> Any:  # noqa: ANN401 - it returns nothing
        raise KeyError(field.name)

    return fail
