"""The shares of a limit: how it is divided among gateways, each of which holds a lease.

Rules of this file:

* A gateway may use a grant until it expires, or until the gateway reports (by version) that it
  holds a newer one; for a response with a grant may be lost. The largest grant that a gateway may
  still use is what it has *booked*.
* Decrease before increase: a share grows only into what no other gateway has booked. So the sum of
  what gateways use never exceeds the limit, while shares change and gateways come and go.
* When the limit falls, the shares that gateways are *entitled* to fall at once, but earlier grants
  stay valid until they expire. So the sum never exceeds the highest limit of the last ``lease_s``
  seconds.
* A new gateway gets a share at once, from a reserve that the others leave free.
* Time is the server's. A response is older than its arrival at the gateway: the gateway must count
  the age of its lease from when it sent the request, or ``lease_s`` must be longer than the
  ``valid_for_s`` of the lease.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from scaler.limits.max_min import max_min_fair

# Shares are multiples of 1/1024 request per second, so that their sums are exact.
GRAIN = 2.0**-10
# Part of the limit that is left free for newcomers: each takes half of what is left of it, so six
# come at once before less than a thousandth is left. At least one request per second where that is
# no more than a tenth of the limit.
RESERVE = 0.02


class ShareReason(StrEnum):
    """What determined a gateway's share."""

    FAIR = "fair"  # it is the fair share of the limit
    WAITS = "waits"  # other gateways may still use part of the fair share
    NEWCOMER = "newcomer"  # a new gateway gets part of the reserve until the others have shrunk
    LEARNING = "learning"  # after a restart, shares do not grow until all older leases expired


@dataclass(frozen=True, slots=True)
class SharePolicy:
    """How shares are granted.

    Attributes:
        lease_s: seconds for which a grant is valid.
    """

    lease_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.lease_s < math.inf:
            raise ValueError(f"lease_s is {self.lease_s}, but it must be finite and > 0")


@dataclass(frozen=True, slots=True)
class DemandReport:
    """What a gateway reports when it asks for its share.

    Attributes:
        instance: the gateway's name.
        wants_qps: demand offered to it; None: not known yet.
        version: version of the grant that it uses; None: not reported.
        holds_qps: QPS of that grant; used only by a server that has lost its state.
    """

    instance: str
    wants_qps: float | None
    version: int | None = None
    holds_qps: float = 0.0

    def __post_init__(self) -> None:
        for qps in (self.wants_qps, self.holds_qps):
            if qps is not None and not 0 <= qps < math.inf:
                raise ValueError(f"{self.instance}: {qps} QPS, but it must be finite and >= 0")


@dataclass(frozen=True, slots=True)
class Grant:
    """A share that was granted; the gateway may use it before ``expires_at`` (monotonic s)."""

    version: int
    qps: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Share:
    """The share of one gateway.

    Attributes:
        instance: the gateway's name.
        wants_qps: demand as last reported; None: not known yet.
        entitled_qps: what it may keep; the sum over all gateways never exceeds the limit.
        grants: all grants that it may still use, oldest first.
        reason: what determined the newest grant.
    """

    instance: str
    wants_qps: float | None
    entitled_qps: float
    grants: tuple[Grant, ...]
    reason: ShareReason

    @property
    def qps(self) -> float:
        """QPS of the newest grant."""
        return self.grants[-1].qps if self.grants else 0.0

    @property
    def booked_qps(self) -> float:
        """QPS of the largest grant that it may still use."""
        return max((grant.qps for grant in self.grants), default=0.0)


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of all gateways.

    Attributes:
        shares: one per gateway, sorted by name.
        version: version of the newest grant.
        learning_until: no share grows before this time. A server that starts without the state of
            its predecessor sets it to ``now + lease_s``, as it does not know what is booked.
    """

    shares: tuple[Share, ...] = ()
    version: int = 0
    learning_until: float = -math.inf

    def __getitem__(self, instance: str) -> Share:
        for share in self.shares:
            if share.instance == instance:
                return share
        raise KeyError(f"no share of {instance!r}")

    @property
    def booked_qps(self) -> float:
        """QPS that all gateways together may use."""
        return sum(share.booked_qps for share in self.shares)


def assign(
    shares: Shares,
    limit_qps: float,
    reports: Sequence[DemandReport],
    *,
    now: float,
    policy: SharePolicy,
) -> Shares:
    """Return the shares after new grants for the gateways that report.

    Args:
        shares: the shares before.
        limit_qps: limit of all gateways together, finite and >= 0.
        reports: of the gateways that ask now; the others keep their grants until they expire.
        now: monotonic seconds.
        policy: how long a lease is.

    >>> one = assign(Shares(), 100.0, [DemandReport("a", 30.0)], now=0.0, policy=SharePolicy())
    >>> two = assign(one, 100.0, [DemandReport("b", 10.0)], now=1.0, policy=SharePolicy())
    >>> [(share.instance, share.qps) for share in two.shares]
    [('a', 98.0), ('b', 1.0)]
    """
    names = [report.instance for report in reports]
    _check(limit_qps, names)
    limit = _rounded_down(limit_qps)
    learning = now < shares.learning_until
    known = {share.instance: share for share in _unexpired(shares, now)}
    for report in reports:
        before = known.get(report.instance)
        known[report.instance] = _after_report(before, report, learning, now, policy)
    known = _with_entitlements(known, limit)
    available = _rounded_down(limit - _reserve(limit))
    targets = _targets(known, available)
    booked = sum(share.booked_qps for share in known.values())
    # Shares that shrink come first, so that the others can use what becomes free.
    for name in sorted(names, key=lambda name: targets[name] - known[name].qps):
        share, target = known[name], targets[name]
        others = booked - share.booked_qps  # exact: all are multiples of the grain
        bound, reason = _upper_bound(share, (limit - others, available - others), learning=learning)
        grant = Grant(shares.version + 1, min(target, bound), now + policy.lease_s)
        known[name] = replace(
            share,
            entitled_qps=grant.qps,
            grants=(*share.grants, grant),
            reason=ShareReason.FAIR if grant.qps == target else reason,
        )
        booked = others + known[name].booked_qps
    by_name = tuple(known[name] for name in sorted(known))
    return replace(shares, shares=by_name, version=shares.version + bool(names))


def _check(limit_qps: float, names: Sequence[str]) -> None:
    if not 0 <= limit_qps < math.inf:
        raise ValueError(f"limit is {limit_qps} QPS, but it must be finite and >= 0")
    if len(set(names)) != len(names):
        raise ValueError(f"reports are of {names}, but each gateway may report only once")


def _rounded_down(qps: float) -> float:
    return math.floor(qps / GRAIN) * GRAIN


def _reserve(limit: float) -> float:
    """Return the QPS left free for new gateways."""
    return max(RESERVE * limit, min(1.0, limit / 10))


def _unexpired(shares: Shares, now: float) -> list[Share]:
    """Return the shares of gateways with valid grants, without their expired grants."""
    alive = []
    for share in shares.shares:
        grants = tuple(grant for grant in share.grants if grant.expires_at > now)
        if len(grants) == len(share.grants):
            alive.append(share)
        elif grants:
            left = replace(share, grants=grants)
            # Where leases have become shorter, the newest grant may expire before an older one.
            alive.append(replace(left, entitled_qps=min(left.entitled_qps, left.booked_qps)))
    return alive


def _after_report(
    share: Share | None, report: DemandReport, learning: bool, now: float, policy: SharePolicy
) -> Share:
    """Return a gateway's share after its report, without a new grant."""
    if share is None:
        holds = _rounded_down(report.holds_qps) if learning else 0.0
        restored = (Grant(0, holds, now + policy.lease_s),) if holds else ()
        return Share(report.instance, report.wants_qps, holds, restored, ShareReason.NEWCOMER)
    wants = share.wants_qps if report.wants_qps is None else report.wants_qps
    grants = share.grants
    if any(grant.version == report.version for grant in grants):
        # Grants older than the one it uses are over. Newer ones may be on their way.
        grants = tuple(grant for grant in grants if grant.version >= (report.version or 0))
    return replace(share, wants_qps=wants, grants=grants)


def _with_entitlements(known: dict[str, Share], limit: float) -> dict[str, Share]:
    """Return the shares with entitlements that are scaled down to fit the limit."""
    total = sum(share.entitled_qps for share in known.values())
    if total <= limit:
        return known
    return {
        name: replace(share, entitled_qps=_rounded_down(share.entitled_qps * (limit / total)))
        for name, share in known.items()
    }


def _targets(known: dict[str, Share], available: float) -> dict[str, float]:
    """Return the fair shares, which gateways reach as grants expire; at most ``available`` QPS.

    Each gateway wants at least one request per second, as its bucket holds whole tokens. A gateway
    whose demand is not known yet wants the mean of the others. What is left over is divided in
    proportion to what the gateways want.
    """
    reported = [share.wants_qps for share in known.values() if share.wants_qps is not None]
    mean = sum(reported) / len(reported) if reported else 1.0
    wants = [mean if share.wants_qps is None else share.wants_qps for share in known.values()]
    wanted = np.maximum(wants, 1.0)
    fair = max_min_fair(available, wanted).qps
    if len(wanted):
        fair += max(available - fair.sum(), 0.0) * (wanted / wanted.sum())
    return {name: _rounded_down(float(qps)) for name, qps in zip(known, fair, strict=True)}


def _upper_bound(
    share: Share, left: tuple[float, float], *, learning: bool
) -> tuple[float, ShareReason]:
    """Return the most that may be granted to a gateway now, and the reason if that binds.

    Args:
        share: the gateway's share before the grant.
        left: what the other gateways have not booked, of the limit and of the limit without the
            reserve.
        learning: no share may grow.
    """
    if learning:
        return share.entitled_qps, ShareReason.LEARNING
    of_limit, of_available = left
    bound = max(share.entitled_qps, of_available)
    if share.grants:
        return bound, ShareReason.WAITS
    # Half of the free rest, so that the next new gateway finds some too; at least one token.
    free = max(of_limit, 0.0)
    return max(bound, min(free, max(1.0, _rounded_down(free / 2)))), ShareReason.NEWCOMER
