"""The buckets of a share: one for each class's own part, one for its ceiling, a common spare.

A request that is refused takes nothing from any of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from scaler.gateway.buckets import Bucket
from scaler.gateway.class_parts import parts_at
from scaler.gateway.lease_document import LeaseDocument


@dataclass(frozen=True, slots=True)
class Passage:
    """What became of a request.

    Attributes:
        wait_s: until it would pass; 0: it has.
        qps: that it was held against: up to where its class may rise.
        left: requests that would still pass at once.
        drains_in_s: until the whole burst may pass again.
    """

    wait_s: float
    qps: float
    left: float = 0.0
    drains_in_s: float = 0.0


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

    def keep(self, names: Iterable[str]) -> None:
        """Have gates for these classes; what is in those that were there stays."""
        self._classes = {name: self._classes.get(name) or _ClassBucket() for name in names}

    def tune(self, terms: LeaseDocument, limit_qps: float, now: float) -> None:
        """Tune all buckets to the limit as it is now."""
        parts, self._spare_qps = parts_at(limit_qps, terms)
        # Together the buckets are as deep as the share's, but each holds at least one request.
        depth_s = terms.burst / limit_qps if limit_qps else 0.0
        self._spare.tune(self._spare_qps, self._spare_qps * depth_s, now)
        for one, part in zip(terms.classes, parts, strict=True):
            gate = self._classes[one.name]
            gate.own.tune(part.qps, part.qps * depth_s, now)
            gate.ceiling.tune(part.ceiling_qps, part.ceiling_qps * depth_s, now)
            gate.ceiling_qps = part.ceiling_qps

    def take(self, name: str, now: float, hits: int) -> Passage:
        """Let a request through, if there is room; of no class where there is no gate of it."""
        gate, spare = self._classes.get(name), self._spare
        if gate is None:
            common = spare.ask(now, hits)
            if not common.allowed:
                return Passage(common.retry_after_s, self._spare_qps)
            spare.tat = common.tat
            return Passage(0.0, self._spare_qps, spare.left(now), spare.drains_in_s(now))
        own = gate.own.ask(now, hits)
        if own.allowed:
            gate.own.tat = own.tat
        else:
            common = spare.ask(now, hits)
            above_s = max(gate.ceiling.ask(now, hits).retry_after_s, common.retry_after_s)
            if above_s > 0:
                return Passage(min(own.retry_after_s, above_s), gate.ceiling_qps)
            spare.tat = common.tat
        gate.ceiling.take(now, hits)
        left = gate.own.left(now)
        risen = min(left + spare.left(now), gate.ceiling.left(now))
        drains_in_s = max(gate.own.drains_in_s(now), gate.ceiling.drains_in_s(now))
        return Passage(0.0, gate.ceiling_qps, max(left, risen), drains_in_s)
