"""Arrays and bytes as JSON and back, packed where that is shorter."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

_DTYPES = ("<f8", "<f4", "<i8", "|b1")
_WORTH_PACKING = 512  # bytes; what is shorter gains nothing


def plain_bytes(data: bytes) -> dict[str, Any]:
    """Return bytes as a text: ``z`` where they are packed, ``b`` where not.

    >>> plain_bytes(b"abc")
    {'b': 'YWJj'}
    """
    if len(data) >= _WORTH_PACKING:
        packed = zlib.compress(data, 1)
        if len(packed) < len(data):
            return {"z": base64.b64encode(packed).decode("ascii")}
    return {"b": base64.b64encode(data).decode("ascii")}


def bytes_from_plain(plain: dict[str, Any]) -> bytes:
    try:
        if "z" in plain:
            return zlib.decompress(base64.b64decode(plain["z"]))
        return base64.b64decode(plain["b"])
    except zlib.error as error:
        raise ValueError(str(error)) from error


def plain_array(array: npt.NDArray[Any]) -> dict[str, Any]:
    """Return an array; doubles that are singles all are kept as such, and read as doubles.

    >>> plain_array(np.array([1.5, 2.5]))
    {'t': '<f8', 'n': [2], 'as': '<f4', 'b': 'AADAPwAAIEA='}
    """
    kind = array.dtype.newbyteorder("<").str
    if kind not in _DTYPES:
        raise TypeError(f"an array of {array.dtype} has no form in a journal")
    plain: dict[str, Any] = {"t": kind, "n": list(array.shape)}
    if kind == "<f8":
        with np.errstate(over="ignore"):
            single = array.astype("<f4")
        if np.array_equal(single, array, equal_nan=True):  # half as long, and nothing is lost
            plain["as"], array, kind = "<f4", single, "<f4"
    data = np.ascontiguousarray(array.astype(kind, copy=False)).tobytes()
    return {**plain, **plain_bytes(data)}


def array_from_plain(plain: dict[str, Any]) -> npt.NDArray[Any]:
    kinds = plain["t"], plain.get("as", plain["t"])
    if not set(kinds) <= set(_DTYPES):
        raise ValueError(f"{kinds} are no types of an array")
    array = np.frombuffer(bytes_from_plain(plain), kinds[1]).reshape(plain["n"])
    return array.astype(np.dtype(kinds[0]).newbyteorder("="))
