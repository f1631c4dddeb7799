"""All that the lease service remembers between two calls, as frozen values that lose nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from scaler.adapters.http.exchange import IssuedLease
from scaler.adapters.http.lease_aging import AgedLimit
from scaler.control.snapshot import ServiceView
from scaler.decision.limit import Limit
from scaler.limits.demand_claims import DemandClaim
from scaler.limits.lease import LeaseTerms
from scaler.limits.priority_classes import PriorityClass
from scaler.limits.schedule import LimitStep, SafeLimit
from scaler.limits.shares import Shares
from scaler.policy.policy import Mode


@dataclass(frozen=True, slots=True)
class LimitKey:
    """What gateways act on of a tick: a tick that says the same leaves their leases as they are."""

    qps: float
    steps: tuple[LimitStep, ...]
    limit: Limit
    safe: SafeLimit
    classes: tuple[PriorityClass, ...]
    mode: Mode
    safe_qps: float | None
    lease: LeaseTerms
    client_window_s: float

    @staticmethod
    def of(view: ServiceView, limit: AgedLimit) -> LimitKey:
        published, policy = view.published_limit, view.policy
        assert published is not None  # without one there is nothing to hand out
        return LimitKey(
            limit.qps,
            limit.steps,
            published.limit,
            published.safe,
            published.classes,
            view.lease_mode,
            policy.safe_qps,
            policy.lease,
            policy.client_window_s,
        )


@dataclass(frozen=True, eq=False, slots=True)
class LedgerMemory:
    """Of `ShareLedger`; the names are its own."""

    shares: Shares
    issued: Mapping[str, IssuedLease]
    claims: Mapping[str, DemandClaim]
    expires_at: Mapping[str, float]
    extended: frozenset[str]
    cell: int
    limit_key: LimitKey | None
    lease_s: float
    expiry_checked_at: float
    learning: bool
    revision: int
    has_freed: bool


@dataclass(frozen=True, eq=False, slots=True)
class LeasesMemory:
    """Of `LeaseService`, with a ledger for each service that gateways have asked about."""

    epoch: str
    leads_since: float
    ledgers: Mapping[str, LedgerMemory]
    owners: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # service, gateway
    others_until: float = -math.inf
    version: int = 0
