"""The buckets of a gateway's share: one for all requests, and two for each priority class.

Every request needs room in the share's bucket, so all classes together never exceed the share. How
much of that bucket a request may fill says who comes first where not all fit:

* all of it: a request within the own rate of a class of the first priority, and any if there are no
  classes; the less, the later the priority of its class;
* `ABOVE_OWN`: one above its class's own rate, or of no class;
* less, the more of its fair part its client has used, of whatever class: down to `BEYOND_PART`.

So what others leave is used, and is not there for them to miss. A refused request is charged to no
bucket.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from scaler.gateway.buckets import Bucket
from scaler.gateway.class_parts import ClassPart, divide
from scaler.gateway.lease_document import LeaseDocument

ABOVE_OWN, BEYOND_PART = 0.75, 0.5


class ClassAdmission(NamedTuple):
    """Whether a request passed the buckets of its class.

    Attributes:
        wait_s: seconds until it may pass; 0: it passed.
        qps: the rate that applies to it: the ceiling of its class, or the share.
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
    part: float = 1.0


class ClassBuckets:
    """All buckets of one share."""

    def __init__(self) -> None:
        self._classes: dict[str, _ClassBucket] = {}
        self._share = Bucket()
        self._share_qps = 0.0

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def set_classes(self, names: Iterable[str]) -> None:
        """Have buckets for exactly these classes; those that exist keep their requests."""
        self._classes = {name: self._classes.get(name) or _ClassBucket() for name in names}

    def set_limit(
        self, document: LeaseDocument, limit_qps: float, now: float
    ) -> tuple[tuple[ClassPart, ...], float]:
        """Set the rates of all buckets to their parts of the limit; return these and the spare."""
        parts, spare_qps = divide(limit_qps, document)
        # Each bucket gets its part of the burst, but holds at least one request.
        depth_s = document.burst / limit_qps if limit_qps else 0.0
        self._share_qps = limit_qps
        self._share.set_rate(limit_qps, document.burst, now)
        priorities = sorted({terms.priority for terms in document.classes})
        for terms, part in zip(document.classes, parts, strict=True):
            buckets = self._classes[part.name]
            later = priorities.index(terms.priority) / len(priorities)
            buckets.part = 1.0 - (1.0 - ABOVE_OWN) * later
            buckets.own.set_rate(part.qps, part.qps * depth_s, now)
            buckets.ceiling.set_rate(part.ceiling_qps, part.ceiling_qps * depth_s, now)
            buckets.ceiling_qps = part.ceiling_qps
        return parts, spare_qps

    def admit(self, name: str, now: float, hits: int, used: float = 0.0) -> ClassAdmission:
        """Admit ``hits`` requests of a class if its buckets have room; all or none.

        Args:
            name: of the class; of no class if it is not known.
            now: monotonic seconds.
            hits: how many requests it counts as.
            used: how much of its fair part the client has used; 1: they are beyond it.
        """
        buckets, share = self._classes.get(name), self._share
        part = 1.0 if not self._classes else ABOVE_OWN
        if buckets is not None and buckets.own.check(now, hits).allowed:
            part = buckets.part
        part = min(part, 1.0 - (1.0 - BEYOND_PART) * used)
        common = share.check(now, hits, part)
        wait_s, qps = common.retry_after_s, self._share_qps
        if buckets is not None:
            qps = buckets.ceiling_qps
            wait_s = max(wait_s, buckets.ceiling.check(now, hits).retry_after_s)
        if wait_s > 0:
            return ClassAdmission(wait_s, qps)
        share.tat = common.tat
        remaining, reset_s = share.remaining(now, part), share.reset_s(now)
        if buckets is not None:
            buckets.own.charge(now, hits)
            buckets.ceiling.charge(now, hits)
            remaining = min(remaining, buckets.ceiling.remaining(now))
            reset_s = max(reset_s, buckets.ceiling.reset_s(now))
        return ClassAdmission(0.0, qps, remaining, reset_s)
