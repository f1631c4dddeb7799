"""The share ledger of one service: which gateway holds which share, and under which lease.

Rules of this file:

* Each lease version is issued once. A gateway that asks again while nothing that it acts on has
  changed keeps its version, and its booking is extended: this is what a 304 means.
* A ledger is confined to one thread. Time is monotonic seconds, passed in by the caller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from scaler.adapters.http.exchange import (
    IssuedLease,
    LeaseReply,
    LeaseRequest,
    acknowledges,
    claim_of,
)
from scaler.adapters.http.issued_leases import IssuedLeases, LimitInForce
from scaler.adapters.http.lease_aging import AgedLimit, aged, cell_of, lease_s
from scaler.adapters.http.lease_document import LeaseContent
from scaler.adapters.http.lease_memory import LedgerMemory, LimitKey
from scaler.adapters.http.snapshot_holder import HeldSnapshot
from scaler.control.reign import Tenure
from scaler.control.snapshot import ServiceView
from scaler.limits.assignment import assign
from scaler.limits.demand_claims import NO_CLAIM, DemandClaim
from scaler.limits.lease import LeaseTerms
from scaler.limits.shares import DemandReport, Grant, Share, SharePolicy, Shares

EXPIRY_CHECK_S = 1.0


class ShareLedger:
    """Divides the limit of one service among its gateways.

    Attributes:
        revision: grows whenever a change may alter a lease: a new limit, another number of
            gateways, another demand.
        has_freed: whether others may get more, or less: a gateway has given up part of its booking,
            or has come.
        caretakes: whether no share may grow, for another replica may lead.

    Args:
        service: ``"namespace/name"``.
        epoch: names the version numbers of this process.
        learning_until: until then a gateway gets no more than it says that it holds already.
        version: of the newest lease that may have been issued before.
    """

    def __init__(self, service: str, epoch: str, learning_until: float, version: int = 0) -> None:
        self._epoch = epoch
        self._lease_s = lease_s(LeaseTerms())
        self._shares = Shares(version=version, learning_until=learning_until)
        self._issued = IssuedLeases(service, epoch)
        self._claims: dict[str, DemandClaim] = {}
        self._expires_at: dict[str, float] = {}
        self._extended: set[str] = set()  # gateways whose new expiry `_shares` does not have yet
        self._view: ServiceView | None = None
        self._cell = -1
        self._limit: AgedLimit | None = None
        self._limit_key: LimitKey | None = None
        self._expiry_checked_at = -math.inf
        self._learning = learning_until > -math.inf
        self.revision = 0
        self.has_freed = self.caretakes = False

    @property
    def instances(self) -> int:
        return len(self._shares.shares)

    @property
    def version(self) -> int:
        return self._shares.version

    def knows(self, instance: str) -> bool:
        return instance in self._issued

    def holds(self, instance: str, now: float) -> bool:
        return now < self._expires_at.get(instance, -math.inf)

    def learning(self, now: float) -> bool:
        return now < self._shares.learning_until

    @property
    def stamp(self) -> tuple[object, ...]:
        """What differs wherever `refresh` or a round of waiting gateways has changed anything."""
        known = self.revision, self.has_freed, self._learning, self._cell, self._expiry_checked_at
        return *known, self._view, self._shares

    def memory(self) -> LedgerMemory:
        """Return all that the next replies rest on, but the view: `refresh` brings another."""
        return LedgerMemory(
            self._shares, self._issued.memory(), dict(self._claims),
            dict(self._expires_at), frozenset(self._extended), self._cell, self._limit_key,
            self._lease_s, self._expiry_checked_at, self._learning, self.revision, self.has_freed,
        )  # fmt: skip

    def recall(self, memory: LedgerMemory) -> None:
        """Go on from there; `refresh` comes first."""
        self._shares = memory.shares
        self._issued.recall(memory.issued)
        self._claims = dict(memory.claims)
        self._expires_at, self._extended = dict(memory.expires_at), set(memory.extended)
        self._cell, self._limit_key = memory.cell, memory.limit_key
        self._lease_s, self._learning = memory.lease_s, memory.learning
        self._expiry_checked_at = memory.expiry_checked_at
        self.revision, self.has_freed = memory.revision, memory.has_freed

    def refresh(self, held: HeldSnapshot, view: ServiceView, now: float) -> None:
        """Take in the latest snapshot and the time."""
        cell = cell_of(held.age_s(now))
        if view is not self._view or cell != self._cell:
            self._take_limit(view, cell)
        self.expire(now)
        self.caretakes = held.tenure is Tenure.CARETAKES
        learns = self.caretakes or self.learning(now)
        self.revision, self._learning = self.revision + (self._learning and not learns), learns

    def may_wait(self, request: LeaseRequest, now: float) -> bool:
        """Whether a gateway may wait for a change: it must hold the lease that was issued last.

        The booking is then extended, for the gateway acts on its lease while it waits.
        """
        lease = self._issued.get(request.instance)
        if lease is None or lease.etag != request.etag or not self.holds(request.instance, now):
            return False
        self._extend(request.instance, now)
        return True

    def renew(self, request: LeaseRequest, now: float) -> LeaseReply | None:
        """Return a renewal for a gateway that has waited; None if its lease must be assigned anew.

        It need not be fair: whether the share may grow was checked while the gateway waited.
        """
        lease = self._issued.get(request.instance)
        if lease is None or lease.etag != request.etag or lease.revision != self.revision:
            return None
        self._extend(request.instance, now)
        return LeaseReply(lease, changed=False)

    def reply(self, request: LeaseRequest, now: float) -> LeaseReply:
        """Return the reply to one gateway; call `refresh` first."""
        lease, news = self._issued.get(request.instance), self._take_report(request)
        if lease is not None and not news and self._is_current(lease, request, now):
            self._extend(request.instance, now)
            return LeaseReply(lease, changed=lease.etag != request.etag)
        return self.reply_all([request], now)[0]

    def reply_all(self, requests: list[LeaseRequest], now: float) -> list[LeaseReply]:
        """Return the replies to several gateways, in order; no gateway may be named twice."""
        assert self._view is not None
        assert self._view.published_limit is not None
        assert self._limit is not None
        assert self._limit_key is not None  # refresh() comes first
        self._book_extensions()
        before = {share.instance: share for share in self._shares.shares}
        reports = [self._demand_report(one, known=one.instance in before) for one in requests]
        classes, policy = self._view.published_limit.classes, SharePolicy(self._lease_s)
        until = self._shares.learning_until
        held = replace(self._shares, learning_until=math.inf if self.caretakes else until)
        after = assign(held, self._limit.qps, reports, classes, now=now, policy=policy)
        come = any(one.instance not in before for one in requests)
        self.revision += come  # every fair share depends on the number of gateways
        shares = {share.instance: share for share in after.shares}
        in_force = LimitInForce(
            self._view, self._limit, self._limit_key, self._lease_s, self.revision
        )
        replies = []
        for one in requests:
            share = shares[one.instance]
            lease, same = self._issue(one, share, len(shares), in_force, after.version)
            self._expires_at[one.instance] = now + lease.lease_s
            if same:
                # The new version is not issued: the booking of the version that is held goes on.
                shares[one.instance] = self._with_expiry(replace(share, grants=share.grants[:-1]))
            replies.append(LeaseReply(lease, changed=lease.etag != one.etag))
        self._shares = replace(after, shares=tuple(shares.values()), learning_until=until)
        self.has_freed |= come or _frees(before, shares)
        return replies

    def may_change(self, request: LeaseRequest) -> bool:
        """Whether a waiting gateway's lease may have to change, so that `reply_all` must decide."""
        lease = self._issued.get(request.instance)
        if lease is None or lease.revision != self.revision or not lease.fair:
            return True
        return not lease.acknowledged and acknowledges(request, lease)

    def _issue(
        self,
        request: LeaseRequest,
        share: Share,
        instances: int,
        in_force: LimitInForce,
        version: int,
    ) -> tuple[IssuedLease, bool]:
        """Return a gateway's lease, and whether it is the one that was issued before."""
        content = LeaseContent(in_force.view, in_force.limit, share, instances)
        lease, same = self._issued.issue(request, content, in_force, version)
        if not same and share.parts is not None:
            claim = self._claims.get(request.instance, NO_CLAIM)
            self._claims[request.instance] = claim.leased(share.parts)
        return lease, same

    def _is_current(self, lease: IssuedLease, request: LeaseRequest, now: float) -> bool:
        """Whether a new lease would be the same, and the share is still booked."""
        same = lease.revision == self.revision and lease.fair
        current = same and self.holds(request.instance, now)
        # The first acknowledgement frees what older leases had booked: `reply_all` does that.
        return current and (lease.acknowledged or not acknowledges(request, lease))

    def _take_report(self, request: LeaseRequest) -> bool:
        """Take in what a gateway reports; return whether its lease may be another one now."""
        if request.report is None:
            return False
        demand = request.report.demand()
        if demand is None:
            return False
        before = self._claims.get(request.instance, NO_CLAIM)
        after = self._claims[request.instance] = before.reported(demand)
        moved = not after.same_rates(before)
        self.revision += moved  # every fair share depends on the demand of each gateway
        return moved

    def _demand_report(self, request: LeaseRequest, *, known: bool) -> DemandReport:
        version, holds_qps = claim_of(request, self._epoch)
        assert self._limit is not None
        holds_qps = min(holds_qps, self._limit.qps)
        claim = self._claims.get(request.instance, NO_CLAIM)
        if not claim.rates or (known and request.report is None):  # as it was before
            return DemandReport(request.instance, None, version, holds_qps, owner=request.owner)
        claims = claim.claims()
        return DemandReport(
            request.instance, sum(claims.values()), version, holds_qps,
            claims if claim.by_class else None, request.owner,
        )  # fmt: skip

    def _extend(self, instance: str, now: float) -> None:
        # Of the lease that the gateway holds: the policy may have changed meanwhile.
        self._expires_at[instance] = now + self._issued[instance].lease_s
        self._extended.add(instance)

    def _take_limit(self, view: ServiceView, cell: int) -> None:
        """Take in the current limit; a limit that changes some lease begins a new revision."""
        assert view.published_limit is not None
        limit = aged(view.published_limit, cell)
        key = LimitKey.of(view, limit)
        self._lease_s = lease_s(view.policy.lease)
        self._view, self._cell, self._limit = view, cell, limit
        if key != self._limit_key:
            self._limit_key = key
            self.revision += 1

    def _book_extensions(self) -> None:
        """Write the expiry of the leases that were extended since into the shares."""
        if not self._extended:
            return
        extended, shares = self._extended, self._shares.shares
        held = tuple(self._with_expiry(s) if s.instance in extended else s for s in shares)
        self._shares = replace(self._shares, shares=held)
        self._extended.clear()

    def _with_expiry(self, share: Share) -> Share:
        """Return a share whose issued version is booked until the lease expires."""
        version = self._issued[share.instance].tag.version
        older = tuple(grant for grant in share.grants if grant.version != version)
        expires_at = self._expires_at[share.instance]
        return replace(share, grants=(*older, Grant(version, share.qps, expires_at)))

    def expire(self, now: float) -> None:
        """Forget the gateways whose leases have expired; others may get their shares."""
        if now - self._expiry_checked_at < EXPIRY_CHECK_S:
            return
        self._expiry_checked_at = now
        self._book_extensions()
        held = tuple(s for s in self._shares.shares if any(g.expires_at > now for g in s.grants))
        if len(held) < len(self._shares.shares):
            self._shares = replace(self._shares, shares=held)
        alive = {share.instance for share in held}
        expired = (self._claims.keys() | self._issued.names()) - alive
        for instance in expired:
            self._issued.forget(instance)
            for known in (self._claims, self._expires_at):
                known.pop(instance, None)
        self.revision += bool(expired)


def _frees(before: Mapping[str, Share], after: Mapping[str, Share]) -> bool:
    """Whether a gateway has given up part of its booking."""
    return any(
        share.booked_qps < old.booked_qps
        for name, share in after.items()
        if (old := before.get(name)) is not None and old is not share
    )
