"""JSON as a lease must be written, so that readers in all languages read the same: I-JSON.

Beyond what JSON says (RFC 8259) the text is UTF-8 without a byte order mark, no name is twice in an
object, no string has half of a surrogate pair (RFC 7493), and it is not nested without end.
"""

from __future__ import annotations

import json
from typing import NoReturn

# Lists and objects within each other; a lease has four of them.
MAX_DEPTH = 32


def read_json(body: bytes) -> object:
    """Return the value of a JSON text. All numbers are floats: JSON knows but one kind.

    Raises:
        ValueError: it is not I-JSON, or is nested deeper than `MAX_DEPTH`.

    >>> read_json(b'{"version": 812}') == read_json(b'{"version": 8.12e2}')
    True
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_int=float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check(value, 1)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has {name} for a number")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has the name {json.dumps(twice)} twice")
    return made


def _check(value: object, depth: int) -> None:
    """Check strings and depth, which the parser does not."""
    if isinstance(value, str):
        value.encode()  # half of a surrogate pair cannot be
    elif isinstance(value, list | dict):
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        for one in value:
            _check(one, depth + 1)
        for one in value.values() if isinstance(value, dict) else ():
            _check(one, depth + 1)
