"""What each class has of the limit as it is now.

A lease says its classes' parts at its own limit. As the limit ages:

* below what is owned, guarantees are kept first, then what is beyond them, both in order of
  priority; equals lose in proportion;
* above it, what is more is common spare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from scaler.gateway.lease_document import ClassTerms, LeaseDocument

# Rates come rounded to a thousandth: a ceiling that close to all there is, is none.
ROUNDED = 0.01


@dataclass(frozen=True, slots=True)
class ClassPart:
    """What a class may be admitted now: its own, and its ceiling on the spare."""

    qps: float
    ceiling_qps: float


def parts_at(limit_qps: float, terms: LeaseDocument) -> tuple[tuple[ClassPart, ...], float]:
    """Return each class's part of a finite limit, in the order of the lease, and the spare.

    Own parts and spare sum up to the limit.
    """
    classes = terms.classes
    kept, left = _in_order(limit_qps, classes, [one.guaranteed_qps for one in classes])
    beyond = [max(0.0, one.qps - one.guaranteed_qps) for one in classes]
    more, spare = _in_order(left, classes, beyond)
    parts = []
    for one, guaranteed, extra in zip(classes, kept, more, strict=True):
        most = guaranteed + extra + spare
        bound = one.ceiling_qps < one.qps + terms.spare_qps - ROUNDED
        parts.append(ClassPart(guaranteed + extra, min(one.ceiling_qps, most) if bound else most))
    return tuple(parts), spare


def _in_order(
    qps: float, classes: Sequence[ClassTerms], wants: Sequence[float]
) -> tuple[list[float], float]:
    """Hand out ``qps`` in order of priority; return what each one gets, and what is left."""
    given = [0.0] * len(classes)
    order = sorted(range(len(classes)), key=lambda i: classes[i].priority)
    for _, group in groupby(order, key=lambda i: classes[i].priority):
        equals = list(group)
        wanted = sum(wants[i] for i in equals)
        part = min(1.0, qps / wanted) if wanted else 0.0
        for i in equals:
            given[i] = wants[i] * part
        qps = max(0.0, qps - wanted)
    return given, qps
