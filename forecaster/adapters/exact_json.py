"""JSON that reads back as it was written: finite numbers, text keys, nothing converted silently."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from forecaster.errors import RegistryError

RESTORE = "restore the file, or promote another version with 'forecaster models promote'"

JsonDict = Mapping[str, Any]


def read_object(data: bytes, path: str) -> dict[str, Any]:
    """Return the JSON object in ``data``; ``path`` is for messages."""
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{path} is not valid JSON ({error}); {RESTORE}") from error
    if not isinstance(value, dict):
        raise RegistryError(
            f"{path} holds {type(value).__name__}, but must hold an object; {RESTORE}"
        )
    return value


def json_bytes(value: JsonDict) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode("ascii")


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def plain_object(value: JsonDict, where: str, *, non_finite_as_null: bool) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise RegistryError(
            f"{where} is {type(value).__name__}, but must be an object of JSON values"
        )
    plain: dict[str, Any] = _plain(value, where, non_finite_as_null)
    return plain


def _plain(value: Any, where: str, non_finite_as_null: bool) -> Any:  # noqa: ANN401 JSON is any of six types
    """Return ``value`` as JSON types; a non-finite number is null where unknown values are kept."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        if non_finite_as_null:
            return None
        raise RegistryError(
            f"{where} is {value}, but JSON numbers are finite; store null or a number"
        )
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(each, f"{where}[{i}]", non_finite_as_null) for i, each in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {
            key: _plain(each, f"{where}.{key}", non_finite_as_null) for key, each in value.items()
        }
    raise RegistryError(
        f"{where} is {type(value).__name__}, but must be null, true, false, a number, a text, "
        "a list or an object with text keys"
    )
