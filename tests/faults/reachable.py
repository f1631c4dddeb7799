"""What objects hold on to, counted: what piles up shows in one of its types, or in its bytes."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType

import numpy as np

# What the whole process shares, and what only runs.
_SHARED = (
    ModuleType,
    FrameType,
    BuiltinFunctionType,
    type,
    logging.Logger,
    logging.Manager,
    threading.Thread,
)


@dataclass(frozen=True)
class Reachable:
    """How many objects of each type, by its full name, and how many bytes they take."""

    counts: Counter[str]
    size: int


def reachable(roots: Iterable[object]) -> Reachable:
    """Count all that these objects hold on to, themselves included."""
    counts: Counter[str] = Counter()
    size = 0
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        counts[f"{type(one).__module__}.{type(one).__qualname__}"] += 1
        size += sys.getsizeof(one)
        waiting += _held_by(one)
    return Reachable(counts, size)


def _held_by(one: object) -> list[object]:
    if isinstance(one, FunctionType):
        return [one.__closure__, one.__defaults__, one.__kwdefaults__]  # not the module's globals
    if isinstance(one, np.ndarray):
        return [one.base]  # a view holds on to the whole
    return gc.get_referents(one)
