"""How a gateway divides its limit among priority classes as its lease ages.

A lease states the classes' rates at its own limit. When the limit that applies differs:

* if it is lower than the sum of the classes' rates, guarantees are kept first, then the rest of
  their rates, both in order of priority; classes of equal priority lose in proportion;
* if it is higher, the excess is common spare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from scaler.gateway.lease_document import ClassTerms, LeaseDocument

# A lease rounds rates to thousandths: a ceiling this close to its share is no ceiling.
ROUNDING_QPS = 0.01


@dataclass(frozen=True, slots=True)
class ClassPart:
    """What a class may be admitted of a limit.

    Attributes:
        name: of the class.
        qps: its own rate.
        ceiling_qps: the most that it may be admitted.
    """

    name: str
    qps: float
    ceiling_qps: float


def divide(limit_qps: float, document: LeaseDocument) -> tuple[tuple[ClassPart, ...], float]:
    """Return each class's part of a finite limit, in the order of the lease, and the spare.

    The parts' ``qps`` and the spare sum up to the limit.
    """
    classes = document.classes
    guarantees, left = _in_order(limit_qps, classes, [one.guaranteed_qps for one in classes])
    beyond = [max(0.0, one.qps - one.guaranteed_qps) for one in classes]
    extras, spare = _in_order(left, classes, beyond)
    parts = []
    for one, guaranteed, extra in zip(classes, guarantees, extras, strict=True):
        has_ceiling = one.ceiling_qps < document.lease.qps - ROUNDING_QPS
        ceiling = min(one.ceiling_qps, limit_qps) if has_ceiling else limit_qps
        parts.append(ClassPart(one.name, guaranteed + extra, ceiling))
    return tuple(parts), spare


def _in_order(
    qps: float, classes: Sequence[ClassTerms], wants: Sequence[float]
) -> tuple[list[float], float]:
    """Divide ``qps`` in order of priority; return what each class gets, and the rest."""
    given = [0.0] * len(classes)
    order = sorted(range(len(classes)), key=lambda i: classes[i].priority)
    for _, group in groupby(order, key=lambda i: classes[i].priority):
        equals = list(group)
        wanted = sum(wants[i] for i in equals)
        share = min(1.0, qps / wanted) if wanted else 0.0
        for i in equals:
            given[i] = wants[i] * share
        qps = max(0.0, qps - wanted)
    return given, qps
