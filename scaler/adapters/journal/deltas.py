"""Mappings by item that are told by what has changed since the one before of their kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaler.adapters.journal.plain_values import Plain

# Holds which items there are, in order; told where that has changed.
ORDER = "="


class DeltaWriter:
    """What was told last of each item."""

    def __init__(self) -> None:
        self.told: dict[str, Plain] = {}

    def change(self, items: Mapping[str, Plain]) -> dict[str, Plain]:
        """Return what is to be told now.

        >>> deltas = DeltaWriter()
        >>> deltas.change({"a": {"x": 1, "y": 2}, "b": "away"})
        {'=': ['a', 'b'], 'a': {'x': 1, 'y': 2}, 'b': 'away'}
        >>> deltas.change({"a": {"x": 3}, "b": "away"})
        {'a': {'x': 3, 'y': None}}
        """
        told = self.told
        change: dict[str, Plain] = {} if list(items) == list(told) else {ORDER: list(items)}
        for item, new in items.items():
            old = told.get(item)
            if new is not old and new != old:
                change[item] = _difference(old, new)
        self.told = dict(items)
        return change


class DeltaReader:
    """The other side of `DeltaWriter`."""

    def __init__(self) -> None:
        self._known: dict[str, Plain] = {}

    def whole(self, change: Mapping[str, Plain]) -> tuple[dict[str, Plain], set[str]]:
        """Return all items as they are now, and the names of those that have changed.

        >>> deltas = DeltaReader()
        >>> deltas.whole({"=": ["a", "b"], "a": {"x": 1, "y": 2}, "b": "away"})[0]
        {'a': {'x': 1, 'y': 2}, 'b': 'away'}
        >>> deltas.whole({"a": {"x": 3, "y": None}})
        ({'a': {'x': 3}, 'b': 'away'}, {'a'})
        """
        known, changed = self._known, change.keys() - {ORDER}
        for item in changed:
            known[item] = _applied(known.get(item), change[item])
        if ORDER in change:
            self._known = known = {item: known[item] for item in change[ORDER]}
        return dict(known), changed


def _difference(old: Plain, new: Plain) -> Plain:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    change: dict[str, Any] = {key: one for key, one in new.items() if old.get(key) != one}
    change |= dict.fromkeys(old.keys() - new.keys())
    return change


def _applied(old: Plain, change: Plain) -> Plain:
    if not (isinstance(old, dict) and isinstance(change, dict)):
        return change
    return {key: one for key, one in {**old, **change}.items() if one is not None}
