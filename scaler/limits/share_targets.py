"""What shares grow and shrink to: the fair parts of all gateways, to the grain of shares.

All guarantees that are handed out together never exceed the class's, while shares change.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from scaler.limits.class_shares import Claims, fair_parts, of_gateway, within
from scaler.limits.priority_classes import ClassLimit, ClassSplit, PriorityClass
from scaler.limits.shares import GRAIN, Share


class ShareTargets:
    """The fair shares, which gateways reach as grants expire; together at most ``available`` QPS.

    Args:
        known: the shares of all gateways.
        available: QPS to divide.
        classes: of the policy.
        asking: names of the gateways that get a grant now.
    """

    def __init__(
        self,
        known: Mapping[str, Share],
        available: float,
        classes: Sequence[PriorityClass],
        asking: Collection[str],
    ) -> None:
        self._classes = classes
        self._rows = {name: row for row, name in enumerate(known)}
        self._fair = fair_parts(available, classes, _claims(list(known.values()), classes))
        self._qps = np.floor(self._fair.totals / GRAIN) * GRAIN
        self._fits = self._guarantees_that_fit(known, asking)

    def qps(self, name: str) -> float:
        return float(self._qps[self._rows[name]])

    def parts(self, name: str, qps: float) -> tuple[ClassSplit, bool]:
        """Return a grant by class, and whether its guarantees are those of the fair share."""
        row = self._rows[name]
        parts = of_gateway(self._fair, row, self._classes)
        if qps < self._qps[row]:
            parts = within(qps, parts)
        if all(part == 1.0 for part in self._fits):
            return parts, True
        limits = tuple(
            replace(one, guaranteed_qps=one.guaranteed_qps * part)
            for one, part in zip(parts.classes, self._fits, strict=True)
        )
        return ClassSplit(limits, parts.spare_qps), limits == parts.classes

    def _guarantees_that_fit(
        self, known: Mapping[str, Share], asking: Collection[str]
    ) -> list[float]:
        """Return which part of the guarantees can be handed out beside those that others hold."""
        rows = [self._rows[name] for name in asking]
        wanted = self._fair.guaranteed[rows].sum(axis=0).tolist()
        others = [
            share.parts.classes
            for name, share in known.items()
            if share.parts is not None and name not in asking
        ]
        return [
            _part_that_fits(qps, one.guaranteed_qps - _guaranteed(others, column, one.name))
            if qps > 0
            else 1.0
            for column, (one, qps) in enumerate(zip(self._classes, wanted, strict=True))
        ]


def _guaranteed(held: Sequence[Sequence[ClassLimit]], column: int, name: str) -> float:
    """Return what of a class's guarantee is held; classes are in the order of the policy."""
    limits = (classes[column] for classes in held if column < len(classes))
    return sum(one.guaranteed_qps for one in limits if one.name == name)


def _part_that_fits(qps: float, left: float) -> float:
    # A billionth more is how sums are rounded.
    return 1.0 if qps <= left * (1 + 1e-9) else max(left, 0.0) / qps


def _claims(shares: Sequence[Share], classes: Sequence[PriorityClass]) -> Claims:
    """Return what gateways want as arrays, a row for each."""
    names = [one.name for one in classes]
    unknown = [math.nan] * len(names)
    said = [
        unknown if share.classes is None else [share.classes.get(name, 0.0) for name in names]
        for share in shares
    ]
    rows = np.reshape(np.array(said, dtype=np.float64), (len(shares), len(names)))
    wants = np.array([math.nan if s.wants_qps is None else s.wants_qps for s in shares])
    other = np.maximum(wants - np.nansum(rows, axis=1), 0.0)
    owners = {
        owner: number for number, owner in enumerate(dict.fromkeys(one.owner for one in shares))
    }
    return Claims(rows, other, np.array([owners[share.owner] for share in shares], dtype=np.intp))
