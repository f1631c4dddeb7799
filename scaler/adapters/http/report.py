"""What a gateway says: its report, and what it holds.

Only what matters is taken in: a rate that moved by less than a tenth is the same rate, or no two
answers would be alike and no lease could be renewed without a body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from forecaster.data.series import FloatArray

INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,127}")
SAME = 0.1
# Of one gateway's clients, to work out what is normal; a class of rates in a histogram always
# counts at least once.
MAX_POINTS = 1000
_ETAG = re.compile(r'(?:W/)?"([0-9a-z]{1,32})-([0-9]{1,15})-([0-9]{1,10}(?:\.[0-9]{1,3})?)"')


@dataclass(frozen=True, slots=True)
class LeaseTag:
    """The lease that a gateway acts on, as its ETag names it."""

    epoch: str
    version: int
    qps: float

    @property
    def etag(self) -> str:
        return f'"{self.epoch}-{self.version}-{self.qps:.3f}"'


def held_by(etag: str) -> LeaseTag | None:
    """Return what an ETag of ours says, this server's or another's; None: nothing.

    It has no time in it. The share is there for a server that has lost its state.

    >>> held_by('"c0ff-812-335.000"')
    LeaseTag(epoch='c0ff', version=812, qps=335.0)
    """
    found = _ETAG.fullmatch(etag.strip())
    return LeaseTag(found[1], int(found[2]), float(found[3])) if found else None


@dataclass(frozen=True, eq=False, slots=True)
class GatewayReport:
    """What a gateway reported; what it did not is None.

    Attributes:
        wants_qps: offered to it, admitted or not.
        classes: the same of each class, by name.
        client_rates: QPS of its clients, or of some that stand for them, shape ``(n,)``.
        clients: whom these stand for.
    """

    wants_qps: float | None = None
    classes: Mapping[str, float] = field(default_factory=dict)
    client_rates: FloatArray | None = None
    clients: int = 0

    def after(self, newer: GatewayReport) -> GatewayReport:
        """Return what is known after a newer report: ``self`` where that says nothing new."""
        wants = _moved(self.wants_qps, newer.wants_qps)
        classes = {
            name: _moved(self.classes.get(name), qps) or 0.0 for name, qps in newer.classes.items()
        }
        if not newer.classes:
            classes = dict(self.classes)
        latest = self if newer.client_rates is None else newer
        if (wants, classes) == (self.wants_qps, self.classes) and latest is self:
            return self
        return GatewayReport(wants, classes, latest.client_rates, latest.clients)


NO_REPORT = GatewayReport()


def _moved(before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return before if after is None else after
    # A request a second more or less is nothing either.
    return before if abs(after - before) <= max(SAME * before, 1.0) else after


def points_of(bounds: FloatArray, counts: FloatArray) -> FloatArray:
    """Return rates that stand for a histogram of clients.

    Args:
        bounds: QPS, upper bounds of the buckets, ascending.
        counts: clients in each, not cumulated. Each one counts with the middle of its bucket.

    >>> points_of(np.array([2.0, 4.0]), np.array([2.0, 1.0])).tolist()
    [1.0, 1.0, 3.0]
    """
    middles = (bounds + np.concatenate(([0.0], bounds[:-1]))) / 2
    scale = min(1.0, MAX_POINTS / max(counts.sum(), 1.0))
    repeats = np.where(counts > 0, np.maximum(np.round(counts * scale), 1), 0).astype(int)
    return np.repeat(middles, repeats)


def thinned(rates: FloatArray) -> FloatArray:
    """Return at most `MAX_POINTS` of the rates, evenly over their ranks, the highest included."""
    if len(rates) <= MAX_POINTS:
        return rates
    ranks = np.linspace(0, len(rates) - 1, MAX_POINTS).round().astype(int)
    return np.asarray(np.sort(rates)[ranks])
