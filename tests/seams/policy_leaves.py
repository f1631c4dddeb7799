"""The keys of a policy file, one by one, as its schema declares them."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from scaler.policy.fields import Section
from scaler.policy.schema import DemandPolicy


def leaves(section: type[Section] = DemandPolicy, at: str = "") -> Iterator[str]:
    """Yield the path of each key that holds a value; ``[]`` is any entry of a list.

    A key that can have but one value, such as ``kind``, is none to choose.
    """
    for field in section.model_fields.values():
        kind, suffix = _plain(field.annotation)
        path = f"{at}.{field.alias}{suffix}".lstrip(".")
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from leaves(kind, path)
        elif not (get_origin(kind) is Literal and len(get_args(kind)) == 1):
            yield path


def _plain(kind: Any) -> tuple[Any, str]:
    """Return a type without what may be left out and what is checked, and ``[]`` for a list."""
    suffix = ""
    while True:
        origin, args = get_origin(kind), get_args(kind)
        if origin is Annotated:
            kind = args[0]
        elif origin in (Union, types.UnionType):
            (kind,) = (one for one in args if one is not types.NoneType)
        elif origin is list:
            kind, suffix = args[0], suffix + "[]"
        else:
            return kind, suffix
