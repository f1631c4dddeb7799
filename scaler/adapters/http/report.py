"""What a gateway sends: the report of its demand, and the ETag of the lease that it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from scaler.limits.demand_claims import NO_CLASS, OfferedDemand

INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,127}")
SAME_RATIO = 0.1
_ETAG = re.compile(r'(?:W/)?"([0-9a-z]{1,32})-([0-9]{1,15})-([0-9]{1,10}(?:\.[0-9]{1,3})?)"')


@dataclass(frozen=True, slots=True)
class LeaseTag:
    """What an ETag holds: epoch, version and share (QPS) of the lease that a gateway acts on."""

    epoch: str
    version: int
    qps: float

    @property
    def etag(self) -> str:
        return f'"{self.epoch}-{self.version}-{self.qps:.3f}"'


def parse_etag(etag: str) -> LeaseTag | None:
    """Return what an ETag of this server or of another replica holds; None if it is none of ours.

    The share lets a server that has lost its state learn what the gateway holds.

    >>> parse_etag('"c0ff-812-335.000"')
    LeaseTag(epoch='c0ff', version=812, qps=335.0)
    """
    found = _ETAG.fullmatch(etag.strip())
    return LeaseTag(found[1], int(found[2]), float(found[3])) if found else None


@dataclass(frozen=True, eq=False, slots=True)
class GatewayReport:
    """What a gateway reported; None is not reported.

    Attributes:
        wants_qps: demand offered to the gateway, admitted or not.
        classes: demand of each class in QPS, by name.
        admits_qps: the part of ``wants_qps`` that was admitted.
        admitted: the part of ``classes`` that was, where ``admits_qps`` is known.
        interval_s: seconds over which requests were counted.
    """

    wants_qps: float | None = None
    classes: Mapping[str, float] = field(default_factory=dict)
    admits_qps: float | None = None
    admitted: Mapping[str, float] = field(default_factory=dict)
    interval_s: float = 1.0

    def demand(self) -> OfferedDemand | None:
        """Return what it says of demand; None: nothing."""
        if self.wants_qps is None:
            return None
        offered = _with_the_rest(self.wants_qps, self.classes)
        admitted = (
            None if self.admits_qps is None else _with_the_rest(self.admits_qps, self.admitted)
        )
        return OfferedDemand(self.interval_s, offered, admitted, by_class=bool(self.classes))

    def updated_by(self, newer: GatewayReport) -> GatewayReport:
        """Return what is known after a newer report; ``self`` if nothing has changed notably.

        A rate that moved by less than a tenth counts as the same rate.
        """
        wants = _updated(self.wants_qps, newer.wants_qps)
        classes = {
            name: _updated(self.classes.get(name), qps) or 0.0
            for name, qps in newer.classes.items()
        }
        if not newer.classes:
            classes = dict(self.classes)
        if (wants, classes) == (self.wants_qps, self.classes):
            return self
        return GatewayReport(wants, classes)


NO_REPORT = GatewayReport()


def _with_the_rest(total_qps: float, classes: Mapping[str, float]) -> dict[str, float]:
    """Return the rates of all classes, and as `NO_CLASS` what of the total is of none."""
    rest = max(total_qps - sum(classes.values()), 0.0)
    return {**classes, NO_CLASS: rest + classes.get(NO_CLASS, 0.0)}


def _updated(before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return before if after is None else after
    # One request per second more or less is no change either.
    return before if abs(after - before) <= max(SAME_RATIO * before, 1.0) else after
