"""The buckets of a gateway's share: two for each priority class, and one for the common spare.

The buckets of a class bound its own rate and its ceiling. A refused request is charged to none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from scaler.gateway.buckets import Bucket
from scaler.gateway.class_parts import divide
from scaler.gateway.lease_document import LeaseDocument


@dataclass(frozen=True, slots=True)
class ClassAdmission:
    """Whether a request passed the buckets of its class.

    Attributes:
        wait_s: seconds until it may pass; 0: it passed.
        qps: the rate that applies to it, the ceiling of its class.
        remaining: requests that may still pass at once.
        reset_s: seconds until the whole burst may pass again.
    """

    wait_s: float
    qps: float
    remaining: float = 0.0
    reset_s: float = 0.0


@dataclass(slots=True)
class _ClassBucket:
    own: Bucket = field(default_factory=Bucket)
    ceiling: Bucket = field(default_factory=Bucket)
    ceiling_qps: float = 0.0


class ClassBuckets:
    """All buckets of one share."""

    def __init__(self) -> None:
        self._classes: dict[str, _ClassBucket] = {}
        self._spare = Bucket()
        self._spare_qps = 0.0

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def set_classes(self, names: Iterable[str]) -> None:
        """Have buckets for exactly these classes; those that exist keep their requests."""
        self._classes = {name: self._classes.get(name) or _ClassBucket() for name in names}

    def set_limit(self, document: LeaseDocument, limit_qps: float, now: float) -> None:
        """Set the rates of all buckets to their parts of ``limit_qps``."""
        parts, self._spare_qps = divide(limit_qps, document)
        # Each bucket gets its part of the burst, but holds at least one request.
        depth_s = document.burst / limit_qps if limit_qps else 0.0
        self._spare.set_rate(self._spare_qps, self._spare_qps * depth_s, now)
        for terms, part in zip(document.classes, parts, strict=True):
            buckets = self._classes[terms.name]
            buckets.own.set_rate(part.qps, part.qps * depth_s, now)
            buckets.ceiling.set_rate(part.ceiling_qps, part.ceiling_qps * depth_s, now)
            buckets.ceiling_qps = part.ceiling_qps

    def admit(self, name: str, now: float, hits: int) -> ClassAdmission:
        """Admit ``hits`` requests of a class if its buckets have room; all or none.

        A request of an unknown class may use the spare alone.
        """
        buckets, spare = self._classes.get(name), self._spare
        if buckets is None:
            common = spare.check(now, hits)
            if not common.allowed:
                return ClassAdmission(common.retry_after_s, self._spare_qps)
            spare.tat = common.tat
            return ClassAdmission(0.0, self._spare_qps, spare.remaining(now), spare.reset_s(now))
        own = buckets.own.check(now, hits)
        if own.allowed:
            buckets.own.tat = own.tat
        else:
            common = spare.check(now, hits)
            ceiling_s = buckets.ceiling.check(now, hits).retry_after_s
            above_own_s = max(ceiling_s, common.retry_after_s)
            if above_own_s > 0:
                return ClassAdmission(min(own.retry_after_s, above_own_s), buckets.ceiling_qps)
            spare.tat = common.tat
        buckets.ceiling.charge(now, hits)
        remaining = buckets.own.remaining(now)
        with_spare = min(remaining + spare.remaining(now), buckets.ceiling.remaining(now))
        reset_s = max(buckets.own.reset_s(now), buckets.ceiling.reset_s(now))
        return ClassAdmission(0.0, buckets.ceiling_qps, max(remaining, with_spare), reset_s)
