"""The assignment of shares: how a limit is divided among gateways as they come, ask and go.

Rules of this file:

* Decrease before increase: a share grows only into what no other gateway has booked. So the sum of
  what gateways use never exceeds the limit, while shares change and gateways come and go.
* When the limit falls, the shares that gateways are *entitled* to fall at once, but earlier grants
  stay valid until they expire. So the sum never exceeds the highest limit of the last ``lease_s``
  seconds.
* A new gateway gets a share at once, from a reserve that the others leave free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from scaler.limits.priority_classes import PriorityClass
from scaler.limits.share_targets import ShareTargets
from scaler.limits.shares import GRAIN, DemandReport, Grant, Share, SharePolicy, ShareReason, Shares

# Part of the limit that is left free for newcomers: each takes half of what is left of it, so six
# come at once before less than a thousandth is left. At least one request per second where that is
# no more than a tenth of the limit.
RESERVE = 0.02


def assign(
    shares: Shares,
    limit_qps: float,
    reports: Sequence[DemandReport],
    classes: Sequence[PriorityClass] = (),
    *,
    now: float,
    policy: SharePolicy,
) -> Shares:
    """Return the shares after new grants for the gateways that report.

    Args:
        shares: the shares before.
        limit_qps: limit of all gateways together, finite and >= 0.
        reports: of the gateways that ask now; the others keep their grants until they expire.
        classes: the priority classes that the limit is divided among.
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
    targets = ShareTargets(known, available, classes, set(names))
    booked = sum(share.booked_qps for share in known.values())
    # Shares that shrink come first, so that the others can use what becomes free.
    for name in sorted(names, key=lambda name: targets.qps(name) - known[name].qps):
        share, target = known[name], targets.qps(name)
        others = booked - share.booked_qps  # exact: all are multiples of the grain
        bound, reason = _upper_bound(share, (limit - others, available - others), learning=learning)
        grant = Grant(shares.version + 1, min(target, bound), now + policy.lease_s)
        parts, whole = targets.parts(name, grant.qps)
        known[name] = replace(
            share,
            entitled_qps=grant.qps,
            grants=(*share.grants, grant),
            reason=ShareReason.FAIR if whole and grant.qps == target else reason,
            parts=parts,
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
        if len(share.grants) == 1 and share.grants[0].expires_at > now:  # as most of them are
            alive.append(share)
            continue
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
        return Share(
            report.instance, report.wants_qps, holds, restored, ShareReason.NEWCOMER,
            report.classes, report.owner,
        )  # fmt: skip
    said = share if report.wants_qps is None else report
    grants = share.grants
    if any(grant.version == report.version for grant in grants):
        # Grants older than the one it uses are over. Newer ones may be on their way.
        grants = tuple(grant for grant in grants if grant.version >= (report.version or 0))
    return replace(
        share, wants_qps=said.wants_qps, classes=said.classes, owner=report.owner, grants=grants
    )


def _with_entitlements(known: dict[str, Share], limit: float) -> dict[str, Share]:
    """Return the shares with entitlements that are scaled down to fit the limit."""
    total = sum(share.entitled_qps for share in known.values())
    if total <= limit:
        return known
    return {
        name: replace(share, entitled_qps=_rounded_down(share.entitled_qps * (limit / total)))
        for name, share in known.items()
    }


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
