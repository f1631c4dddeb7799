"""Each gateway's share of the limit, handed out on a lease.

Rules of this file:

* A gateway may act on what it was handed until that expires, or until it says (by its version) that
  it holds something newer: an answer may be lost. All that it may still act on is *booked*.
* Decrease before increase: a share grows only into what nobody else has booked. So the sum of what
  gateways act on never exceeds the limit, while shares move, gateways join and die.
* After the limit itself has fallen every share handed out is *entitled* by the new limit at once;
  what was handed out before ends with its lease. So the sum never exceeds the highest limit of the
  last ``lease_s`` seconds.
* A newcomer gets a share at once, from a reserve that the others leave free.
* Time is the server's own. A gateway's lease is older than its answer: let it count from when it
  asked, or make ``lease_s`` longer than the ``valid_for_s`` that it is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from scaler.limits.max_min import max_min_fair

# Shares are multiples of a 1024th of a request per second: so their sums are exact.
GRAIN = 2.0**-10
# Part of the limit that is left free for newcomers: each takes half of what is left of it, so six
# come at once before less than a thousandth is left. At least one request per second where that is
# no more than a tenth of the limit.
RESERVE = 0.02


class ShareReason(StrEnum):
    """Why a gateway gets what it gets."""

    FAIR = "fair"  # its fair share of the limit
    WAITS = "waits"  # others may still act on part of its fair share
    NEWCOMER = "newcomer"  # from the reserve, until the others have made room
    LEARNING = "learning"  # what it held before, until all older leases have run out


@dataclass(frozen=True, slots=True)
class SharePolicy:
    """How shares are handed out.

    Attributes:
        lease_s: how long a gateway may act on a share.
    """

    lease_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.lease_s < math.inf:
            raise ValueError(f"lease_s is {self.lease_s}, but it must be finite and > 0")


@dataclass(frozen=True, slots=True)
class DemandReport:
    """What a gateway says when it asks for its share.

    Attributes:
        instance: its name.
        wants_qps: offered to it; None: not known yet.
        version: of the share that it acts on; None: it does not say.
        holds_qps: QPS of that share; matters only to a server that has lost its state.
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
    """One hand-out, on which a gateway may act before ``expires_at``."""

    version: int
    qps: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Share:
    """What is known of one gateway.

    Attributes:
        instance: its name.
        wants_qps: as last reported; None: not known yet.
        entitled_qps: what it may go on with; all of these sum up to no more than the limit.
        handed: all that it may act on, oldest first.
        reason: of the last hand-out.
    """

    instance: str
    wants_qps: float | None
    entitled_qps: float
    handed: tuple[Grant, ...]
    reason: ShareReason

    @property
    def qps(self) -> float:
        """As last handed out."""
        return self.handed[-1].qps if self.handed else 0.0

    @property
    def booked_qps(self) -> float:
        return max((handed.qps for handed in self.handed), default=0.0)


@dataclass(frozen=True, slots=True)
class Shares:
    """All gateways' shares.

    Attributes:
        held: one per gateway, by name.
        version: of the last hand-out.
        learning_until: no share grows before then: a server that starts without its predecessor's
            state (at ``now + lease_s``) cannot know what is booked.
    """

    held: tuple[Share, ...] = ()
    version: int = 0
    learning_until: float = -math.inf

    def __getitem__(self, instance: str) -> Share:
        for share in self.held:
            if share.instance == instance:
                return share
        raise KeyError(f"no share of {instance!r}")

    @property
    def booked_qps(self) -> float:
        """What all gateways together may act on."""
        return sum(share.booked_qps for share in self.held)


def assign(
    shares: Shares,
    limit_qps: float,
    reports: Sequence[DemandReport],
    *,
    now: float,
    policy: SharePolicy,
) -> Shares:
    """Return the shares after the gateways that report were handed new ones.

    Args:
        shares: as before.
        limit_qps: of all gateways together, finite and >= 0.
        reports: of the gateways that ask now; the others keep what they have till it expires.
        now: monotonic seconds.
        policy: how long a lease is.

    >>> one = assign(Shares(), 100.0, [DemandReport("a", 30.0)], now=0.0, policy=SharePolicy())
    >>> two = assign(one, 100.0, [DemandReport("b", 10.0)], now=1.0, policy=SharePolicy())
    >>> [(share.instance, share.qps) for share in two.held]
    [('a', 98.0), ('b', 1.0)]
    """
    if not 0 <= limit_qps < math.inf:
        raise ValueError(f"limit is {limit_qps} QPS, but it must be finite and >= 0")
    names = [report.instance for report in reports]
    if len(set(names)) != len(names):
        raise ValueError(f"reports are of {names}, but each gateway reports once")
    limit = _grained(limit_qps)
    learning = now < shares.learning_until
    known = {share.instance: share for share in _unexpired(shares, now)}
    for report in reports:
        known[report.instance] = _heard(known.get(report.instance), report, learning, now, policy)
    known = _entitled(known, limit)
    room = _grained(limit - _reserve(limit))
    targets = _targets(known, room)
    booked = sum(share.booked_qps for share in known.values())
    # Who must give comes first, so that what it gives is there for the others.
    for name in sorted(names, key=lambda name: targets[name] - known[name].qps):
        share = known[name]
        others = booked - share.booked_qps  # exact: all are multiples of the grain
        most, waits_as = _most(share, (limit - others, room - others), learning=learning)
        qps = min(targets[name], most)
        reason = ShareReason.FAIR if qps == targets[name] else waits_as
        handed = Grant(shares.version + 1, qps, now + policy.lease_s)
        after = replace(share, entitled_qps=qps, handed=(*share.handed, handed), reason=reason)
        known[name] = after
        booked = others + after.booked_qps
    held = tuple(known[name] for name in sorted(known))
    return replace(shares, held=held, version=shares.version + bool(names))


def _grained(qps: float) -> float:
    return math.floor(qps / GRAIN) * GRAIN


def _reserve(limit: float) -> float:
    """Return what is left free for newcomers."""
    return max(RESERVE * limit, min(1.0, limit / 10))


def _unexpired(shares: Shares, now: float) -> list[Share]:
    """Return the gateways that may still act on something, each with what that is."""
    alive = []
    for share in shares.held:
        if all(handed.expires_at > now for handed in share.handed):
            alive.append(share)
            continue
        handed = tuple(handed for handed in share.handed if handed.expires_at > now)
        if handed:
            left = replace(share, handed=handed)
            # The newest may be gone before an older one where leases have become shorter.
            alive.append(replace(left, entitled_qps=min(left.entitled_qps, left.booked_qps)))
    return alive


def _heard(
    share: Share | None, report: DemandReport, learning: bool, now: float, policy: SharePolicy
) -> Share:
    """Return what is known of a gateway after its report, before it is handed anything."""
    if share is None:
        holds = _grained(report.holds_qps) if learning else 0.0
        before = (Grant(0, holds, now + policy.lease_s),) if holds else ()
        return Share(report.instance, report.wants_qps, holds, before, ShareReason.NEWCOMER)
    wants = share.wants_qps if report.wants_qps is None else report.wants_qps
    handed = share.handed
    if any(old.version == report.version for old in handed):
        # What is older than it acts on is over. Newer answers may be on their way.
        handed = tuple(old for old in handed if old.version >= (report.version or 0))
    return replace(share, wants_qps=wants, handed=handed)


def _entitled(known: dict[str, Share], limit: float) -> dict[str, Share]:
    """Return the gateways so that what they may go on with fits the limit."""
    total = sum(share.entitled_qps for share in known.values())
    if total <= limit:
        return known
    return {
        name: replace(share, entitled_qps=_grained(share.entitled_qps * (limit / total)))
        for name, share in known.items()
    }


def _targets(known: dict[str, Share], room: float) -> dict[str, float]:
    """Return the fair shares once all have made room; they sum up to ``room`` at most.

    Everybody wants at least one request per second: less is no use to a bucket of whole tokens.
    What nobody wants is spread in proportion to what each one wants. Who does not know yet what it
    wants, wants as much as the others do on average.
    """
    told = [share.wants_qps for share in known.values() if share.wants_qps is not None]
    usual = sum(told) / len(told) if told else 1.0
    wants = [usual if s.wants_qps is None else s.wants_qps for s in known.values()]
    wanted = np.maximum(wants, 1.0)
    fair = max_min_fair(room, wanted).qps
    if len(wanted):
        fair += max(room - fair.sum(), 0.0) * (wanted / wanted.sum())
    return {name: _grained(float(qps)) for name, qps in zip(known, fair, strict=True)}


def _most(share: Share, left: tuple[float, float], *, learning: bool) -> tuple[float, ShareReason]:
    """Return what the gateway may be handed now, and why it is not more.

    Args:
        share: as known before.
        left: of the limit, and of it without the reserve, by all others.
        learning: nothing grows.
    """
    if learning:
        return share.entitled_qps, ShareReason.LEARNING
    of_limit, of_room = left
    most = max(share.entitled_qps, of_room)
    if share.handed:
        return most, ShareReason.WAITS
    # Half of what is left, so that the next newcomer finds something too; at least one token.
    free = max(of_limit, 0.0)
    return max(most, min(free, max(1.0, _grained(free / 2)))), ShareReason.NEWCOMER
